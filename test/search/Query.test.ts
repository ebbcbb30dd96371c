import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { settledWords } from "../../src/index/ProjectWords.ts"
import {
  maxCorrections,
  maxQueryLength,
  maxQueryTerms,
  QueryTooLong,
  readQuery
} from "../../src/search/Query.ts"
import { WordIndex } from "../../src/search/WordIndex.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })

const vocabularyOf = (text: string) => {
  const { terms, words } = analyzer.analyze(text)
  const index = new WordIndex()
  const all = settledWords(new Map(Array.from(words, ([word, stem]) => [word, { stem, frequency: 1 }])))
  return {
    frequency: (stem: string) => terms.get(stem) ?? 0,
    candidates: (word: string, distance: number) => index.candidates(word, distance, all),
    wordFrequency: all.frequency
  }
}

const known = vocabularyOf("exponential backoff schedules parseConfigFile retries connection pool")
const read = (query: string, vocabulary: typeof known | undefined = known) => {
  const result = readQuery(query, analyzer, vocabulary)
  if (result instanceof QueryTooLong) throw result
  return result
}
const stemsOf = (query: string) => read(query).terms.map(({ stem }) => stem)

describe("reading a query", () => {
  it("gives its terms, stopped and stemmed, and how often each occurs", () => {
    assert.deepStrictEqual(read("the schedules of a schedule").terms, [
      { stem: "schedul", count: 2, factor: 1 }
    ])
  })

  it("corrects words that the project has never seen, says so, and gives the dense side the corrected text", () => {
    const { corrections, terms, text } = read("Exponental backof?")
    assert.deepStrictEqual(corrections, [
      { from: "exponental", to: "exponential", stem: "exponenti" },
      { from: "backof", to: "backoff", stem: "backoff" }
    ])
    assert.deepStrictEqual(
      terms.map(({ factor }) => factor),
      [0.7, 0.7]
    )
    assert.strictEqual(text, "Exponential backoff?")
  })

  it("never corrects quoted words", () => {
    for (const query of ['"exponental" backoff', "“exponental” backoff", 'backoff "exponental']) {
      assert.deepStrictEqual(read(query).corrections, [])
      assert.include(stemsOf(query), "exponent")
    }
    assert.lengthOf(read('"backoff" exponental').corrections, 1)
  })

  it("counts a word in full that is typed rightly as well as wrongly", () => {
    assert.deepStrictEqual(read("backof backoff").terms, [{ stem: "backoff", count: 2, factor: 1 }])
  })

  it("corrects the parts of an identifier, keeps their case, and searches for the whole that they make", () => {
    const { corrections, terms, text } = read("parseConfgFile")
    assert.deepStrictEqual(
      corrections.map(({ to }) => to),
      ["config"]
    )
    assert.strictEqual(text, "parseConfigFile")
    assert.deepStrictEqual(
      terms.map(({ factor, stem }) => [stem, factor]),
      [
        ["pars", 1],
        ["config", 0.7],
        ["file", 1],
        ["parseconfigfil", 0.7]
      ]
    )
  })

  it("never takes an identifier for another one", () => {
    const vocabulary = vocabularyOf("connection pool connectionTool")
    assert.deepStrictEqual(read("connectionPool", vocabulary).corrections, [])
    assert.deepStrictEqual(
      read("conectionPool", vocabulary).terms.map(({ stem }) => stem),
      ["connect", "pool", "connectionpool"]
    )
  })

  it("corrects nothing without a vocabulary", () => {
    const result = readQuery("exponental", analyzer, undefined)
    assert.isTrue(!(result instanceof QueryTooLong) && result.corrections.length === 0)
  })

  it("takes operators, brackets and wildcards for what they are: no words", () => {
    for (const query of [
      "backoff*",
      "(((backoff",
      "nope: backoff",
      "-backoff",
      "backoff\0",
      "NEAR(backoff)",
      "^backoff\\"
    ]) {
      assert.include(stemsOf(query), "backoff")
    }
  })

  it("has no terms for an empty query or one of stop words", () => {
    for (const query of ["", "   ", '"', '""', "the of", "***", "\0"])
      assert.deepStrictEqual(read(query).terms, [])
  })

  it("refuses what nobody types, and says how much is read", () => {
    const result = readQuery("a".repeat(100_000), analyzer, known)
    assert.instanceOf(result, QueryTooLong)
    assert.deepStrictEqual({ ...result }, { ...new QueryTooLong({ length: 100_000, limit: maxQueryLength }) })
  })

  it("searches for a bounded number of terms and says how many it left out", () => {
    const words = Array.from({ length: 4000 }, (_, index) => `w${index.toString(36)}`)
      .join(" ")
      .slice(0, maxQueryLength)
    const { leftOut, terms } = read(words)
    assert.strictEqual(terms.length, maxQueryTerms)
    assert.isAbove(leftOut, 0)
  })

  it("looks up a bounded number of unknown words", () => {
    let lookedUp = 0
    const counting = {
      ...known,
      candidates: () => {
        lookedUp += 1
        return []
      }
    }
    readQuery(
      Array.from({ length: 26 }, (_, index) => `zzzz${String.fromCharCode(97 + index)}`).join(" "),
      analyzer,
      counting
    )
    assert.strictEqual(lookedUp, maxCorrections)
  })

  it("survives any text and gives the dense side well-formed text without quotes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 100 }), (query) => {
        const { text } = read(query)
        assert.isTrue(text.isWellFormed())
        assert.notMatch(text, /["\0]/)
      })
    )
  })
})
