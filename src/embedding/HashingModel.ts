/**
 * The model that needs nothing: signed feature hashing, offline and without a download, so that everything works in a
 * minute. It knows words and spellings, not meanings; `HashingFeatures.ts` has the function.
 */
import { Duration, Effect, Layer } from "effect"
import { codeFingerprint } from "../../events/Ids.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import { checkedModel } from "./CheckedModel.ts"
import { EmbeddingModel, type EmbeddingModelService } from "./EmbeddingModel.ts"
import { defaultDimensions, hashingFeatures, hashingFeaturesVersion } from "./HashingFeatures.ts"

export interface HashingSettings {
  readonly analyzer: Analyzer
  readonly dimensions?: number
  /** Lets others run between two inputs; a simulation gives its own. */
  readonly breathe?: Effect.Effect<void>
}

/** A longer text (no chunk is, a query may be) is read up to here, so that no single input takes long. UTF-16 code units. */
export const mostCharacters = 65_536

/** One turn of the event loop: yielding to other fibers alone would let timers and sockets wait. */
const turnOfTheLoop: Effect.Effect<void> = Effect.async((resume) => {
  const turn = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(turn))
})

export const layer = (settings: HashingSettings): Layer.Layer<EmbeddingModel> =>
  Layer.sync(EmbeddingModel, () => make(settings))

export const make = ({
  analyzer,
  breathe = turnOfTheLoop,
  dimensions = defaultDimensions
}: HashingSettings): EmbeddingModelService => {
  const name = `hashing-${dimensions}`
  return checkedModel({
    fingerprint: codeFingerprint(name, [
      "hashing",
      hashingFeaturesVersion,
      String(dimensions),
      "unit",
      String(mostCharacters),
      analyzer.fingerprint
    ]),
    name,
    dimensions,
    maxInputTokens: 8192,
    batchSize: 64,
    // Some are recorded while the next are computed.
    concurrency: 4,
    // Measured on judged collections: with equal weight, hybrid search is worse than sparse alone.
    denseWeight: 0.2,
    timeout: Duration.minutes(1),
    request: Effect.fnUntraced(function* (inputs) {
      const vectors: Array<Float32Array> = []
      for (const { text } of inputs) {
        vectors.push(hashingFeatures(analyzer.analyze(text.slice(0, mostCharacters)), dimensions))
        yield* breathe
      }
      return { vectors, tokens: undefined }
    })
  })
}
