/**
 * Notices another model behind the same name: a fixed text is embedded again and compared with what it was when the
 * first vectors were stored. Mixed vectors would make every answer a little wrong, and nothing else would tell.
 */
import { Effect } from "effect"
import { type Digest, sha256 } from "../../events/Ids.ts"
import { probeInput } from "./CheckedModel.ts"
import { type EmbeddingModelService, type ProviderError, ProviderRefused } from "./EmbeddingModel.ts"

/**
 * Least cosine between two answers of one model. Servers that batch or run on other hardware differ by 1e-3 at most;
 * other models, revisions and coarser quantisations by more than this.
 */
export const leastAgreement = 0.995

/** Under which a project keeps the probe's vector beside those of its documents. The hash of no document's input. */
export const probeKey: Digest = sha256(`probe\0${probeInput.text}`)

/** The vector to be kept beside the first vectors of a model. One request. */
export const probe = Effect.fn("Probe.probe")(function* (
  model: EmbeddingModelService
): Effect.fn.Return<Float32Array, ProviderError> {
  const { refused, vectors } = yield* model.embed([probeInput])
  const [vector] = vectors
  if (vector !== undefined) return vector
  const detail = refused[0]?.detail ?? "it did not answer"
  return yield* new ProviderRefused({ provider: model.name, detail, inputs: [probeInput.id] })
})

/** Fails with `ProviderRefused` if `recorded` is another model's: embed nothing with it. Asks, unless it was `probed` already. */
export const confirmSameModel = Effect.fn("Probe.confirmSameModel")(function* (
  model: EmbeddingModelService,
  recorded: Float32Array,
  probed?: Float32Array
): Effect.fn.Return<void, ProviderError> {
  const agreement = cosine(recorded, probed ?? (yield* probe(model)))
  if (agreement >= leastAgreement) return
  const detail =
    `another model answers to this name than the one that computed the stored vectors ` +
    `(they agree by ${agreement.toFixed(3)}, at least ${leastAgreement} is expected). ` +
    `Restore the former model, or configure the new one under a name of its own and run reprise build`
  return yield* new ProviderRefused({ provider: model.name, detail, inputs: [probeInput.id] })
})

/** Of unit vectors; 0 where the dimensions differ. */
const cosine = (one: Float32Array, other: Float32Array): number =>
  one.length === other.length ? one.reduce((sum, value, i) => sum + value * (other[i] ?? 0), 0) : 0
