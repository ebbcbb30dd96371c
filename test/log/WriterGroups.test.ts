import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { FailpointName } from "../../src/faults/Failpoints.ts"
import { partsOf } from "../../src/log/Parts.ts"
import { toSent } from "../../src/log/SentWrite.ts"
import type { WriteOutcome, WriteReply, WriteRequest } from "../../src/log/WriteGroup.ts"
import { type WriterOperations, WriterThread } from "../../src/log/WriterThread.ts"
import type { Call } from "../../src/threads/ThreadEntry.ts"
import { appendOf, blobOf, openTestWriter, requestOf, submitted } from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const submit = (name: string, more: Partial<WriteRequest> = {}) =>
  requestOf([appendOf(`submit-${name}`, name, [submitted(name)])], more)

/** It fails for a reason of its own, once its first row is being written. */
const unwritable = (more: Partial<WriteRequest> = {}) => {
  const { appends, ...request } = submit("unwritable", more)
  const spoilt = appends.map((append) => ({
    ...append,
    events: append.events.map((event) => ({ ...event, stream: "a\0b" }))
  }))
  return { ...request, appends: spoilt }
}

const tags = (outcomes: ReadonlyArray<WriteOutcome>) => outcomes.map(({ _tag }) => _tag)

/** A writer whose commits are counted. */
const counted = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const hits = new Map<FailpointName, number>()
  const failpoints = { hit: (name: FailpointName) => hits.set(name, (hits.get(name) ?? 0) + 1) }
  const { core } = yield* Effect.acquireRelease(
    Effect.sync(() => openTestWriter(directory, { failpoints })),
    ({ close }) => Effect.sync(close)
  )
  return { core, commits: () => hits.get("log.commit.after") ?? 0 }
})

const nothing = () => {}
/** What arrives each time that somebody looks. */
const arrivals = <A>(...each: ReadonlyArray<ReadonlyArray<A>>) => {
  const left = [...each]
  return () => left.shift() ?? []
}

describe("a group that is being written", () => {
  it.scoped("takes in what arrives meanwhile, for one commit", () =>
    Effect.gen(function* () {
      const { core, commits } = yield* counted
      const { head, outcomes } = core.writeGroup(
        [submit("a")],
        arrivals([submit("b"), submit("c")], [submit("d")])
      )
      assert.deepStrictEqual(tags(outcomes), ["Written", "Written", "Written", "Written"])
      assert.strictEqual(head.position, 4)
      assert.strictEqual(commits(), 1)
    })
  )

  it.scoped("keeps the others where one that joined it cannot be written", () =>
    Effect.gen(function* () {
      const { core } = yield* counted
      const { head, outcomes } = core.writeGroup(
        [submit("a")],
        arrivals([submit("b"), unwritable()], [submit("c")])
      )
      // Nobody joins a group that is written again.
      assert.deepStrictEqual(tags(outcomes), ["Written", "Written", "Failed"])
      assert.strictEqual(head.position, 2)
    })
  )
})

describe("rows of documents that begin", () => {
  const rows = (core: Effect.Effect.Success<typeof counted>["core"]) =>
    core.withDatabases((log) => ({
      documents: log.prepare("SELECT first_position FROM documents ORDER BY 1").pluck().all(),
      jobs: log.prepare("SELECT queued_position FROM jobs ORDER BY 1").pluck().all(),
      open: log.prepare("SELECT open FROM document_tally").pluck().get()
    }))

  it.scoped("stand once for each of a group, also where it is written again without one of its members", () =>
    Effect.gen(function* () {
      const { core } = yield* counted
      const { outcomes } = core.writeGroup([
        submit("a"),
        submit("b"),
        unwritable(),
        submit("c"),
        unwritable()
      ])
      assert.deepStrictEqual(tags(outcomes), ["Written", "Written", "Failed", "Written", "Failed"])
      assert.deepStrictEqual(rows(core), { documents: [1, 2, 3], jobs: [1, 2, 3], open: 3 })
    })
  )

  it.scoped("are known to what follows in the group, however many there are", () =>
    Effect.gen(function* () {
      const { core } = yield* counted
      const names = Array.from({ length: 200 }, (_, n) => `many-${n}`)
      const again = requestOf([appendOf("again", "many-199", [submitted("many-199", 2)])])
      core.writeGroup([...names.map((name) => submit(name)), again, submit("last")])
      assert.deepStrictEqual(rows(core), {
        documents: [...names.map((_, n) => n + 1), 202],
        jobs: [...names.map((_, n) => n + 1), 201, 202],
        open: 201
      })
    })
  )
})

