/**
 * Makes a model of a provider: splits, finds out which input is to blame, and lets no vector pass that is not one.
 *
 * The check is written here once, for every implementation; nothing that fails it is ever stored.
 */
import { Effect } from "effect"
import { Failpoints } from "../faults/Failpoints.ts"
import {
  type Embedded,
  type EmbeddingInput,
  type EmbeddingModelService,
  InputRefused,
  type ProviderError,
  ProviderRefused
} from "./EmbeddingModel.ts"
import type { BatchRefused, Provider, Purpose } from "./Provider.ts"
import { isVector, unitVector } from "./UnitVector.ts"

/** Embedded where the provider itself is in question: nothing in it can be refused for what it says. */
export const probeInput: EmbeddingInput = {
  id: "probe",
  text: "The quick brown fox jumps over the lazy dog."
}

export const checkedModel = (provider: Provider): EmbeddingModelService => {
  const { request: _, ...properties } = provider
  return {
    ...properties,
    embed: Effect.fn("EmbeddingModel.embed")((inputs) => embedAll(provider, inputs, "document")),
    embedQuery: Effect.fn("EmbeddingModel.embedQuery")(function* (text) {
      const { refused, vectors } = yield* embedAll(provider, [{ id: "query", text }], "query")
      const vector = vectors[0]
      if (vector !== undefined) return vector
      return yield* refused[0] ?? refusal(provider, { id: "query", text }, "it was not answered")
    })
  }
}

/** About four bytes of English a token: for providers that do not count. */
export const estimatedTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / 4)

/** What happened to one input. */
type Outcome = Float32Array | InputRefused

const embedAll = Effect.fnUntraced(function* (
  provider: Provider,
  inputs: ReadonlyArray<EmbeddingInput>,
  purpose: Purpose
): Effect.fn.Return<Embedded, ProviderError> {
  const outcomes = new Map<number, Outcome>()
  const asked: Array<{ readonly index: number; readonly input: EmbeddingInput }> = []
  for (const [index, input] of inputs.entries()) {
    if (input.text.trim() === "") outcomes.set(index, refusal(provider, input, "it is empty"))
    else asked.push({ index, input: { id: input.id, text: input.text.toWellFormed() } })
  }
  const { ask, tokens } = conversation(provider, purpose)
  for (let from = 0; from < asked.length; from += provider.batchSize) {
    const part = asked.slice(from, from + provider.batchSize)
    const answers = yield* ask(part.map(({ input }) => input))
    for (const [i, { index }] of part.entries()) {
      const outcome = answers[i]
      if (outcome !== undefined) outcomes.set(index, outcome)
    }
  }
  const refused: Array<InputRefused> = []
  const vectors = inputs.map((_, index) => {
    const outcome = outcomes.get(index)
    if (outcome instanceof Float32Array) return outcome
    if (outcome !== undefined) refused.push(outcome)
    return undefined
  })
  return { vectors, refused, tokens: tokens() }
})

/** The requests of one call. Remembers whether the provider was found to work, so that this is asked once. */
const conversation = (provider: Provider, purpose: Purpose) => {
  let harmlessWorks = false
  let tokens = 0

  const malformed = (detail: string, inputs: ReadonlyArray<EmbeddingInput>) =>
    new ProviderRefused({ provider: provider.name, detail, inputs: inputs.map(({ id }) => id) })

  /** Before inputs are blamed: a provider that refuses a harmless text too is not set up right, and no document is bad. */
  const confirmHarmlessWorks = Effect.fnUntraced(function* (
    detail: string,
    inputs: ReadonlyArray<EmbeddingInput>
  ): Effect.fn.Return<void, ProviderError> {
    if (harmlessWorks) return
    const answer = yield* Effect.either(provider.request([probeInput], purpose))
    if (answer._tag === "Left" && answer.left._tag !== "BatchRefused") return yield* answer.left
    if (answer._tag === "Left" || !isVector(unitVector(answer.right.vectors[0], provider.dimensions)))
      return yield* malformed(
        `${detail}; a harmless text fares no better, so check the model's settings`,
        inputs
      )
    harmlessWorks = true
  })

  /**
   * Whether a provider that just failed answers a harmless text: then it is no outage, and something in the batch makes
   * it fail (some servers answer 500 to a text that overflows). Asked as a question is, which fails soon.
   */
  const answersHarmless = Effect.isSuccess(Effect.suspend(() => provider.request([probeInput], "query")))

  /** One request, its answer checked. */
  const askOnce = Effect.fnUntraced(function* (
    inputs: ReadonlyArray<EmbeddingInput>
  ): Effect.fn.Return<ReadonlyArray<Outcome>, ProviderError | BatchRefused> {
    const answer = yield* provider.request(inputs, purpose)
    if (purpose === "document") (yield* Failpoints).hit("provider.answered")
    if (answer.vectors.length !== inputs.length) {
      const counts = `${answer.vectors.length} vectors for ${inputs.length} inputs`
      return yield* malformed(`it answered with ${counts}`, inputs)
    }
    const outcomes: Array<Outcome> = []
    let unusable = 0
    let problem = ""
    for (const [i, input] of inputs.entries()) {
      const vector = unitVector(answer.vectors[i], provider.dimensions)
      if (isVector(vector)) {
        outcomes.push(vector)
        continue
      }
      problem = `its vector ${vector.problem}`
      unusable++
      outcomes.push(refusal(provider, input, problem))
    }
    // One unusable answer among good ones speaks against its input (models do overflow), nothing but unusable ones
    // perhaps against the provider.
    if (unusable === inputs.length) yield* confirmHarmlessWorks(problem, inputs)
    tokens += answer.tokens ?? inputs.reduce((sum, { text }) => sum + estimatedTokens(text), 0)
    return outcomes
  })

  /** One outcome for each input. Halves what is refused until the refused input stands alone: 2n − 1 requests at most. */
  const ask = Effect.fnUntraced(function* (
    inputs: ReadonlyArray<EmbeddingInput>
  ): Effect.fn.Return<ReadonlyArray<Outcome>, ProviderError> {
    const outcomes: Array<Outcome> = []
    const waiting: Array<ReadonlyArray<EmbeddingInput>> = [inputs]
    for (let part = waiting.pop(); part !== undefined; part = waiting.pop()) {
      const [first] = part
      if (first === undefined) continue
      const answer = yield* Effect.either(askOnce(part))
      if (answer._tag === "Right") {
        outcomes.push(...answer.right)
        continue
      }
      const failure = answer.left
      const isOnThese =
        failure._tag === "ProviderUnavailable" && purpose === "document" && (yield* answersHarmless)
      if (failure._tag !== "BatchRefused" && !isOnThese) return yield* failure
      if (part.length > 1) {
        const middle = Math.ceil(part.length / 2)
        waiting.push(part.slice(middle), part.slice(0, middle))
        continue
      }
      if (failure._tag === "BatchRefused" && !failure.tooLong)
        yield* confirmHarmlessWorks(failure.detail, part)
      outcomes.push(refusal(provider, first, failure.detail, isOnThese))
    }
    return outcomes
  })

  return { ask, tokens: () => tokens }
}

const refusal = (
  provider: Provider,
  input: EmbeddingInput,
  detail: string,
  retryable = false
): InputRefused => new InputRefused({ provider: provider.name, inputs: [input.id], detail, retryable })
