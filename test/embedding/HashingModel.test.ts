import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { hashingFeatures } from "../../src/embedding/HashingFeatures.ts"
import * as HashingModel from "../../src/embedding/HashingModel.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const model = HashingModel.make({ analyzer })

describe("HashingModel", () => {
  it("is named by its dimensions and weighs little beside the sparse side", () => {
    assert.strictEqual(model.name, "hashing-512")
    assert.strictEqual(model.dimensions, 512)
    assert.strictEqual(model.denseWeight, 0.2)
  })

  it.live("stores the bytes that the pure function computes", () =>
    Effect.gen(function* () {
      const text = "Retry with exponential backoff, and a größer jitter"
      const { vectors } = yield* model.embed([{ id: "a", text }])
      assert.deepStrictEqual(vectors[0], hashingFeatures(analyzer.analyze(text)))
    })
  )

  it("has another fingerprint under other dimensions or another analyzer", () => {
    const german = makeAnalyzer({ language: "german", unicodeVersion: "15.1" })
    const fingerprints = [
      model.fingerprint,
      HashingModel.make({ analyzer, dimensions: 256 }).fingerprint,
      HashingModel.make({ analyzer: german }).fingerprint
    ]
    assert.strictEqual(new Set(fingerprints).size, 3)
  })

  it.effect("lets others run between any two inputs", () =>
    Effect.gen(function* () {
      let breaths = 0
      const breathe = Effect.sync(() => {
        breaths++
      })
      yield* HashingModel.make({ analyzer, breathe }).embed(
        ["one", "two", "three"].map((text) => ({ id: text, text }))
      )
      assert.strictEqual(breaths, 3)
    })
  )

  it.live("embeds a query of 10 MB without taking long", () =>
    Effect.gen(function* () {
      const long = Array.from({ length: 1_000_000 }, (_, n) => `word${n}`).join(" ")
      const started = process.cpuUsage()
      yield* model.embedQuery(long)
      assert.isBelow(process.cpuUsage(started).user / 1_000, 500)
    })
  )
})
