import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { makeSnippet } from "../../src/search/Snippet.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const stemsOf = (query: string) => new Set(analyzer.analyze(query).terms.keys())
const snippet = (text: string, query: string, length?: number) =>
  makeSnippet(text, analyzer, stemsOf(query), length === undefined ? {} : { length })
const marked = (text: string, query: string, length?: number) => {
  const { matches, text: shown } = snippet(text, query, length)
  return matches.map(({ end, start }) => shown.slice(start, end))
}
const filler = "Nothing of interest stands in this sentence at all. ".repeat(20)

describe("a snippet", () => {
  it("is the whole text where that is short", () => {
    const text = "Retries back off exponentially."
    assert.deepStrictEqual(snippet(text, "retry").span, { start: 0, end: text.length })
  })

  it("shows the place with the most of the words asked for", () => {
    const text = `A retry. ${filler}Here a retry waits with exponential backoff. ${filler}Backoff once more.`
    assert.include(
      snippet(text, "exponential backoff retry").text,
      "Here a retry waits with exponential backoff"
    )
  })

  it("marks what matches, in the form in which it stands there", () => {
    assert.deepStrictEqual(marked("Retried; RETRIES (retry).", "retrying"), ["Retried", "RETRIES", "retry"])
    assert.deepStrictEqual(marked("call parseConfigFile now", "config"), ["Config"])
    assert.deepStrictEqual(marked("call parseConfigFile now", "parseConfigFile"), ["parseConfigFile"])
  })

  it("prefers what is worth more", () => {
    const text = `common common ${filler}rare here`
    const worth = (stem: string) => (stem === "rare" ? 5 : 1)
    assert.include(makeSnippet(text, analyzer, new Set(["common", "rare"]), { worth }).text, "rare here")
  })

  it("prefers different words over one that is repeated", () => {
    const text = `pool pool pool pool ${filler}connection pool`
    assert.include(snippet(text, "connection pool").text, "connection pool")
  })

  it("begins at the beginning where nothing matches", () => {
    const { matches, span } = snippet(filler, "zebra")
    assert.deepStrictEqual(matches, [])
    assert.strictEqual(span.start, 0)
    assert.isAtMost(span.end, 240)
  })

  it("begins and ends between words where it can", () => {
    const { text } = snippet(`${filler}a retry ${filler}`, "retry")
    assert.match(text, /^\S.*\S$/su)
    assert.isTrue(filler.includes(text.slice(0, 8)) && /\bretry\b/u.test(text))
    assert.notMatch(text, /^(othing|f interest|ands|tands)/u)
  })

  it("never cuts a grapheme", () => {
    const family = "👨‍👩‍👧‍👦"
    for (const length of [5, 12, 13, 14, 15, 23, 40]) {
      const { text } = snippet(`${family.repeat(30)}retry${family.repeat(30)}`, "retry", length)
      assert.strictEqual(text.replaceAll(family, "").replace(/^r?e?t?r?y?$/u, ""), "")
    }
  })

  it("holds its spans, whatever the text", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "grapheme", maxLength: 300 }),
        fc.integer({ min: 1, max: 80 }),
        (noise, length) => {
          const source = `${noise} retry ${noise}`
          const { matches, span, text } = snippet(source, "retry", length)
          assert.strictEqual(text, source.slice(span.start, span.end))
          let last = 0
          for (const { end, start } of matches) {
            assert.isTrue(last <= start && start < end && end <= text.length)
            last = end
          }
        }
      )
    )
  })
})
