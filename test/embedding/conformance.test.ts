/** Every implementation there is, in one registry: one that is missing here is missing for good. */
import { Duration, Effect, Layer } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import * as HashingModel from "../../src/embedding/HashingModel.ts"
import * as OpenAiModel from "../../src/embedding/OpenAiModel.ts"
import { usualPacing } from "../../src/embedding/Pacing.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { embeddingConformance } from "../conformance/embedding.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"

const openai = Layer.unwrapScoped(
  Effect.map(makeProviderServer(), ({ url }) =>
    OpenAiModel.layer({
      ...OpenAiModel.openAiDefaults,
      url,
      model: "test-model",
      timeout: Duration.seconds(10),
      pacing: usualPacing
    })
  )
).pipe(Layer.provide(Providers.layer))

const hashing = HashingModel.layer({
  analyzer: makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
})

const registry = { hashing, openai }

for (const [name, layer] of Object.entries(registry)) embeddingConformance(name, layer)