describe("a write in parts", () => {
  const part = (write: number, isLast = false) => ({ part: { write, isLast } })

  it.scoped("goes no further once one of them was not written, in this group and in later ones", () =>
    Effect.gen(function* () {
      const { core } = yield* counted
      const first = core.writeGroup([
        submit("a", part(1)),
        unwritable(part(1)),
        submit("b", part(1)),
        submit("other")
      ])
      assert.deepStrictEqual(tags(first.outcomes), ["Written", "Failed", "Failed", "Written"])
      const second = core.writeGroup([submit("c", part(1, true)), submit("d", part(2, true))])
      assert.deepStrictEqual(tags(second.outcomes), ["Failed", "Written"])
      assert.strictEqual(second.head.position, 3)
    })
  )

  it("holds all of its appends once and in order, and never divides what brings content", () => {
    const appends = Array.from({ length: 1000 }, (_, n) => appendOf(`${n}`, `${n}`, [submitted(`${n}`)]))
    const parts = partsOf({ appends })
    assert.isAbove(parts.length, 1)
    assert.deepStrictEqual(
      parts.flatMap((one) => one.appends ?? []),
      appends
    )
    const whole = { appends, blobs: [blobOf("a body")] }
    assert.deepStrictEqual(partsOf(whole), [whole])
  })
})

describe("the writer's thread", () => {
  /** Calls by name, and what was answered to them, in that order. */
  const asked = (name: keyof WriterOperations, argument: unknown) => {
    const call: Call & { answer: unknown } = {
      name,
      argument,
      answer: undefined,
      succeed: (answer) => {
        call.answer = answer
      },
      fail: (failure) => {
        call.answer = failure
      }
    }
    return call
  }
  const placeOf = ({ answer }: { readonly answer: unknown }) => (answer as WriteReply).places?.[0]

  const openingOf = (directory: string) =>
    asked("open", {
      directory,
      holder: { hostname: "test", pid: process.pid, started: "", command: "test" },
      newLogId: "0123456789abcdef",
      witnesses: [],
      acceptRollback: false,
      checkpointPages: 1000,
      now: 2_000
    })

  it.scoped("lets nobody join who brings content, and none before others that came earlier", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const thread = new WriterThread({ failpoints: "" })
      const writes = ["a", "b", "c", "d"].map((name) =>
        asked("write", toSent(submit(name, name === "c" ? { blobs: [blobOf("a body")] } : {})))
      )
      const [a, b, c, d] = writes
      const close = asked("close", undefined)
      const late = asked("write", toSent(submit("late")))
      if (a === undefined || b === undefined || c === undefined || d === undefined) return
      const sent: Array<ReadonlyArray<boolean>> = []
      thread.handle([openingOf(directory), a], arrivals([b, c, d, close, late]), () => {
        sent.push(writes.map(({ answer }) => answer !== undefined))
      })
      // Those of a group hear before the next one is begun.
      assert.deepStrictEqual(sent, [
        [true, true, false, false],
        [true, true, true, true]
      ])
      assert.deepStrictEqual(writes.map(placeOf), [1, 2, 3, 4])
      assert.deepStrictEqual(
        writes.map(({ answer }) => (answer as WriteReply).head.position),
        [2, 2, 4, 4]
      )
      assert.deepInclude(late.answer, { message: "The log is not open." })
    })
  )

  it.scoped(
    "waits for the parts of a write that are on their way, for one commit, and for nothing else",
    () =>
      Effect.gen(function* () {
        const thread = new WriterThread({ failpoints: "" })
        const part = (write: number, isLast: boolean) => ({ part: { write, isLast } })
        const writes = [
          submit("a"),
          submit("b", part(1, false)),
          submit("c", part(2, false)),
          submit("d", part(1, true)),
          submit("e", part(2, true))
        ].map((request) => asked("write", toSent(request)))
        const [a, b, c, d, e] = writes
        if (a === undefined || b === undefined || c === undefined || d === undefined || e === undefined)
          return
        const waits: Array<boolean> = []
        const coming = [[b, c], [d], [e]]
        thread.handle(
          [openingOf(yield* temporaryDirectory), a],
          (waitMs) => {
            waits.push(waitMs > 0)
            return coming.shift() ?? []
          },
          nothing
        )
        assert.deepStrictEqual(waits, [false, true, true, false])
        assert.deepStrictEqual(
          writes.map(({ answer }) => (answer as WriteReply).head.position),
          [5, 5, 5, 5, 5]
        )
        thread.handle([asked("close", undefined)], arrivals(), nothing)
      })
  )

  it.scoped("goes on where a part does not come in time", () =>
    Effect.gen(function* () {
      const thread = new WriterThread({ failpoints: "" })
      const first = asked("write", toSent(submit("a", { part: { write: 1, isLast: false } })))
      const last = asked("write", toSent(submit("b", { part: { write: 1, isLast: true } })))
      thread.handle([openingOf(yield* temporaryDirectory), first], arrivals(), nothing)
      thread.handle([last], arrivals(), nothing)
      assert.deepStrictEqual([first, last].map(placeOf), [1, 2])
      thread.handle([asked("close", undefined)], arrivals(), nothing)
    })
  )
})
