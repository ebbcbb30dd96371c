import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { GenerationOpen } from "../../events/Commands.ts"
import { codeFingerprint, defaultScope } from "../../events/Ids.ts"
import { requestedOf } from "../../events/Receipt.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const settings = Schema.decodeSync(Settings)({})
const embedded = (path: string, failpoints = "") =>
  Embedded.layer({
    failpoints,
    configuration: { settings, directory: { path, origin: "flag", files: filesIn(path, join) } },
    command: "test"
  })

const request = (query: string, mode: SearchRequest["mode"] = "hybrid") =>
  Schema.decodeSync(SearchRequest)({ scope: defaultScope, query, mode, limit: 5 })

const addOptions = { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined }
const silent = () => Effect.void

const files = Effect.gen(function* () {
  const root = yield* temporaryDirectory
  mkdirSync(join(root, "notes"))
  writeFileSync(join(root, "notes", "ferry.md"), "# Ferries\n\nThe ferry crosses the harbour every hour.\n")
  writeFileSync(join(root, "notes", "engine.md"), "# Engines\n\nAn engine needs oil and a clean valve.\n")
  writeFileSync(join(root, "tide.txt"), "The tide turns twice a day in the harbour.\n")
  return root
})

describe("the embedded runtime", () => {
  it.scopedLive(
    "adds a directory, searches it in three modes, and replays a deleted index to the same fingerprint",
    () =>
      Effect.gen(function* () {
        const root = yield* files
        const data = yield* temporaryDirectory
        const first = yield* Effect.scoped(
          Effect.gen(function* () {
            const context = yield* Layer.build(embedded(data))
            return yield* Effect.provide(
              Effect.gen(function* () {
                const { add, replay } = yield* Writer
                const { search, status } = yield* Reader
                const receipt = yield* add([root], addOptions)
                assert.strictEqual(receipt.added, 3, JSON.stringify(receipt))
                assert.strictEqual(receipt.requested, requestedOf(receipt))
                for (const mode of ["sparse", "dense", "hybrid"] as const) {
                  const answer = yield* search(request("ferry in the harbour", mode))
                  assert.include(answer.hits[0]?.uri, "ferry.md", mode)
                  assert.isFalse(answer.degraded)
                }
                const again = yield* add([root], addOptions)
                assert.deepStrictEqual([again.unchanged, again.embeddings.computed], [3, 0])
                rmSync(join(data, "index"), { recursive: true })
                rmSync(root, { recursive: true })
                const degraded = yield* search(request("ferry in the harbour"))
                assert.isTrue(degraded.degraded)
                assert.include(degraded.hits[0]?.uri, "ferry.md")
                const replayed = yield* replay(silent)
                assert.isTrue(replayed.fingerprint.equal)
                assert.strictEqual(replayed.embeddings.computed, 0)
                const whole = yield* search(request("ferry in the harbour"))
                assert.isFalse(whole.degraded)
                assert.deepStrictEqual(
                  whole.hits.map(({ chunkId, score }) => [chunkId, score]),
                  degraded.hits.map(({ chunkId, score }) => [chunkId, score])
                )
                const state = yield* status(defaultScope)
                assert.strictEqual(state.documents, 3)
                return replayed
              }),
              context
            )
          })
        )
        assert.strictEqual(first.chunks, 3)
      }),
    60_000
  )

  it.scopedLive(
    "gives up an unfinished build when another spec is built, and keeps nothing of it",
    () =>
      Effect.gen(function* () {
        const root = yield* files
        const data = yield* temporaryDirectory
        const context = yield* Layer.build(embedded(data))
        yield* Effect.gen(function* () {
          const { add, build, replay } = yield* Writer
          const { status } = yield* Reader
          const coordinator = yield* Coordinator
          const { live } = yield* ReadModels
          yield* add([root], addOptions)
          const row = yield* live
          if (row === undefined) return assert.fail("Nothing is live.")
          const unwanted = { ...row.spec, model: codeFingerprint("unwanted", []), modelName: "unwanted" }
          yield* coordinator.operate(new GenerationOpen({ spec: unwanted, reason: "build" }))
          const replayed = yield* replay(silent)
          assert.strictEqual(replayed.generation.to, "g003")
          const { generations } = yield* status(defaultScope)
          assert.deepStrictEqual(
            generations.map(({ id, state }) => [id, state]),
            [["g003", "live"]]
          )
          assert.strictEqual((yield* build({ excluded: [], onProgress: silent })).embeddings.computed, 0)
        }).pipe(Effect.provide(context))
      }),
    60_000
  )

  it.scopedLive(
    "goes on when the thread of the index dies, however often",
    () =>
      Effect.gen(function* () {
        const root = yield* files
        const context = yield* Layer.build(embedded(yield* temporaryDirectory, "state.commit.before:2:exit"))
        yield* Effect.gen(function* () {
          const { add } = yield* Writer
          const { search } = yield* Reader
          for (const word of ["lighthouse", "pilot", "anchor"]) {
            writeFileSync(join(root, `${word}.md`), `# ${word}\n\nWhere the ${word} is.\n`)
            yield* add([root], addOptions)
            const { degraded, hits } = yield* search(request(word))
            assert.deepStrictEqual([degraded, hits[0]?.title], [false, word])
          }
        }).pipe(Effect.provide(context), Effect.timeout("40 seconds"))
      }),
    60_000
  )
})
