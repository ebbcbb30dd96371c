/**
 * The one analyzer: text to words with their places, and to the terms that sparse vectors are made of. Both engines,
 * the highlighter and the hashing embedder use it, so that what matches is what is shown.
 *
 * A word is normalised on its own (NFKC, lower case, ignorable characters dropped), after the cut, so that spans hold in
 * the text as given. Then stop words go and the rest is stemmed with Snowball. Plain and synchronous; a text costs about
 * 0.3 µs a word. What a word becomes is remembered in a bounded cache.
 */
import { stem as porter2 } from "porter2"
import snowball from "snowball-stemmers"
import { type CodeFingerprint, codeFingerprint } from "../../events/Ids.ts"
import { languages } from "./Languages.ts"
import { stopWords } from "./StopWords.ts"
import { maxIdentifierLength, maxWordLength, WordCutter } from "./WordCutter.ts"

/** Raised whenever the same text gives other terms. */
const version = "1"

/** Words of one text that are looked at; a text with more (none that a chunker cuts) is analysed up to here. */
export const maxWords = 1_000_000

/** Distinct spellings remembered, in each of two ages. */
const cacheSize = 40_000

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

export interface Analyzer {
  readonly fingerprint: CodeFingerprint
  /** A name that `languages` lists. */
  readonly language: string
  /** In the order of the text; parts of an identifier come before the whole. */
  readonly tokens: (text: string) => Iterable<Token>
  readonly analyze: (text: string) => Analysis
}

/** What a spelling becomes. */
interface Entry {
  readonly word: string
  readonly stem: string
  readonly stopped: boolean
}

const ascii = /^[\x00-\x7f]*$/u
const dropped = /[_\u00ad\u200c\u200d]+/gu

/** A string of its own: a slice would keep the whole text alive for as long as the cache holds it. */
const detached = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le")

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
  const stemOf = stemmer(options.language)
  let young = new Map<string, Entry>()
  let old = new Map<string, Entry>()

  const remember = (spelling: string, entry: Entry): Entry => {
    if (young.size >= cacheSize) {
      old = young
      young = new Map()
    }
    young.set(spelling, entry)
    return entry
  }

  const lookUp = (raw: string): Entry => {
    const known = young.get(raw)
    if (known !== undefined) return known
    const spelling = detached(raw)
    const former = old.get(raw)
    if (former !== undefined) return remember(spelling, former)
    const word = normalise(spelling)
    return remember(spelling, { word, stem: stemOf(word), stopped: stop.has(word) || word === "" })
  }

  const analyze = (text: string): Analysis => {
    const cutter = new WordCutter(text)
    const found = new Map<Entry, number>()
    let length = 0
    let looked = 0
    while (looked < maxWords && cutter.next()) {
      looked += 1
      if (!cutter.whole) length += 1
      const entry = lookUp(text.slice(cutter.start, cutter.end))
      if (!entry.stopped) found.set(entry, (found.get(entry) ?? 0) + 1)
    }
    const terms = new Map<string, number>()
    const words = new Map<string, string>()
    const counts = new Map<string, number>()
    for (const [{ word, stem }, count] of found) {
      terms.set(stem, (terms.get(stem) ?? 0) + count)
      words.set(word, stem)
      counts.set(word, (counts.get(word) ?? 0) + count)
    }
    return { length, terms, words, counts, truncated: looked === maxWords && cutter.next() }
  }

  function* tokens(text: string): Iterable<Token> {
    const cutter = new WordCutter(text)
    for (let looked = 0; looked < maxWords && cutter.next(); looked += 1) {
      const { end, start, whole } = cutter
      yield { start, end, whole, ...lookUp(text.slice(start, end)) }
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
    analyze
  }
}
