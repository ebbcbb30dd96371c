import { existsSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import {
  defaultScope,
  openEmbedded,
  openReading,
  Push,
  Reader,
  SearchRequest,
  Writer
} from "../../src/runtime/Client.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const request = Schema.decodeSync(SearchRequest)({
  scope: defaultScope,
  query: "ferry",
  mode: "sparse",
  limit: 3
})
const found = Effect.flatMap(Reader, ({ search }) => search(request)).pipe(
  Effect.map(({ hits }) => hits.map(({ uri }) => uri))
)
const pushed = Effect.gen(function* () {
  const { push } = yield* Push
  yield* push({ id: "1", text: "The ferry leaves at noon." }, { scope: defaultScope, source: "desk" })
  yield* (yield* Writer).settled
})

describe("the package reprise", () => {
  it.scopedLive("opens a directory that is not there yet, writes, and finds", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      yield* Effect.provide(
        Effect.zipRight(
          pushed,
          Effect.map(found, (uris) => assert.deepStrictEqual(uris, ["push:desk/1"]))
        ),
        openEmbedded({ directory })
      )
      assert.deepStrictEqual(yield* Effect.provide(found, openReading({ directory })), ["push:desk/1"])
    })
  )

  it.scopedLive(
    "one writes, any number read beside it; a second writer is refused and told of the first",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const writer = yield* Layer.build(openEmbedded({ directory, command: "the first" }))
        yield* Effect.provide(pushed, writer)
        assert.deepStrictEqual(yield* Effect.provide(found, openReading({ directory })), ["push:desk/1"])
        const second = yield* Effect.flip(Effect.scoped(Layer.build(openEmbedded({ directory }))))
        assert.include(second.message, "the first")
      })
  )

  it.scopedLive("settings come from the environment where one is given, and from the call before it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const dimensions = (options: Omit<Parameters<typeof openEmbedded>[0], "directory">) =>
        // A new directory's first generation is there once its writer has settled.
        Effect.flatMap(Writer, ({ settled }) => settled).pipe(
          Effect.zipRight(Effect.flatMap(Reader, ({ status }) => status())),
          Effect.map(({ generations }) => generations[0]?.model),
          Effect.provide(openEmbedded({ directory: join(directory, String(++runs)), ...options }))
        )
      let runs = 0
      const environment = { REPRISE_EMBEDDING_DIMENSIONS: "64" }
      assert.strictEqual(yield* dimensions({}), "hashing-512")
      assert.strictEqual(yield* dimensions({ environment }), "hashing-64")
      const settings = { "embedding.dimensions": 32 }
      assert.strictEqual(yield* dimensions({ environment, settings }), "hashing-32")
    })
  )

  it.scopedLive("a setting that cannot be is refused with its name, and nothing is made", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      const refused = yield* Effect.flip(
        Effect.scoped(Layer.build(openEmbedded({ directory, settings: { "embedding.batchSize": 0 } })))
      )
      assert.strictEqual(refused._tag, "ConfigInvalid")
      assert.include(refused.message, "embedding.batchSize")
      assert.isFalse(existsSync(directory))
    })
  )

  it.scopedLive(
    "a setting that there is not is refused, with those that there are: it would do nothing",
    () =>
      Effect.gen(function* () {
        const directory = join(yield* temporaryDirectory, "data")
        const settings = { "embedding.provder": "openai", "files.jobs": undefined }
        const refused = yield* Effect.flip(Effect.scoped(Layer.build(openEmbedded({ directory, settings }))))
        assert.strictEqual(refused._tag, "ConfigInvalid")
        assert.match(refused.message, /"embedding\.provder" is no setting, expected one of provider, url/)
        assert.isFalse(existsSync(directory))
      })
  )

  it.scopedLive("the directory's reprise.json counts", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "reprise.json"), JSON.stringify({ embedding: { dimensions: 48 } }))
      const status = yield* Effect.provide(
        // The Coordinator opens the first generation in its own time: settled means that it has.
        Effect.zipRight(
          Effect.flatMap(Writer, (writer) => writer.settled),
          Effect.flatMap(Reader, (reader) => reader.status())
        ),
        openEmbedded({ directory })
      )
      assert.strictEqual(status.generations[0]?.model, "hashing-48")
    })
  )
})
