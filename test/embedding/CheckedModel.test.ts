import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit } from "effect"
import { codeFingerprint } from "../../events/Ids.ts"
import { checkedModel } from "../../src/embedding/CheckedModel.ts"
import { type EmbeddingInput, ProviderBusy, ProviderUnavailable } from "../../src/embedding/EmbeddingModel.ts"
import { BatchRefused, type Provider } from "../../src/embedding/Provider.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"

/** A provider that answers [length of the text, 1] and records what it is asked. */
const fake = (answer: (texts: ReadonlyArray<string>) => ReturnType<Provider["request"]>) => {
  const requests: Array<ReadonlyArray<string>> = []
  const provider: Provider = {
    fingerprint: codeFingerprint("fake", []),
    name: "fake",
    dimensions: 2,
    maxInputTokens: 100,
    batchSize: 64,
    concurrency: 1,
    denseWeight: 1,
    timeout: Duration.seconds(1),
    request: (inputs) => {
      const texts = inputs.map(({ text }) => text)
      requests.push(texts)
      return answer(texts)
    }
  }
  return { model: checkedModel(provider), requests }
}

const good = (texts: ReadonlyArray<string>) =>
  Effect.succeed({ vectors: texts.map((text) => [text.length, 1]), tokens: texts.length })

const inputs = (count: number, text: (n: number) => string): ReadonlyArray<EmbeddingInput> =>
  Array.from({ length: count }, (_, n) => ({ id: `id-${n}`, text: text(n) }))

const refusing =
  (word: string, tooLong = false) =>
  (texts: ReadonlyArray<string>) =>
    texts.some((text) => text.includes(word))
      ? Effect.fail(new BatchRefused({ detail: "no", tooLong }))
      : good(texts)

