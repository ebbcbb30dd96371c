/**
 * The embedding model that settings describe. The only place that knows every kind of provider.
 */
import { Layer } from "effect"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { EmbeddingModel, ProviderError } from "../embedding/EmbeddingModel.ts"
import * as HashingModel from "../embedding/HashingModel.ts"
import * as OpenAiModel from "../embedding/OpenAiModel.ts"
import type { Providers } from "../embedding/Providers.ts"
import { ConfigInvalid } from "./ConfigInvalid.ts"
import type { EmbeddingSettings } from "./Settings.ts"

/**
 * `known`: models and dimensions of the generations there are, so that a provider is asked for its dimensions only once,
 * and work that embeds nothing needs none. Loaded settings never lead to `ConfigInvalid`: `loadConfig` refuses them.
 */
export const modelLayer = (
  settings: EmbeddingSettings,
  analyzer: Analyzer,
  known: ReadonlyArray<OpenAiModel.KnownModel>
): Layer.Layer<EmbeddingModel, ProviderError | ConfigInvalid, Providers> => {
  const { apiKey, dimensions, model, provider, url } = settings
  if (provider === "hashing")
    return HashingModel.layer(dimensions === undefined ? { analyzer } : { analyzer, dimensions })
  if (provider === "local" || url === undefined || model === undefined)
    return Layer.fail(
      new ConfigInvalid({
        problems: [
          {
            where: "The settings",
            key: "embedding",
            found: `without what the provider "${provider}" needs`,
            expected: "an address and a model",
            remedy: "Set both."
          }
        ]
      })
    )
  const {
    attempts,
    batchSize,
    concurrency,
    documentPrefix,
    maxInputTokens,
    patience,
    queryPrefix,
    timeout,
    verifyTls
  } = settings
  return OpenAiModel.layer(
    {
      url,
      model,
      dimensions,
      apiKey,
      verifyTls,
      batchSize,
      maxInputTokens,
      timeout,
      denseWeight: OpenAiModel.openAiDefaults.denseWeight,
      documentPrefix,
      queryPrefix,
      pacing: { concurrency, attempts, patience }
    },
    known
  )
}
