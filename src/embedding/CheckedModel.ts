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
import { AnswerUnusable, type BatchRefused, type Provider, type Purpose } from "./Provider.ts"
import { isVector, unitVector } from "./UnitVector.ts"

/** Embedded where the provider itself is in question: nothing in it can be refused for what it says. */
export const probeInput: EmbeddingInput = {
  id: "probe",
  text: "The quick brown fox jumps over the lazy dog."
}

/** Two, because some providers answer one text well and several wrongly. */
const harmlessInputs: ReadonlyArray<EmbeddingInput> = [
  probeInput,
  { id: "probe-2", text: "Bright vixens jump while dozy fowl quack." }
]

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
  /** How many harmless texts of one request were answered rightly. */
  let harmless = 0
  let tokens = 0

  /**
   * Before inputs are blamed: a provider that does no better with harmless texts is not set up right, and no document is
   * bad. `several`: the batch had several inputs, and it may be that which the provider cannot do.
   */
  const confirmHarmlessWorks = Effect.fnUntraced(function* (
    detail: string,
    inputs: ReadonlyArray<EmbeddingInput>,
    several = false
  ): Effect.fn.Return<void, ProviderError> {
    const texts = harmlessInputs.slice(0, several ? 2 : 1)
    if (harmless >= texts.length) return
    const answer = yield* Effect.either(provider.request(texts, purpose))
    if (
      answer._tag === "Left" &&
      answer.left._tag !== "BatchRefused" &&
      answer.left._tag !== "AnswerUnusable"
    )
      return yield* answer.left
    const vectors = answer._tag === "Left" ? [] : answer.right.vectors
    if (
      vectors.length !== texts.length ||
      !vectors.every((vector) => isVector(unitVector(vector, provider.dimensions)))
    )
      return yield* new ProviderRefused({
        provider: provider.name,
        detail: `${detail}; a harmless text fares no better, so check the model's settings`,
        inputs: inputs.map(({ id }) => id)
      })
    harmless = texts.length
  })

  /**
   * Whether a provider that just failed answers a harmless text: then it is no outage, and something in the batch makes
   * it fail (some servers answer 500 to a text that overflows). Asked as a question is, which fails soon.
   */
  const answersHarmless = Effect.isSuccess(Effect.suspend(() => provider.request([probeInput], "query")))

  /** One request, its answer checked. */
  const askOnce = Effect.fnUntraced(function* (
    inputs: ReadonlyArray<EmbeddingInput>
  ): Effect.fn.Return<ReadonlyArray<Outcome>, ProviderError | BatchRefused | AnswerUnusable> {
    const answer = yield* provider.request(inputs, purpose)
    if (purpose === "document") (yield* Failpoints).hit("provider.answered")
    if (answer.vectors.length !== inputs.length)
      return yield* new AnswerUnusable({
        detail: `it answered with ${answer.vectors.length} vectors for ${inputs.length} inputs`
      })
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
        failure._tag === "ProviderUnavailable" &&
        failure.unasked !== true &&
        purpose === "document" &&
        (yield* answersHarmless)
      const isUnusable = failure._tag === "AnswerUnusable"
      if (failure._tag !== "BatchRefused" && !isUnusable && !isOnThese) return yield* failure
      // Asked before the batch is divided: a provider that counts every batch wrong is not to be paid for each half of it.
      if (isUnusable) yield* confirmHarmlessWorks(failure.detail, part, part.length > 1)
      if (part.length > 1) {
        const middle = Math.ceil(part.length / 2)
        waiting.push(part.slice(middle), part.slice(0, middle))
        continue
      }
      if (failure._tag === "BatchRefused" && !failure.tooLong)
        yield* confirmHarmlessWorks(failure.detail, part)
      outcomes.push(refusal(provider, first, failure.detail, isOnThese || isUnusable))
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
