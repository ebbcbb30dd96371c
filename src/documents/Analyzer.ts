/**
 * The one analyzer: text to words with their places, and to the terms that sparse vectors are made of. Both engines,
 * the highlighter and the hashing embedder use it, so that what matches is what is shown.
 *
 * A word is normalised on its own (NFKC, lower case, ignorable characters dropped), after the cut, so that spans hold in
 * the text as given. Then stop words go and the rest is stemmed with Snowball. Plain and synchronous; a text costs about
 * 0.3 µs a word. What a word becomes is remembered ({@link Lexicon}).
 */
import { createRequire } from "node:module"
import { stem as porter2 } from "porter2"
import type snowball from "snowball-stemmers"
import { type CodeFingerprint, codeFingerprint } from "../../events/Ids.ts"
import { languages } from "./Languages.ts"
import { Lexicon, type Words } from "./Lexicon.ts"
import { mostUnits, type SpellingTable } from "./SpellingTable.ts"
import { stopWords } from "./StopWords.ts"
import { codesOf, maxIdentifierLength, maxWordLength, WordCutter } from "./WordCutter.ts"

/** Raised whenever the same text gives other terms. */
const version = "1"

/** Words of one text that are looked at; a text with more (none that a chunker cuts) is analysed up to here. */
export const maxWords = 1_000_000

export interface Token {
  /** Span in the text as given, in UTF-16 code units. */
  readonly start: number
  readonly end: number
  /** Normalised surface. */
  readonly word: string
  readonly stem: string
  /** Too common to be a term. */
  readonly stopped: boolean
  /** An identifier as a whole, after its parts. */
  readonly whole: boolean
}

export interface Analysis {
  /** Words of the text, stopped ones included; an identifier counts as its parts. */
  readonly length: number
  /** Stem to its number of occurrences. */
  readonly terms: ReadonlyMap<string, number>
  /** Normalised surface words that are no stop words, to their stems: what the vocabulary is made of. */
  readonly words: ReadonlyMap<string, string>
  /** The same words to their numbers of occurrences. */
  readonly counts: ReadonlyMap<string, number>
  /** The text has more than {@link maxWords} words. */
  readonly truncated: boolean
}

/**
 * What stands in a text and how often, without a copy of any word: what a chunk's point is made of. Spellings of one word are not
 * put together yet. Holds until the next text.
 */
export interface Spelt {
  readonly length: number
  /** What the numbers below mean. */
  readonly vocabulary: Words
  /** Distinct spellings of words that are no stop words, in the order of their first occurrence. */
  readonly size: number
  /** Of the first `size`, each: its word, how often it stands there, and the token of the word's stem. */
  readonly words: Int32Array
  readonly counts: Int32Array
  readonly tokens: Uint32Array
  readonly truncated: boolean
}

/** The words of a text and how often each occurs. */
interface Tally {
  readonly length: number
  /** What the numbers below mean. */
  readonly vocabulary: Words
  /** Distinct, in the order of their first occurrence, no stop words. Hold until the next text, as what follows. */
  readonly words: Int32Array
  /** Occurrences of each. */
  readonly counts: Int32Array
  /** Their stems, likewise. */
  readonly terms: Int32Array
  readonly occurrences: Int32Array
  readonly truncated: boolean
}

export interface Analyzer {
  readonly fingerprint: CodeFingerprint
  /** A name that `languages` lists. */
  readonly language: string
  /** In the order of the text; parts of an identifier come before the whole. */
  readonly tokens: (text: string) => Iterable<Token>
  /** The tokens that have one of these stems and are not stopped; no object is made of any other. */
  readonly occurrences: (text: string, stems: ReadonlySet<string>) => ReadonlyArray<Token>
  readonly analyze: (text: string) => Analysis
  readonly spelt: (text: string) => Spelt
}

const ascii = /^[\x00-\x7f]*$/u
const dropped = /[_\u00ad\u200c\u200d]+/gu

const normalise = (raw: string): string =>
  (ascii.test(raw) ? raw.toLowerCase() : raw.normalize("NFKC").toLowerCase()).replace(dropped, "")

/** Languages whose stems begin with the two letters that the word begins with, but that `y` may have become `i`. */
const keepsBeginning: ReadonlySet<string> = new Set(["english", "none"])

const digits = 1 << 26
const any = -1

/** A bit for a second letter, or for all digits; any where it is no such. */
const bitOf = (code: number): number => {
  if (code >= 0x30 && code <= 0x39) return digits
  const letter = (code | 0x20) - 0x61
  if (code >= 128 || letter < 0 || letter > 25) return any
  return letter === 24 ? 1 << 8 : 1 << letter
}

