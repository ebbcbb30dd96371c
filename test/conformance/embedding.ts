/**
 * What every embedding model promises. Nothing below knows which one it runs on.
 */
import { assert, layer as withLayer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { CodeFingerprint } from "../../events/Ids.ts"
import { type EmbeddingInput, EmbeddingModel } from "../../src/embedding/EmbeddingModel.ts"

const input = (text: string, at: number): EmbeddingInput => ({ id: `input-${at}`, text })

const hostile = [
  "\uD800 a lone surrogate",
  "a NUL \u0000 inside",
  "\u202Ebidi\u202C and a flag 🇩🇪 and a family 👨‍👩‍👧",
  "w".repeat(10_000),
  "…!?—",
  "__proto__ constructor toString"
]

const bytesOf = (vector: Float32Array | undefined): string =>
  vector === undefined
    ? "none"
    : Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString("hex")

export const embeddingConformance = <E>(name: string, layer: Layer.Layer<EmbeddingModel, E>) =>
  withLayer(layer, { timeout: "30 seconds", excludeTestServices: true })(`EmbeddingModel ${name}`, (it) => {
    it.effect("answers with one finite unit vector for each input", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const texts = [
          "one apple a day",
          "two pears",
          "three quinces and a very long tail of words",
          ...hostile
        ]
        const { refused, tokens, vectors } = yield* model.embed(texts.map(input))
        assert.deepStrictEqual(refused, [])
        assert.strictEqual(vectors.length, texts.length)
        for (const vector of vectors) {
          assert.instanceOf(vector, Float32Array)
          assert.strictEqual(vector?.length, model.dimensions)
          const squares = (vector ?? []).reduce((sum, value) => sum + value * value, 0)
          assert.approximately(Math.sqrt(squares), 1, 1e-6)
          assert.isFalse([...(vector ?? [])].some((value) => Object.is(value, -0)))
        }
        assert.isAbove(tokens, 0)
      })
    )

    it.effect("answers in the order of its inputs, over several batches too", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const texts = Array.from({ length: model.batchSize * 2 + 3 }, (_, n) => `text number ${n}`)
        const together = yield* model.embed(texts.map(input))
        for (const n of [0, 1, model.batchSize, texts.length - 1]) {
          const alone = yield* model.embed([input(texts[n] ?? "", n)])
          assert.strictEqual(bytesOf(together.vectors[n]), bytesOf(alone.vectors[0]))
        }
      })
    )

    it.effect("gives the same bytes for the same text, and others for another", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const { vectors } = yield* model.embed(["apple pie", "apple pie", "bus timetable"].map(input))
        assert.strictEqual(bytesOf(vectors[0]), bytesOf(vectors[1]))
        assert.notStrictEqual(bytesOf(vectors[0]), bytesOf(vectors[2]))
      })
    )

    it.effect("names an empty input and answers for the others", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const { refused, vectors } = yield* model.embed(["before", "", " \n\t", "after"].map(input))
        assert.deepStrictEqual(
          refused.map(({ inputs, provider }) => ({ inputs, provider })),
          [
            { inputs: ["input-1"], provider: model.name },
            { inputs: ["input-2"], provider: model.name }
          ]
        )
        assert.deepStrictEqual(
          vectors.map((vector) => vector === undefined),
          [false, true, true, false]
        )
      })
    )

    it.effect("answers nothing to nothing", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        assert.deepStrictEqual(yield* model.embed([]), { vectors: [], refused: [], tokens: 0 })
      })
    )

    it.effect("embeds a query, and refuses an empty one", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const vector = yield* model.embedQuery("where is the apple?")
        assert.strictEqual(vector.length, model.dimensions)
        assert.strictEqual((yield* Effect.flip(model.embedQuery(" ")))._tag, "InputRefused")
      })
    )

    it.effect("says what it is", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        CodeFingerprint.make(model.fingerprint)
        assert.isAbove(model.name.length, 0)
        assert.isAbove(model.batchSize, 0)
        assert.isAbove(model.concurrency, 0)
        assert.isAbove(model.maxInputTokens, 0)
      })
    )

    it.effect("blocks nobody for more than 50 ms with a full batch", () =>
      Effect.gen(function* () {
        const model = yield* EmbeddingModel
        const texts = Array.from(
          { length: model.batchSize },
          (_, n) => `${n} ${"some words of a passage ".repeat(40)}`
        )
        yield* model.embed(texts.map(input))
        // In time of the processor, not of the clock: the machine that runs the tests has other things to do.
        let longest = 0
        let last = process.cpuUsage()
        const timer = setInterval(() => {
          longest = Math.max(longest, process.cpuUsage(last).user / 1_000)
          last = process.cpuUsage()
        }, 1)
        yield* Effect.ensuring(
          model.embed(texts.map(input)),
          Effect.sync(() => clearInterval(timer))
        )
        // Other threads (the collector, the compiler) are counted too: twice the promise.
        assert.isBelow(longest, 100)
      })
    )
  })
