import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Layer, Schema, Stream } from "effect"
import { CommandId, defaultScope, ProjectScope, requestedOf } from "../../events/index.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { layer, Push, type PushOptions, TestRuntime } from "../../src/runtime/Testing.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const search = (query: string, filter: SearchRequest["filter"] = {}) =>
  Effect.flatMap(Reader, (reader) =>
    reader.search(
      Schema.decodeSync(SearchRequest)({ scope: defaultScope, query, mode: "hybrid", limit: 5, filter })
    )
  )
const found = (query: string, filter?: SearchRequest["filter"]) =>
  Effect.map(search(query, filter), ({ hits }) => hits.map(({ uri }) => uri))

const options: PushOptions = { scope: defaultScope, source: "crm" }
const push = (id: string, text: string, more: Partial<PushOptions> = {}) =>
  Effect.flatMap(Push, (pushed) =>
    pushed.push({ id, text, metadata: { kind: id.slice(0, 4) } }, { ...options, ...more })
  )
const untilVisible = Effect.flatMap(TestRuntime, (runtime) => runtime.untilVisible)

describe("reprise/testing", () => {
  it.effect("what is pushed is found once it is visible, under a test's clock that stands still", () =>
    Effect.gen(function* () {
      const accepted = yield* push("call-1", "Ada asked about the ferry to the island.")
      assert.strictEqual(accepted.outcome, "accepted")
      yield* push("mail-1", "Grace wants an invoice for the ferry.")
      yield* untilVisible
      assert.deepStrictEqual(yield* found("island ferry"), ["push:crm/call-1", "push:crm/mail-1"])
      assert.deepStrictEqual(yield* found("ferry", { metadata: [{ key: "kind", in: ["mail"] }] }), [
        "push:crm/mail-1"
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("pushed again a document is replaced, equal it is unchanged, withdrawn it is gone", () =>
    Effect.gen(function* () {
      yield* push("note", "The meeting is on Monday.")
      yield* push("note", "The meeting is on Tuesday.")
      yield* untilVisible
      const answer = yield* search("meeting")
      assert.deepStrictEqual(
        answer.hits.map(({ text, version }) => [text.trim(), version]),
        [["The meeting is on Tuesday.", 2]]
      )
      assert.strictEqual((yield* push("note", "The meeting is on Tuesday.")).outcome, "unchanged")
      yield* (yield* Push).withdraw("note", options)
      yield* untilVisible
      assert.deepStrictEqual(yield* found("meeting"), [])
      yield* push("note", "The meeting is on Tuesday.")
      yield* untilVisible
      assert.deepStrictEqual(yield* found("meeting"), ["push:crm/note"])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("a revision that comes late changes nothing", () =>
    Effect.gen(function* () {
      yield* push("note", "Second.", { revision: "2" })
      const late = yield* push("note", "First.", { revision: "1" })
      assert.strictEqual(late.outcome, "superseded")
    }).pipe(Effect.provide(layer()))
  )

  it.effect(
    "sent again under its command's id, a push gets its first answer; another body is a conflict",
    () =>
      Effect.gen(function* () {
        const commandId = CommandId.make("crm-17")
        const first = yield* push("note", "The meeting is on Monday.", { commandId })
        yield* push("note", "The meeting is on Tuesday.")
        assert.deepStrictEqual(yield* push("note", "The meeting is on Monday.", { commandId }), first)
        const conflict = yield* Effect.flip(push("note", "The meeting is off.", { commandId }))
        assert.strictEqual(conflict._tag, "CommandConflict")
        yield* untilVisible
        assert.strictEqual((yield* search("meeting")).hits[0]?.text.trim(), "The meeting is on Tuesday.")
      }).pipe(Effect.provide(layer()))
  )

  it.effect("the order keys of a project's pushes say nothing of what other projects push", () =>
    Effect.gen(function* () {
      const other = Schema.decodeSync(ProjectScope)({ team: "other", project: "busy" })
      const keys = (busy: number) =>
        Effect.gen(function* () {
          for (let n = 0; n < busy; n++) yield* push(`mail-${n}`, "Busy.", { scope: other })
          yield* push("note", "Quiet.")
          const { events } = yield* Reader
          const own = yield* Stream.runCollect(
            events(0, { ...defaultScope, types: ["DocumentSubmitted"] }, false)
          )
          return Chunk.toReadonlyArray(own).map(({ data }) => data)
        }).pipe(Effect.provide(layer()))
      assert.deepStrictEqual(yield* keys(5), yield* keys(0))
    })
  )

  it.effect("pushing to a source that was removed adds it again", () =>
    Effect.gen(function* () {
      yield* push("note", "The ferry leaves at noon.")
      yield* (yield* Writer).remove(["crm"], { scope: defaultScope })
      assert.deepStrictEqual(yield* found("ferry"), [])
      yield* push("note", "The ferry leaves at two.")
      yield* untilVisible
      assert.deepStrictEqual(yield* found("ferry"), ["push:crm/note"])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("a document whose sender gave it no real URI keeps nobody from asking for others", () =>
    Effect.gen(function* () {
      const { push: pushed } = yield* Push
      yield* pushed({ id: "odd", text: "A path that no file can have.", uri: "file://%zz" }, options)
      const { get: document } = yield* Reader
      const unknown = yield* Effect.flip(document(defaultScope, "nosuch"))
      assert.strictEqual(unknown._tag, "DocumentUnknown")
      assert.strictEqual((yield* document(defaultScope, "file://%zz")).uri, "file://%zz")
    }).pipe(Effect.provide(layer()))
  )

  it.effect("an id with half a character is refused", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* Effect.flip(push("\ud800", "Text.")))._tag, "PushInvalid")
    }).pipe(Effect.provide(layer()))
  )

  it.effect("a document that is not valid is refused by name of the source, and nothing is stored", () =>
    Effect.gen(function* () {
      const { status } = yield* Reader
      const before = yield* status()
      const refused = yield* Effect.flip(push("", "Without an id."))
      assert.strictEqual(refused._tag, "PushInvalid")
      assert.include(refused.message, "crm")
      assert.strictEqual((yield* status()).log.headPosition, before.log.headPosition)
    }).pipe(Effect.provide(layer()))
  )

  it.scoped("directories are added, and a deleted index is replayed, in the caller's thread", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      mkdirSync(join(root, "notes"))
      writeFileSync(
        join(root, "notes", "ferry.md"),
        "# Ferries\n\nThe ferry crosses the harbour every hour.\n"
      )
      writeFileSync(join(root, "tide.txt"), "The tide turns twice a day.\n")
      yield* Effect.gen(function* () {
        const { add, replay } = yield* Writer
        const { directory } = yield* TestRuntime
        const receipt = yield* add([root], {
          scope: defaultScope,
          include: [],
          exclude: [],
          full: false,
          stop: undefined
        })
        assert.deepStrictEqual([receipt.added, requestedOf(receipt)], [2, receipt.requested])
        rmSync(join(directory, "index"), { recursive: true })
        assert.isTrue((yield* search("ferry")).degraded)
        const replayed = yield* replay(() => Effect.void)
        assert.deepStrictEqual([replayed.fingerprint.equal, replayed.embeddings.computed], [true, 0])
        assert.isFalse((yield* search("ferry")).degraded)
      }).pipe(Effect.provide(layer()))
    })
  )

  it.effect("its directory goes with its scope; one that was given is kept, with what it holds", () =>
    Effect.gen(function* () {
      const own = yield* Effect.scoped(
        Effect.gen(function* () {
          const runtime = yield* Layer.build(layer())
          const { directory } = yield* Effect.provide(TestRuntime, runtime)
          assert.isTrue(existsSync(join(directory, "log.sqlite")))
          return directory
        })
      )
      assert.isFalse(existsSync(own))
      const directory = yield* temporaryDirectory
      const given = layer({ directory })
      yield* Effect.provide(Effect.zipRight(push("note", "Kept over a restart."), untilVisible), given)
      const afterwards = yield* Effect.provide(found("restart"), layer({ directory }))
      assert.deepStrictEqual(afterwards, ["push:crm/note"])
    }).pipe(Effect.scoped)
  )
})
