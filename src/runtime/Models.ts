/**
 * The embedding model that settings describe. The only place that knows every kind of provider.
 */
import { Layer } from "effect"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { EmbeddingModel, ProviderError } from "../embedding/EmbeddingModel.ts"
import * as HashingModel from "../embedding/HashingModel.ts"
import type { KnownModel } from "../embedding/LearntDimensions.ts"
import * as LocalModel from "../embedding/LocalModel.ts"
import * as OpenAiModel from "../embedding/OpenAiModel.ts"
import type { Providers } from "../embedding/Providers.ts"
import { ConfigInvalid } from "./ConfigInvalid.ts"
import type { EmbeddingSettings } from "./Settings.ts"

/**
 * `known`: models and dimensions of the generations there are, so that a provider is asked for its dimensions only once,
 * and work that embeds nothing needs none. Fails with `ConfigInvalid` where a `local` model is not there; of the others
 * loaded settings never lead to it: `loadConfig` refuses them.
 */
export const modelLayer = (
  settings: EmbeddingSettings,
  analyzer: Analyzer,
  known: ReadonlyArray<KnownModel>
): Layer.Layer<EmbeddingModel, ProviderError | ConfigInvalid, Providers> => {
  const {
    apiKey,
    attempts,
    batchSize,
    concurrency,
    dimensions,
    documentPrefix,
    maxInputTokens,
    model,
    modelFile,
    patience,
    pooling,
    provider,
    queryPrefix,
    timeout,
    url,
    verifyTls
  } = settings
  if (provider === "hashing")
    return HashingModel.layer(dimensions === undefined ? { analyzer } : { analyzer, dimensions })
  const asked = {
    dimensions,
    batchSize,
    maxInputTokens,
    timeout,
    denseWeight: OpenAiModel.openAiDefaults.denseWeight,
    documentPrefix,
    queryPrefix,
    pacing: { concurrency, attempts, patience }
  }
  if (provider === "local" && model !== undefined)
    return Layer.catchAll(
      LocalModel.layer({ ...asked, directory: model, modelFile, pooling }, known),
      (error) =>
        error._tag === "LocalModelUnusable"
          ? invalid(`embedding.${error.setting}`, error.found, error.expected, error.remedy)
          : Layer.fail(error)
    )
  if (provider === "local" || url === undefined || model === undefined) {
    const found = `without what the provider "${provider}" needs`
    return invalid("embedding", found, "an address and a model", "Set both.")
  }
  return OpenAiModel.layer({ ...asked, url, model, apiKey, verifyTls }, known)
}

const invalid = (
  key: string,
  found: string,
  expected: string,
  remedy: string
): Layer.Layer<EmbeddingModel, ProviderError | ConfigInvalid> =>
  Layer.fail(new ConfigInvalid({ problems: [{ where: "The settings", key, found, expected, remedy }] }))
