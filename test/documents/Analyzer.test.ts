import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import snowball from "snowball-stemmers"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { languages } from "../../src/documents/Languages.ts"
import { maxWordLength } from "../../src/documents/WordCutter.ts"

const analyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
const wordsOf = (text: string) => Array.from(analyzer.tokens(text), ({ word }) => word)
const spansOf = (text: string) =>
  Array.from(analyzer.tokens(text), ({ end, start }) => text.slice(start, end))

describe("occurrences of stems", () => {
  const texts = fc
    .array(
      fc.oneof(
        fc.constantFrom(
          "dying",
          "skies",
          "Tying",
          "idly",
          "yes",
          "aing",
          "oeds",
          "a_b",
          "a2",
          "a\u00adb",
          "ab\u0301",
          "ﬁles",
          "a\u030angstrom",
          "Åre",
          "HTTPServer",
          "the"
        ),
        fc.string({ unit: "binary", maxLength: 12 }),
        fc
          .tuple(
            fc.constantFrom("y", "gen", "Sk", "1st", "e", "naï", "ОГ", "relat", "u"),
            fc.constantFrom("ies", "ed", "ing", "ional", "ly", "s", "s\u0301", "eed", "")
          )
          .map(([one, other]) => one + other)
      )
    )
    .map((words) => words.join(" "))
  for (const language of ["english", "none", "german"]) {
    const analyze = makeAnalyzer({ language, unicodeVersion: "15.1" })
    it(`are the tokens of a text that have one of them, whatever the text: ${language}`, () => {
      fc.assert(
        fc.property(texts, fc.func(fc.boolean()), (text, isWanted) => {
          const tokens = Array.from(analyze.tokens(text))
          const stems = new Set(tokens.map(({ stem }) => stem).filter((stem) => isWanted(stem)))
          assert.deepStrictEqual(
            analyze.occurrences(text, stems),
            tokens.filter(({ stem, stopped }) => !stopped && stems.has(stem))
          )
        }),
        { numRuns: 300 }
      )
    })
  }
})

describe("cutting words", () => {
  it("cuts at whatever is no letter, digit or mark", () => {
    assert.deepStrictEqual(wordsOf("Café (open): e-mail, 3.5!"), ["café", "open", "e", "mail", "3", "5"])
  })

  it("cuts identifiers at case and underscore, and gives them as a whole too", () => {
    assert.deepStrictEqual(wordsOf("parseHttpUrl"), ["parse", "http", "url", "parsehttpurl"])
    assert.deepStrictEqual(wordsOf("pg_blocking_pids"), ["pg", "blocking", "pids", "pgblockingpids"])
    assert.deepStrictEqual(wordsOf("MAX_SAFE_INTEGER"), ["max", "safe", "integer", "maxsafeinteger"])
    assert.deepStrictEqual(wordsOf("__proto__"), ["proto"])
  })

  it("keeps acronyms together", () => {
    assert.deepStrictEqual(wordsOf("HTTPServer"), ["http", "server", "httpserver"])
    assert.deepStrictEqual(wordsOf("URLs"), ["urls"])
    assert.deepStrictEqual(wordsOf("SQLITE_BUSY"), ["sqlite", "busy", "sqlitebusy"])
  })

  it("gives spans that hold in the text as it was given", () => {
    assert.deepStrictEqual(spansOf("x ﬁle \u0065\u0301t\u00ade y"), ["x", "ﬁle", "e\u0301t\u00ade", "y"])
    assert.deepStrictEqual(wordsOf("ﬁle \u0065\u0301t\u00ade"), ["file", "éte"])
  })

  it("cuts scripts without spaces into overlapping pairs, also across its own limit", () => {
    assert.deepStrictEqual(wordsOf("東京都に行く"), ["東京", "京都", "都に", "に行", "行く"])
    assert.deepStrictEqual(wordsOf("水"), ["水"])
    const long = Array.from({ length: 500 }, (_, index) => String.fromCodePoint(0x4e00 + index)).join("")
    const pairs = Array.from({ length: 499 }, (_, index) => long.slice(index, index + 2))
    assert.deepStrictEqual(spansOf(long), pairs)
  })

  it("has spans inside the text, in order, and words without separators, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        let last = 0
        for (const { end, start, word } of analyzer.tokens(text)) {
          assert.isTrue(start < end && end <= text.length)
          assert.isTrue(end >= last)
          last = end
          // Of 17 characters (U+037A, ligatures of Arabic) the compatible form has a space within.
          assert.notMatch(text.slice(start, end), /\s/u)
          assert.notInclude(word, "_")
        }
      }),
      { numRuns: 300 }
    )
  })

  it("cuts at separators of ASCII as at any other", () => {
    const unit = fc.constantFrom(..."aaabzABQ0179_ .-é\u00adß水".split(""))
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 100 }), (text) => {
        const others = text.replaceAll(/[ .-]/g, "\u00a0")
        assert.deepStrictEqual([...analyzer.tokens(text)], [...analyzer.tokens(others)])
      }),
      { numRuns: 500 }
    )
  })

  it("takes lone surrogates and NUL as separators", () => {
    assert.deepStrictEqual(wordsOf("one\ud800two\0three"), ["one", "two", "three"])
  })
})

