import { assert, describe, it } from "@effect/vitest"
import { Lexicon } from "../../src/documents/Lexicon.ts"
import { codesOf, WordCutter } from "../../src/documents/WordCutter.ts"

/** A lexicon, and what it has asked the language. */
const counted = () => {
  const asked = { words: 0, stems: 0 }
  const lexicon = new Lexicon({
    normalise: (spelling) => {
      asked.words += 1
      return spelling
    },
    stem: (word) => {
      asked.stems += 1
      return word.slice(0, 4)
    },
    isStopped: () => false
  })
  return { asked, lexicon }
}

const meet = (lexicon: Lexicon, text: string): void => {
  const codes = codesOf(text, true)
  const cutter = new WordCutter(codes)
  const { spellings } = lexicon.begin()
  while (cutter.next()) spellings.wordAt(codes, cutter.start, cutter.end, cutter.plain)
}

/** Letters alone: an identifier with digits is cut into parts. */
const wordOf = (number: number): string =>
  Array.from(number.toString(26), (digit) => String.fromCharCode(97 + Number.parseInt(digit, 26))).join("")

const wordsPerText = 500
/** Texts with that many words, each of them once. */
const texts = (words: number): ReadonlyArray<string> =>
  Array.from({ length: words / wordsPerText }, (_, text) =>
    Array.from({ length: wordsPerText }, (_, at) => wordOf(text * wordsPerText + at)).join(" ")
  )

describe("a lexicon", () => {
  it("asks once for each of a corpus's 60,000 words, however often it meets them", () => {
    const { asked, lexicon } = counted()
    for (let times = 0; times < 3; times++) for (const text of texts(60_000)) meet(lexicon, text)
    assert.deepStrictEqual(asked, { words: 60_000, stems: 60_000 })
  })

  it("recalls stems of what it met before its vocabulary was full, and asks for no other word's", () => {
    const { asked, lexicon } = counted()
    const all = texts(70_000)
    for (const text of all) meet(lexicon, text)
    const stems = asked.stems
    assert.strictEqual(stems, 70_000)
    for (const text of all.slice(0, 10)) meet(lexicon, text)
    assert.deepStrictEqual(asked, { words: 70_000 + 10 * wordsPerText, stems })
  })
})
