import { createHash } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { hashingFeatures, naturalLog } from "../../src/embedding/HashingFeatures.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const embed = (text: string, dimensions?: number) => hashingFeatures(analyzer.analyze(text), dimensions)
const dot = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0)

describe("hashing features", () => {
  it("are unit vectors of the asked dimensions, without −0", () => {
    for (const text of ["one", "Retry with exponential backoff and jitter", "水を飲む", "", "the", "🙂"]) {
      for (const dimensions of [1, 64, 512]) {
        const vector = embed(text, dimensions)
        assert.strictEqual(vector.length, dimensions)
        assert.approximately(Math.sqrt(dot(vector, vector)), 1, 1e-6)
        assert.isFalse(vector.some((value) => Object.is(value, -0)))
      }
    }
  })

  it("are the same bytes on every machine", () => {
    const digest = createHash("sha256")
      .update(Buffer.from(embed("Retry with exponential backoff, and retry again; größer").buffer))
      .digest("hex")
    assert.strictEqual(digest, "91951ec5b9ad237358a9e844d0c1a7ffeb8b5fbeabe128d2694baf236c2b0757")
  })

  it("put spellings of a word near each other, and other words far away", () => {
    const word = embed("connection")
    assert.isAbove(dot(word, embed("connections")), 0.6)
    assert.isAbove(dot(word, embed("conection")), 0.2)
    assert.isBelow(Math.abs(dot(word, embed("elephant"))), 0.15)
  })

  it("do not depend on stop words", () => {
    assert.deepStrictEqual(embed("the cat on the mat"), embed("cat mat"))
  })

  it("give texts without a word one fixed vector", () => {
    assert.deepStrictEqual(embed(""), embed("?! the"))
  })
})

describe("naturalLog", () => {
  it("agrees with Math.log", () => {
    for (const n of [1, 2, 3, 5, 7, 10, 63, 64, 65, 1000, 1_000_000]) {
      assert.approximately(naturalLog(n), Math.log(n), 1e-12 * Math.max(1, Math.log(n)))
    }
  })
})
