/** C1: a clock that somebody sets by ten years, forth or back, in the middle of whatever is under way. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Schema, type Scope } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { defaultScope } from "../../events/Ids.ts"
import { Receipt } from "../../events/Receipt.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { layer, Push, TestRuntime } from "../../src/runtime/Testing.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { type ShiftedClock, shiftedClock } from "../support/shiftedClock.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, slowModel, submitOf, writeSide } from "../support/writeSide.ts"

const tenYears = Duration.days(3653)

const onClock = <E>(title: string, test: (clock: ShiftedClock) => Effect.Effect<void, E, Scope.Scope>) =>
  it.scopedLive(title, () =>
    Effect.suspend(() => {
      const clock = shiftedClock()
      return Effect.withClock(test(clock), clock.clock)
    })
  )

const settings = { embedding: { dimensions: 16 } } as const
const options = { scope: defaultScope, source: "notes" } as const

/** A life of the runtime over the directory. */
const session = <A, E>(directory: string, use: Effect.Effect<A, E, Reader | Writer | Push | TestRuntime>) =>
  Effect.scoped(Effect.provide(use, layer({ settings, directory })))

const push = (text: string) =>
  Effect.gen(function* () {
    const answer = yield* (yield* Push).push({ id: "note", text }, options)
    yield* (yield* TestRuntime).untilVisible
    return answer
  })

const request = (query: string, more: object = {}) =>
  Schema.decodeUnknownSync(SearchRequest)({ scope: defaultScope, query, mode: "sparse", limit: 5, ...more })

const found = (query: string) =>
  Effect.flatMap(Reader, ({ search }) =>
    Effect.map(search(request(query)), ({ hits }) => hits.map(({ text }) => text))
  )

describe("C1: a clock that jumps", () => {
  onClock("what is pushed later counts, although the clock says that it is earlier", ({ back, forward }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* session(directory, push("The harbour is open."))
      yield* forward(tenYears)
      yield* session(directory, push("The harbour is open."))
      yield* back(Duration.times(tenYears, 2))
      yield* session(
        directory,
        Effect.gen(function* () {
          yield* push("The harbour is closed.")
          assert.deepStrictEqual(yield* found("harbour"), ["The harbour is closed."])
          yield* forward(tenYears)
          yield* push("The harbour is frozen.")
          yield* back(tenYears)
          yield* push("The harbour is gone.")
          assert.deepStrictEqual(yield* found("harbour"), ["The harbour is gone."])
        })
      )
    })
  )

  onClock("a receipt is one, although it ends before it began", ({ back }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const root = join(directory, "root")
      mkdirSync(root)
      for (let n = 0; n < 20; n++)
        writeFileSync(join(root, `${n}.md`), `# Note ${n}\n\nOf tides and ropes.\n`)
      yield* session(
        join(directory, "data"),
        Effect.gen(function* () {
          const { add, remove } = yield* Writer
          const adding = yield* Effect.fork(
            add([root], { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined })
          )
          yield* Effect.yieldNow()
          yield* back(tenYears)
          const receipt = yield* Fiber.join(adding)
          assert.strictEqual(receipt.added, 20)
          assert.isTrue(Schema.is(Receipt)(receipt), JSON.stringify(receipt))
          const removing = yield* Effect.fork(remove([join(root, "3.md")], { scope: defaultScope }))
          yield* Effect.yieldNow()
          yield* back(tenYears)
          assert.isTrue(Schema.is(Receipt)(yield* Fiber.join(removing)))
        })
      )
    })
  )

  onClock("a search that waits gives up in its time", ({ back }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* session(
        directory,
        Effect.gen(function* () {
          yield* push("The harbour is open.")
          const { search } = yield* Reader
          const waiting = yield* Effect.fork(
            Effect.either(search(request("harbour", { minPosition: 10_000, waitMs: 300 })))
          )
          yield* Effect.sleep("50 millis")
          yield* back(tenYears)
          const ended = yield* Effect.timeout(Fiber.join(waiting), "20 seconds")
          assert.strictEqual(ended._tag === "Left" ? ended.left._tag : "", "NotYetVisible")
        })
      )
    })
  )

  const paidOnce = (happen: (clock: ShiftedClock) => Effect.Effect<void>) => (clock: ShiftedClock) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { model: slow, sent } = slowModel("400 millis")
      const context = yield* Layer.build(
        writeSide({
          directory,
          model: slow,
          settings: { lease: Duration.seconds(30), firstRetry: Duration.millis(5) }
        })
      )
      const { ask, counted, idle } = Context.get(context, Coordinator)
      yield* ask(addSource())
      yield* ask(submitOf("one", "# One\n\nA text."))
      yield* Effect.sleep("150 millis")
      yield* happen(clock)
      yield* Effect.timeout(idle, "20 seconds")
      assert.strictEqual((yield* counted).committed, 1)
      assert.strictEqual(sent(), 1)
    })

  onClock(
    "a lease ends by nobody's clock: what is under way is paid for once",
    paidOnce(({ back, forward }) =>
      Effect.gen(function* () {
        yield* forward(tenYears)
        yield* Effect.sleep("150 millis")
        yield* back(Duration.times(tenYears, 2))
      })
    )
  )

  onClock(
    "a lease does not end while the program that granted it stood still: what is under way is paid for once",
    paidOnce(({ stoodStill }) => stoodStill("1 hour"))
  )
})