describe("analysing", () => {
  it("stems with porter2 and counts by stem", () => {
    const { terms } = analyzer.analyze("Running runs; the runner ran")
    assert.deepStrictEqual(
      [...terms],
      [
        ["run", 2],
        ["runner", 1],
        ["ran", 1]
      ]
    )
  })

  it("drops stop words from the terms but counts them in the length", () => {
    const { length, terms } = analyzer.analyze("the cat and the hat")
    assert.strictEqual(length, 5)
    assert.deepStrictEqual([...terms.keys()], ["cat", "hat"])
  })

  it("counts an identifier as its parts", () => {
    assert.strictEqual(analyzer.analyze("parseHttpUrl now").length, 4)
  })

  it("maps surface words to stems and counts", () => {
    const { counts, words } = analyzer.analyze("Cats cats cat")
    assert.deepStrictEqual(
      [...words],
      [
        ["cats", "cat"],
        ["cat", "cat"]
      ]
    )
    assert.deepStrictEqual(
      [...counts],
      [
        ["cats", 2],
        ["cat", 1]
      ]
    )
  })

  it("gives the same terms after its cache was turned over", () => {
    const fresh = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
    const before = [...fresh.analyze("connection pools").terms]
    for (let round = 0; round < 100; round += 1) {
      fresh.analyze(Array.from({ length: 1000 }, (_, index) => `w${round}x${index}`).join(" "))
    }
    assert.deepStrictEqual([...fresh.analyze("connection pools").terms], before)
  })

  it("counts all spellings of a word as one, whichever of them it has met lately", () => {
    const fresh = makeAnalyzer({ language: "english", unicodeVersion: "15.1" })
    for (let round = 0; round < 140; round += 1) {
      fresh.analyze(Array.from({ length: 1000 }, (_, index) => `w${round}x${index}`).join(" "))
      fresh.analyze(round % 2 === 0 ? "Pool" : "pools")
    }
    const { counts, terms } = fresh.analyze("pool Pool POOL pools")
    assert.deepStrictEqual(
      [...counts],
      [
        ["pool", 3],
        ["pools", 1]
      ]
    )
    assert.deepStrictEqual([...terms], [["pool", 4]])
    assert.strictEqual(fresh.spelt("pool Pool POOL pools").size, 4)
  })

  it("tells words apart that differ in their last character, in their length, or in what is above a byte", () => {
    const none = makeAnalyzer({ language: "none", unicodeVersion: "15.1" })
    const words = [
      ...Array.from({ length: 20 }, (_, length) => "a".repeat(length + 1)),
      ...Array.from({ length: 20 }, (_, length) => `${"a".repeat(length)}b`),
      "acb",
      // The second's low bytes are those of the first.
      "a\u0463b"
    ]
    const { counts } = none.analyze(`${words.join(" ")} ${words.join(" ")}`)
    assert.deepStrictEqual(new Map(counts), new Map(words.map((word) => [word.toLowerCase(), 2])))
  })

  it("counts what stands in a text as its words do that are given one by one, whatever the text and its length", () => {
    const pieces = [
      "a",
      "Bee",
      "parseHttpURL2",
      "x_y",
      "_",
      "don’t",
      "中文字",
      "ไทย",
      "naïve",
      "12ab",
      "sixteencharacter"
    ]
    const odd = [
      "seventeencharacte",
      "😀",
      "\u00ad",
      "\ufb01n",
      "９",
      "\u0000",
      "a".repeat(130),
      "the",
      "1",
      "\ud800"
    ]
    const piece = fc.oneof(
      fc.constantFrom(...pieces, ...odd),
      fc.string({ unit: "binary-ascii", maxLength: 20 })
    )
    const texts = fc
      .array(fc.tuple(piece, fc.constantFrom("", " ", "\n", "-")))
      .map((all) => all.flat().join(""))
    fc.assert(
      fc.property(texts, fc.boolean(), (short, isLong) => {
        // Long ones are counted another way.
        const text = isLong ? `${short} `.repeat(1 + Math.ceil(8_192 / (short.length + 1))) : short
        const expected = new Map<string, number>()
        let length = 0
        for (const { stopped, whole, word } of analyzer.tokens(text)) {
          if (!whole) length += 1
          if (!stopped) expected.set(word, (expected.get(word) ?? 0) + 1)
        }
        const counted = analyzer.analyze(text)
        assert.strictEqual(counted.length, length)
        assert.deepStrictEqual([...counted.counts], [...expected])
      }),
      { numRuns: 300 }
    )
  })

  it("counts a text in whose middle it learns more spellings than it has room for", () => {
    const words = Array.from({ length: 1_100 }, (_, at) => `q${at.toString(26).replaceAll(/[0-9]/g, "z")}w`)
    const text = [...words, "naïve", ...words].join(" ").slice(0, 8_192)
    const anew = makeAnalyzer({ language: "none", unicodeVersion: "15.1" })
    for (let round = 0; round < 8; round++) {
      const own = text.replaceAll("q", "abcdefgh"[round] ?? "")
      assert.deepStrictEqual(
        [...anew.analyze(own).counts],
        [
          ...makeAnalyzer({ language: "none", unicodeVersion: "15.1" }).analyze(`${own}${" ".repeat(8_192)}`)
            .counts
        ]
      )
    }
  })

  it("takes a line of 20 MB that is one word, and cuts the word off", () => {
    const { length, terms } = analyzer.analyze("a".repeat(20_000_000))
    assert.strictEqual(length, 1)
    assert.deepStrictEqual([...terms.keys()], ["a".repeat(maxWordLength)])
  })

  it("never cuts a long word within a surrogate pair", () => {
    const [token] = analyzer.tokens(`x${"𝒳".repeat(200)}`)
    assert.isTrue(token?.word.isWellFormed())
  })

  it("stops at a limit and says so", () => {
    const analysis = analyzer.analyze("a b ".repeat(600_000))
    assert.isTrue(analysis.truncated)
    assert.strictEqual(analysis.length, 1_000_000)
    assert.isFalse(analyzer.analyze("a b").truncated)
  })
})

describe("languages", () => {
  it("stems each with its own algorithm", () => {
    const german = makeAnalyzer({ language: "german", unicodeVersion: "15.1" })
    assert.deepStrictEqual([...german.analyze("Häuser Hauses").terms.keys()], ["haus"])
    const none = makeAnalyzer({ language: "none", unicodeVersion: "15.1" })
    assert.deepStrictEqual([...none.analyze("the houses").terms.keys()], ["the", "houses"])
  })

  it("are those of the stemmers", () => {
    const stemmed = snowball.algorithms().filter((name) => name !== "porter")
    assert.deepStrictEqual(languages, ["none", ...stemmed])
  })

  it("have fingerprints of their own, which the Unicode version changes", () => {
    const fingerprints = languages.map(
      (language) => makeAnalyzer({ language, unicodeVersion: "15.1" }).fingerprint
    )
    assert.strictEqual(new Set(fingerprints).size, languages.length)
    assert.notStrictEqual(
      makeAnalyzer({ language: "english", unicodeVersion: "16.0" }).fingerprint,
      analyzer.fingerprint
    )
  })

  it("refuse a name that nobody knows", () => {
    assert.throws(() => makeAnalyzer({ language: "klingon", unicodeVersion: "15.1" }), /klingon/)
  })
})