/** For each ASCII code with which one of the stems begins, the letters that stand second in them. */
const beginnings = (stems: ReadonlySet<string>): Int32Array => {
  const begins = new Int32Array(128)
  for (const stem of stems) {
    const first = stem.charCodeAt(0)
    if (first < 128)
      begins[first] = (begins[first] ?? 0) | (stem.length < 2 ? any : bitOf(stem.charCodeAt(1)))
  }
  return begins
}

/**
 * Whether the word that stands there begins with other letters than all of the stems: most words of a text are told from
 * those that are searched by that alone. What is not ASCII may be composed with what follows, and is not told.
 */
const beginsOtherwise = (codes: Uint16Array, start: number, end: number, begins: Int32Array): boolean => {
  const first = codes[start] ?? 0
  const second = start + 1 < end ? (codes[start + 1] ?? 0) : 0
  if (first >= 128 || second >= 128) return false
  const isCapital = first >= 0x41 && first <= 0x5a
  const letters = begins[isCapital ? first | 0x20 : first] ?? 0
  if (letters === 0) return true
  if (end - start < 2 || (start + 2 < end && (codes[start + 2] ?? 0) >= 128)) return false
  return (letters & bitOf(second)) === 0
}

const require = createRequire(import.meta.url)

/** Snowball's package is as large as all the rest that a search loads: only a language that needs it loads it. */
const stemmer = (language: string): ((word: string) => string) => {
  if (language === "none") return (word) => word
  if (language === "english") return porter2
  const { newStemmer }: typeof snowball = require("snowball-stemmers")
  const algorithm = newStemmer(language)
  return (word) => algorithm.stem(word)
}

/**
 * `language` is a name that `languages` lists; another one is a defect of the caller, who decodes configuration before.
 * `unicodeVersion` (`process.versions.unicode`) names the tables that decide what a letter is: it belongs to the
 * fingerprint because other tables may cut and normalise differently.
 */
export const makeAnalyzer = (options: {
  readonly language: string
  readonly unicodeVersion: string
}): Analyzer => {
  if (!languages.includes(options.language))
    throw new Error(`No stemmer for the language ${options.language}.`)
  const stop = stopWords(options.language)
  const lexicon = new Lexicon({
    normalise,
    stem: stemmer(options.language),
    isStopped: (word) => stop.has(word) || word === ""
  })

  let spelt = {
    words: new Int32Array(1 << 10),
    counts: new Int32Array(1 << 10),
    tokens: new Uint32Array(1 << 10)
  }
  const words = new Numbers()
  const terms = new Numbers()

  /** Counts what stands in a text. Answers its words, and whether it has more than are looked at. */
  const count = (spellings: SpellingTable, text: string) => {
    spellings.beginText()
    const codes = codesOf(text, true)
    const cutter = new WordCutter(codes)
    let length = 0
    let looked = 0
    for (; looked < maxWords && cutter.next(); looked += 1) {
      if (!cutter.whole) length += 1
      spellings.meet(codes, cutter.start, cutter.end, cutter.plain)
    }
    return { length, truncated: looked === maxWords && cutter.next() }
  }

  /** As {@link count}, of a text that is short enough: what is no plain word is cut here. */
  const countShort = (spellings: SpellingTable, text: string) => {
    spellings.beginPlain(text)
    let cutter: WordCutter | undefined
    let length = 0
    for (let at = spellings.countPlain(0); at < text.length; at = spellings.countPlain(cutter.position)) {
      cutter ??= new WordCutter(spellings.codes)
      cutter.position = at
      do {
        if (!cutter.next()) break
        if (!cutter.whole) length += 1
        spellings.meet(spellings.codes, cutter.start, cutter.end, cutter.plain)
      } while (cutter.isWithin)
    }
    return { length: length + spellings.plainWords, truncated: false }
  }

  const countAny = (spellings: SpellingTable, text: string) =>
    text.length <= mostUnits ? countShort(spellings, text) : count(spellings, text)

  const speltIn = (text: string): Spelt => {
    const vocabulary = lexicon.begin()
    const { length, truncated } = countAny(vocabulary.spellings, text)
    const { met } = vocabulary.spellings
    if (met.size > spelt.words.length)
      spelt = {
        words: new Int32Array(2 * met.size),
        counts: new Int32Array(2 * met.size),
        tokens: new Uint32Array(2 * met.size)
      }
    const { counts, tokens, words } = spelt
    let size = 0
    for (let at = 0; at < met.size; at++) {
      const word = met.words[at] ?? 0
      if (word < 0) continue
      words[size] = word
      counts[size] = met.counts[at] ?? 0
      tokens[size] = met.tokens[at] ?? 0
      size += 1
    }
    return { length, truncated, vocabulary, size, words, counts, tokens }
  }

  const tally = (text: string): Tally => {
    const { counts: met, length, size, truncated, vocabulary, words: spelt } = speltIn(text)
    // Spellings of one word count as that word, words of one stem as that.
    words.begin(vocabulary, size)
    for (let at = 0; at < size; at++) words.add(spelt[at] ?? 0, met[at] ?? 0)
    const [found, counts] = [words.found(), words.counts()]
    terms.begin(vocabulary, found.length)
    for (let at = 0; at < found.length; at++)
      terms.add(vocabulary.terms[found[at] ?? 0] ?? 0, counts[at] ?? 0)
    return {
      length,
      vocabulary,
      words: found,
      counts,
      terms: terms.found(),
      occurrences: terms.counts(),
      truncated
    }
  }

  const analyze = (text: string): Analysis => {
    const { counts, length, occurrences, terms, truncated, vocabulary, words } = tally(text)
    const wordOf = (number: number) => vocabulary.words[number] ?? ""
    const stemOf = (term: number) => vocabulary.stems[term] ?? ""
    return {
      length,
      terms: new Map(Array.from(terms, (term, at) => [stemOf(term), occurrences[at] ?? 0])),
      words: new Map(Array.from(words, (number) => [wordOf(number), stemOf(vocabulary.terms[number] ?? 0)])),
      counts: new Map(Array.from(words, (number, at) => [wordOf(number), counts[at] ?? 0])),
      truncated
    }
  }

  function* tokens(text: string): Iterable<Token> {
    const codes = codesOf(text, false)
    const cutter = new WordCutter(codes)
    const vocabulary = lexicon.begin()
    for (let looked = 0; looked < maxWords && cutter.next(); looked += 1) {
      const { end, plain, start, whole } = cutter
      const number = vocabulary.spellings.wordAt(codes, start, end, plain)
      const word = vocabulary.words[number] ?? ""
      const stem = vocabulary.stems[vocabulary.terms[number] ?? 0] ?? ""
      yield { start, end, whole, word, stem, stopped: vocabulary.stopped[number] === 1 }
    }
  }

  const occurrences = (text: string, stems: ReadonlySet<string>): ReadonlyArray<Token> => {
    const codes = codesOf(text, true)
    const cutter = new WordCutter(codes)
    const vocabulary = lexicon.begin()
    const begins = keepsBeginning.has(options.language) ? beginnings(stems) : undefined
    const found: Array<Token> = []
    for (let looked = 0; looked < maxWords && cutter.next(); looked += 1) {
      const { end, plain, start, whole } = cutter
      if (begins !== undefined && beginsOtherwise(codes.units, start, end, begins)) continue
      const number = vocabulary.spellings.wordAt(codes, start, end, plain)
      const stem = vocabulary.stems[vocabulary.terms[number] ?? 0] ?? ""
      if (vocabulary.stopped[number] === 1 || !stems.has(stem)) continue
      found.push({ start, end, whole, word: vocabulary.words[number] ?? "", stem, stopped: false })
    }
    return found
  }

  return {
    fingerprint: codeFingerprint(`words-${options.language}`, [
      version,
      options.language,
      options.language === "english" ? "porter2 1.1" : "snowball-stemmers 0.6",
      [...stop].sort().join(" "),
      `${maxWordLength} ${maxIdentifierLength} ${maxWords}`,
      options.unicodeVersion
    ]),
    language: options.language,
    tokens,
    occurrences,
    analyze,
    spelt: speltIn
  }
}