describe("checkedModel", () => {
  it.effect("E4 finds one bad input among 64 and keeps the vectors of the others", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(refusing("bad"))
      const { refused, tokens, vectors } = yield* model.embed(
        inputs(64, (n) => (n === 41 ? "bad" : `text ${n}`))
      )
      assert.deepStrictEqual(
        refused.map(({ detail, inputs, provider }) => ({ detail, inputs, provider })),
        [{ detail: "no", inputs: ["id-41"], provider: "fake" }]
      )
      assert.strictEqual(vectors.filter((vector) => vector !== undefined).length, 63)
      assert.isUndefined(vectors[41])
      assert.strictEqual(tokens, 63)
      // 1 + 2 · log₂ 64 halves, and the harmless text.
      assert.strictEqual(requests.length, 14)
    })
  )

  it.effect("E4 finds the one input that a living provider fails on, and may be tried again", () =>
    Effect.gen(function* () {
      const { model } = fake((texts) =>
        texts.includes("overflows")
          ? Effect.fail(new ProviderUnavailable({ provider: "fake", detail: "HTTP 500" }))
          : good(texts)
      )
      const { refused, vectors } = yield* model.embed(
        inputs(64, (n) => (n === 41 ? "overflows" : `text ${n}`))
      )
      assert.deepStrictEqual(
        refused.map(({ detail, inputs, retryable }) => ({ detail, inputs, retryable })),
        [{ detail: "HTTP 500", inputs: ["id-41"], retryable: true }]
      )
      assert.strictEqual(vectors.filter((vector) => vector !== undefined).length, 63)
    })
  )

  it.effect("asks for nothing twice while it looks for bad inputs", () =>
    Effect.gen(function* () {
      let answered: ReadonlyArray<string> = []
      const { model } = fake((texts) =>
        Effect.tap(refusing("bad")(texts), () => {
          answered = [...answered, ...texts]
        })
      )
      const texts = (n: number) => (n % 10 === 3 ? `bad ${n}` : `text ${n}`)
      const { refused } = yield* model.embed(inputs(64, texts))
      assert.deepStrictEqual(
        refused.flatMap(({ inputs }) => inputs),
        ["id-3", "id-13", "id-23", "id-33", "id-43", "id-53", "id-63"]
      )
      assert.strictEqual(new Set(answered).size, answered.length)
    })
  )

  it.effect("blames no input when the provider refuses a harmless text too", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(refusing(""))
      const error = yield* Effect.flip(model.embed(inputs(64, (n) => `text ${n}`)))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "check the model's settings")
      // Down to the first single input, then the harmless text.
      assert.strictEqual(requests.length, 8)
    })
  )

  it.effect("asks no further when the provider says that a text is too long", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(refusing("long", true))
      const { refused } = yield* model.embed([{ id: "a", text: "long" }])
      assert.deepStrictEqual(
        refused.map(({ inputs }) => inputs),
        [["a"]]
      )
      assert.strictEqual(requests.length, 1)
    })
  )

  it.effect("E3 blames the input for one unusable vector among good ones", () =>
    Effect.gen(function* () {
      const { model } = fake((texts) =>
        Effect.succeed({ vectors: texts.map((text) => [text === "odd" ? Number.NaN : 1, 1]), tokens: 0 })
      )
      const { refused, vectors } = yield* model.embed(inputs(3, (n) => (n === 1 ? "odd" : "even")))
      assert.deepStrictEqual(
        refused.map(({ message }) => message),
        ["fake cannot embed 1 input(s) (id-1): its vector has NaN as component 0."]
      )
      assert.deepStrictEqual(
        vectors.map((vector) => vector === undefined),
        [false, true, false]
      )
    })
  )

  it.effect("E3 blames the input for one answer of another shape among good ones", () =>
    Effect.gen(function* () {
      const { model } = fake((texts) =>
        Effect.succeed({ vectors: texts.map((text) => (text === "odd" ? null : [1, 1])), tokens: 0 })
      )
      const { refused } = yield* model.embed(inputs(3, (n) => (n === 1 ? "odd" : "even")))
      assert.deepStrictEqual(
        refused.map(({ inputs }) => inputs),
        [["id-1"]]
      )
    })
  )

  it.effect("E3 blames the provider for nothing but unusable vectors", () =>
    Effect.gen(function* () {
      const { model } = fake((texts) => Effect.succeed({ vectors: texts.map(() => [0, 0]), tokens: 0 }))
      const error = yield* Effect.flip(model.embed(inputs(3, String)))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "zero vector")
      assert.include(error.message, "id-0")
    })
  )

  it.effect("E3 refuses an answer of another length or dimension, naming provider and input", () =>
    Effect.gen(function* () {
      const short = fake((texts) => Effect.succeed({ vectors: texts.slice(1).map(() => [1, 1]), tokens: 0 }))
      const count = yield* Effect.flip(short.model.embed(inputs(2, String)))
      assert.strictEqual(count._tag, "ProviderRefused")
      assert.include(count.message, "1 vectors for 2 inputs")
      assert.include(count.message, "id-0")
      const wide = fake((texts) => Effect.succeed({ vectors: texts.map(() => [1, 1, 1]), tokens: 0 }))
      const width = yield* Effect.flip(wide.model.embed(inputs(2, String)))
      assert.strictEqual(width._tag, "ProviderRefused")
      assert.include(width.message, "3 dimensions instead of 2")
    })
  )

  it.effect(
    "E3 finds the one input that a provider counts wrong with, and keeps the vectors of the others",
    () =>
      Effect.gen(function* () {
        const { model, requests } = fake((texts) =>
          Effect.map(good(texts), ({ tokens, vectors }) => ({
            vectors: texts.includes("miscounted") ? [...vectors, [1, 1]] : vectors,
            tokens
          }))
        )
        const { refused, vectors } = yield* model.embed(
          inputs(64, (n) => (n === 41 ? "miscounted" : `text ${n}`))
        )
        assert.deepStrictEqual(
          refused.map(({ detail, inputs, retryable }) => ({ detail, inputs, retryable })),
          [{ detail: "it answered with 2 vectors for 1 inputs", inputs: ["id-41"], retryable: true }]
        )
        assert.strictEqual(vectors.filter((vector) => vector !== undefined).length, 63)
        // 1 + 2 · log₂ 64 halves, and the harmless texts.
        assert.strictEqual(requests.length, 14)
      })
  )

  it.effect("E3 does not divide the batches of a provider that counts every batch wrong", () =>
    Effect.gen(function* () {
      const { model, requests } = fake((texts) => good(texts.slice(0, 1)))
      const error = yield* Effect.flip(model.embed(inputs(64, (n) => `text ${n}`)))
      assert.strictEqual(error._tag, "ProviderRefused")
      assert.include(error.message, "1 vectors for 64 inputs; a harmless text fares no better")
      assert.deepStrictEqual(
        requests.map((texts) => texts.length),
        [64, 2]
      )
    })
  )

  it.effect("passes on what concerns the provider as a whole", () =>
    Effect.gen(function* () {
      for (const failure of [
        new ProviderBusy({ provider: "fake", retryAfterMs: 1 }),
        new ProviderUnavailable({ provider: "fake", detail: "away" })
      ]) {
        const { model } = fake(() => Effect.fail(failure))
        assert.strictEqual((yield* Effect.flip(model.embed(inputs(1, String)))).message, failure.message)
        assert.strictEqual((yield* Effect.flip(model.embedQuery("q")))._tag, failure._tag)
      }
    })
  )

  it.effect(
    "E1 blames no input for a provider that was waited for in vain, though it answers a harmless text by then",
    () =>
      Effect.gen(function* () {
        const { model } = fake((texts) =>
          texts.some((text) => text.startsWith("text"))
            ? Effect.fail(new ProviderUnavailable({ provider: "fake", detail: "busy", unasked: true }))
            : good(texts)
        )
        assert.strictEqual(
          (yield* Effect.flip(model.embed(inputs(1, (n) => `text ${n}`))))._tag,
          "ProviderUnavailable"
        )
      })
  )

  it.effect("E6 names the moment between the answer and its record", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(good)
      const exit = yield* model
        .embed(inputs(1, String))
        .pipe(Effect.provideService(Failpoints, armed("provider.answered:1:throw")), Effect.exit)
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(requests.length, 1)
      yield* model.embedQuery("queries are not recorded")
    })
  )

  it.effect("sends well-formed text only", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(good)
      yield* model.embedQuery("half \uD83D a pair")
      assert.deepStrictEqual(requests, [["half \uFFFD a pair"]])
    })
  )

  it.effect("never asks for more than a batch holds", () =>
    Effect.gen(function* () {
      const { model, requests } = fake(good)
      yield* model.embed(inputs(130, String))
      assert.deepStrictEqual(
        requests.map((texts) => texts.length),
        [64, 64, 2]
      )
    })
  )
})
