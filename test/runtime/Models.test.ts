import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { EmbeddingModel } from "../../src/embedding/EmbeddingModel.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { modelLayer } from "../../src/runtime/Models.ts"
import { EmbeddingSettings } from "../../src/runtime/Settings.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const settings = Schema.decodeSync(EmbeddingSettings)

const modelOf = (encoded: typeof EmbeddingSettings.Encoded) =>
  Effect.provide(EmbeddingModel, modelLayer(settings(encoded), analyzer, []))

describe("the model that settings describe", () => {
  it.scopedLive("is hashing by default, in the configured dimensions", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* modelOf({})).name, "hashing-512")
      assert.strictEqual((yield* modelOf({ dimensions: 64 })).name, "hashing-64")
    }).pipe(Effect.provide(Providers.layer))
  )

  it.scopedLive("is asked as configured", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const encoded = { provider: "openai", url: server.url, model: "m", dimensions: 8, apiKey: "k" } as const
      const layer = modelLayer(settings({ ...encoded, batchSize: 2, documentPrefix: "p: " }), analyzer, [])
      const model = yield* Effect.flatMap(EmbeddingModel, (model) =>
        Effect.as(model.embed(["a", "b", "c"].map((text) => ({ id: text, text }))), model)
      ).pipe(Effect.provide(layer))
      assert.strictEqual(model.name, "openai:m")
      assert.deepStrictEqual(
        server.requests.map(({ body, headers }) => [body.input, headers.authorization]),
        [
          [["p: a", "p: b"], "Bearer k"],
          [["p: c"], "Bearer k"]
        ]
      )
    }).pipe(Effect.provide(Providers.layer))
  )
})