/** Numbers that a text has, in the order in which they were met, and how often: in memory that the next text has, too. */
class Numbers {
  #found = new Int32Array(1 << 10)
  #counts = new Int32Array(1 << 10)
  #size = 0
  #vocabulary: Words | undefined
  #text = 0
  /** By number: the text in which it was met last, and its place there. */
  #marks = new Int32Array(1 << 13)

  /** `most`: that many may be added. */
  begin(vocabulary: Words, most: number): void {
    if (vocabulary !== this.#vocabulary) {
      this.#vocabulary = vocabulary
      this.#marks.fill(0)
      this.#text = 0
    }
    if (most > this.#found.length) {
      this.#found = new Int32Array(2 * most)
      this.#counts = new Int32Array(2 * most)
    }
    this.#text += 1
    this.#size = 0
  }

  found(): Int32Array {
    return this.#found.subarray(0, this.#size)
  }

  counts(): Int32Array {
    return this.#counts.subarray(0, this.#size)
  }

  add(number: number, count: number): void {
    if (2 * number >= this.#marks.length) this.#widen(2 * number)
    const marks = this.#marks
    if (marks[2 * number] === this.#text) {
      const place = marks[2 * number + 1] ?? 0
      this.#counts[place] = (this.#counts[place] ?? 0) + count
      return
    }
    marks[2 * number] = this.#text
    marks[2 * number + 1] = this.#size
    this.#found[this.#size] = number
    this.#counts[this.#size] = count
    this.#size += 1
  }

  #widen(beyond: number): void {
    let { length } = this.#marks
    while (length <= beyond) length *= 2
    const wider = new Int32Array(length)
    wider.set(this.#marks)
    this.#marks = wider
  }
}
