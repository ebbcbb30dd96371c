/**
 * The one analyzer: text to words with their places, and to the terms that sparse vectors are made of. Both engines,
 * the highlighter and the hashing embedder use it, so that what matches is what is shown.
 *
 * A word is normalised on its own (NFKC, lower case, ignorable characters dropped), after the cut, so that spans hold in
 * the text as given. Then stop words go and the rest is stemmed with Snowball. Plain and synchronous; a text costs about
 * 0.3 µs a word. What a word becomes is remembered ({@link Lexicon}).
 */
import { stem as porter2 } from "porter2"
import snowball from "snowball-stemmers"
import { type CodeFingerprint, codeFingerprint } from "../../events/Ids.ts"
import { languages } from "./Languages.ts"
import { Lexicon, type Term, type Word } from "./Lexicon.ts"
import { stopWords } from "./StopWords.ts"
import { maxIdentifierLength, maxWordLength, WordCutter } from "./WordCutter.ts"

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

/** The words of a text and how often each occurs, without a copy of any: what a chunk's point is made of. */
export interface Tally {
  readonly length: number
  /** Distinct, in the order of their first occurrence, no stop words. Objects that are kept for the next texts. */
  readonly words: ReadonlyArray<Word>
  /** Occurrences of each. */
  readonly counts: ReadonlyArray<number>
  /** Their stems, likewise. */
  readonly terms: ReadonlyArray<Term>
  readonly occurrences: ReadonlyArray<number>
  readonly truncated: boolean
}

export interface Analyzer {
  readonly fingerprint: CodeFingerprint
  /** A name that `languages` lists. */
  readonly language: string
  /** In the order of the text; parts of an identifier come before the whole. */
  readonly tokens: (text: string) => Iterable<Token>
  readonly analyze: (text: string) => Analysis
  readonly tally: (text: string) => Tally
}

const ascii = /^[\x00-\x7f]*$/u
const dropped = /[_\u00ad\u200c\u200d]+/gu

const normalise = (raw: string): string =>
  (ascii.test(raw) ? raw.toLowerCase() : raw.normalize("NFKC").toLowerCase()).replace(dropped, "")

const stemmer = (language: string): ((word: string) => string) => {
  if (language === "none") return (word) => word
  if (language === "english") return porter2
  const algorithm = snowball.newStemmer(language)
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

  const tally = (text: string): Tally => {
    const cutter = new WordCutter(text)
    const number = lexicon.begin()
    const words: Array<Word> = []
    const counts: Array<number> = []
    let length = 0
    let looked = 0
    while (looked < maxWords && cutter.next()) {
      looked += 1
      if (!cutter.whole) length += 1
      const word = lexicon.wordAt(text, cutter.start, cutter.end)
      if (word.stopped) continue
      if (word.text === number) counts[word.at] = (counts[word.at] ?? 0) + 1
      else {
        word.text = number
        word.at = words.length
        words.push(word)
        counts.push(1)
      }
    }
    const terms: Array<Term> = []
    const occurrences: Array<number> = []
    for (const { at, term } of words) {
      const count = counts[at] ?? 0
      if (term.text === number) occurrences[term.at] = (occurrences[term.at] ?? 0) + count
      else {
        term.text = number
        term.at = terms.length
        terms.push(term)
        occurrences.push(count)
      }
    }
    return { length, words, counts, terms, occurrences, truncated: looked === maxWords && cutter.next() }
  }

  const analyze = (text: string): Analysis => {
    const { length, truncated, ...found } = tally(text)
    const numberOf = (numbers: ReadonlyArray<number>, at: number) => numbers[at] ?? 0
    return {
      length,
      terms: new Map(found.terms.map(({ stem }, at) => [stem, numberOf(found.occurrences, at)])),
      words: new Map(found.words.map(({ stem, word }) => [word, stem])),
      counts: new Map(found.words.map(({ word }, at) => [word, numberOf(found.counts, at)])),
      truncated
    }
  }

  function* tokens(text: string): Iterable<Token> {
    const cutter = new WordCutter(text)
    lexicon.begin()
    for (let looked = 0; looked < maxWords && cutter.next(); looked += 1) {
      const { end, start, whole } = cutter
      const { stem, stopped, word } = lexicon.wordAt(text, start, end)
      yield { start, end, whole, word, stem, stopped }
    }
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
    analyze,
    tally
  }
}
