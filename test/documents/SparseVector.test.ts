import { assert, describe, it } from "@effect/vitest"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import {
  documentTerms,
  documentWeight,
  inverseFrequency,
  queryVector,
  sparseVector,
  tokenId
} from "../../src/documents/SparseVector.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })

describe("a document's sparse vector", () => {
  it("weighs by BM25 with a fixed average length of 32", () => {
    const { ids, weights } = documentTerms(analyzer.spelt("cat cat dog and the")).sparse
    const weightOf = (stem: string) => weights[ids.indexOf(tokenId(stem))] ?? Number.NaN
    const norm = 1.2 * (0.25 + (0.75 * 5) / 32)
    assert.strictEqual(weightOf("cat"), Math.fround((2 * 2.2) / (2 + norm)))
    assert.strictEqual(weightOf("dog"), Math.fround(2.2 / (1 + norm)))
  })

  it("is sorted by unsigned id", () => {
    const { ids } = documentTerms(analyzer.spelt("one two three four five six seven eight nine ten")).sparse
    assert.deepStrictEqual(
      [...ids],
      [...ids].sort((a, b) => a - b)
    )
    assert.isTrue(ids.some((id) => id > 0x7fffffff))
  })

  it("adds up the weights of colliding ids", () => {
    assert.deepStrictEqual(
      sparseVector([
        [7, 1],
        [3, 2],
        [7, 0.5]
      ]),
      {
        ids: Uint32Array.of(3, 7),
        weights: Float32Array.of(2, 1.5)
      }
    )
  })

  it("has the words of all its stems once, and says which share a token", () => {
    const spelt = analyzer.spelt("Pools zebra pool POOL the pools Zebra pooled")
    const { repeats, sparse, words } = documentTerms(spelt)
    const wordsOf = (numbers: Iterable<number>) =>
      Array.from(numbers, (number) => spelt.vocabulary.words[number])
    assert.sameMembers(wordsOf(words), ["pools", "pool", "pooled", "zebra"])
    assert.deepStrictEqual(wordsOf(repeats), ["pool", "pooled"])
    const norm = 1.2 * (0.25 + (0.75 * 8) / 32)
    const weights = new Map(Array.from(sparse.ids, (id, at) => [id, sparse.weights[at]]))
    assert.deepStrictEqual(
      weights,
      new Map(
        [
          [tokenId("pool"), Math.fround((5 * 2.2) / (5 + norm))] as const,
          [tokenId("zebra"), Math.fround((2 * 2.2) / (2 + norm))] as const
        ].sort(([one], [other]) => one - other)
      )
    )
  })

  it("adds up what stems weigh whose tokens collide", () => {
    const vocabulary = {
      words: ["one", "ones", "other"],
      terms: Uint32Array.of(0, 0, 1),
      stems: ["one", "other"],
      tokens: Uint32Array.of(7, 7)
    }
    const { repeats, sparse, words } = documentTerms({
      length: 9,
      vocabulary,
      size: 3,
      words: Int32Array.of(2, 0, 1),
      counts: Int32Array.of(1, 2, 1),
      tokens: Uint32Array.of(7, 7, 7),
      truncated: false
    })
    assert.deepStrictEqual([...sparse.ids], [7])
    assert.deepStrictEqual([...sparse.weights], [Math.fround(documentWeight(1, 9) + documentWeight(3, 9))])
    assert.deepStrictEqual(
      [[...words], [...repeats]],
      [
        [2, 0, 1],
        [0, 1]
      ]
    )
  })

  it("is empty for a text without words", () => {
    assert.strictEqual(documentTerms(analyzer.spelt("?! the")).sparse.ids.length, 0)
  })
})

describe("a query's sparse vector", () => {
  const frequencies = { total: 100, frequency: (token: number) => (token === tokenId("cat") ? 10 : 0) }

  it("weighs by inverse frequency, count and factor", () => {
    const { weights } = queryVector([{ stem: "cat", count: 2, factor: 0.7 }], frequencies)
    assert.deepStrictEqual(
      weights,
      Float32Array.of(0.7 * (1 + Math.log(2)) * Math.log(1 + (100 - 10 + 0.5) / 10.5))
    )
  })

  it("leaves out what the project does not hold", () => {
    assert.strictEqual(queryVector([{ stem: "dog", count: 1, factor: 1 }], frequencies).ids.length, 0)
  })

  it("stays positive for a word that every chunk holds, and while counts are behind", () => {
    assert.isAbove(inverseFrequency(10, 10), 0)
    assert.isAbove(inverseFrequency(10, 12), 0)
  })
})
