/**
 * How long a model's vectors are, where nobody says: known from an earlier run, else asked once with a harmless text.
 */
import { Effect } from "effect"
import type { CodeFingerprint } from "../../events/Ids.ts"
import { probeInput } from "./CheckedModel.ts"
import { type ProviderError, ProviderRefused } from "./EmbeddingModel.ts"
import type { Pace } from "./Pacing.ts"
import type { Provider, RequestError } from "./Provider.ts"

/** A model that an earlier run used, as generations remember it. */
export interface KnownModel {
  readonly model: CodeFingerprint
  readonly dimensions: number
}

export interface LearntDimensionsOptions {
  readonly name: string
  /** As configured. */
  readonly dimensions: number | undefined
  readonly known: ReadonlyArray<KnownModel>
  /** The model's own if its vectors had this length. */
  readonly fingerprint: (dimensions: number) => CodeFingerprint
  readonly pace: Pace
  readonly request: Provider["request"]
}

export const learntDimensions = ({
  dimensions,
  fingerprint,
  known,
  name,
  pace,
  request
}: LearntDimensionsOptions): Effect.Effect<number, ProviderError> => {
  const learnt = dimensions ?? known.find((one) => fingerprint(one.dimensions) === one.model)?.dimensions
  if (learnt !== undefined) return Effect.succeed(learnt)
  return pace.run(ask(name, request), "query").pipe(asProviderRefusal(name))
}

/** More is no embedding model that we know of, and would only be memory. */
const mostDimensions = 65_536

const ask = (name: string, request: Provider["request"]) =>
  Effect.gen(function* () {
    const { vectors } = yield* request([probeInput], "document")
    const [vector] = vectors
    const isList = Array.isArray(vector) || vector instanceof Float32Array
    if (isList && vector.length > 0 && vector.length <= mostDimensions) return vector.length
    const detail = `it answered a first request without a vector of 1 to ${mostDimensions} numbers`
    return yield* new ProviderRefused({ provider: name, detail, inputs: [probeInput.id] })
  })

/** What refuses a harmless text, or has no answer to it, is not set up right. */
const asProviderRefusal =
  (provider: string) =>
  <A>(asked: Effect.Effect<A, RequestError>): Effect.Effect<A, ProviderError> =>
    Effect.mapError(asked, (error) => {
      if (error._tag !== "BatchRefused" && error._tag !== "AnswerUnusable") return error
      const detail = `${error.detail}; so it does with a harmless text: check the model's settings`
      return new ProviderRefused({ provider, detail, inputs: [probeInput.id] })
    })
