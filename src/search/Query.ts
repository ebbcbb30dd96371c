/**
 * What a searcher typed, read: words, `"quoted words"`, nothing else. Operators, brackets, colons and asterisks mean
 * nothing and do no harm; a quote that is never closed reaches to the end. Quoted words are searched for exactly as
 * written, that is, never corrected; they need not stand side by side.
 */
import { Schema } from "effect"
import type { Analyzer, Token } from "../documents/Analyzer.ts"
import type { QueryTerm } from "../documents/SparseVector.ts"
import { maxIdentifierLength } from "../documents/WordCutter.ts"
import { allowedEdits, type Correction, correct, correctedFactor, type Vocabulary } from "./Correction.ts"

/** UTF-16 code units. */
export const maxQueryLength = 32_768
/** Distinct terms that are searched for; what comes after them is left out, and the answer says so. */
export const maxQueryTerms = 1024
/** Unknown words that are looked up, the first ones: each look-up costs up to a millisecond. */
export const maxCorrections = 16

/** Longer than anybody types; to find what resembles a document, ask with a passage of it. */
export class QueryTooLong extends Schema.TaggedError<QueryTooLong>()("QueryTooLong", {
  length: Schema.Int,
  limit: Schema.Int
}) {
  override get message() {
    return `The query has ${this.length} characters; at most ${this.limit} are read. Ask with a shorter passage.`
  }
}

export interface ReadQuery {
  /** What the sparse side searches for. Empty if the query has no word but stop words. */
  readonly terms: ReadonlyArray<QueryTerm>
  /** What was searched for instead, in the order of the query, once each. */
  readonly corrections: ReadonlyArray<Correction>
  /** What the dense side embeds: the query, well formed, without quotes, with the corrections in it. */
  readonly text: string
  /** Occurrences of terms that were left out. */
  readonly leftOut: number
}

/** `undefined` stands for a vocabulary that is not to be had: nothing is corrected then. */
export const readQuery = (
  query: string,
  analyzer: Analyzer,
  vocabulary: Vocabulary | undefined
): ReadQuery | QueryTooLong => {
  if (query.length > maxQueryLength) return new QueryTooLong({ length: query.length, limit: maxQueryLength })
  // Same length, so that spans hold in it.
  const typed = query.toWellFormed().replaceAll("\0", " ")
  const isQuoted = quotedSpans(typed)
  const corrections = new Map<string, Correction | undefined>()
  const counts = new Map<string, { count: number; literal: boolean }>()
  const words: Array<Read> = []
  let text = ""
  let copied = 0
  let leftOut = 0

  const correction = (word: string, stem: string): Correction | undefined => {
    if (vocabulary === undefined || allowedEdits(word) === 0 || vocabulary.frequency(stem) > 0)
      return undefined
    if (!corrections.has(word) && corrections.size < maxCorrections) {
      corrections.set(word, correct(word, stem, vocabulary))
    }
    return corrections.get(word)
  }

  const search = (stem: string, literal: boolean) => {
    const known = counts.get(stem)
    if (known !== undefined) {
      known.count += 1
      known.literal ||= literal
    } else if (counts.size < maxQueryTerms) counts.set(stem, { count: 1, literal })
    else leftOut += 1
  }

  for (const token of analyzer.tokens(typed)) {
    const { end, start, stem, stopped, whole, word } = token
    if (whole) {
      // An identifier is what its corrected parts make of it; looked up as one word it might become quite another.
      const parts = words.filter((part) => part.start >= start)
      const isCorrected = parts.some(({ corrected }) => corrected)
      const joined = isCorrected ? wordOf(analyzer, parts.map((part) => part.word).join("")) : undefined
      if (!stopped) search(joined?.stem ?? stem, !isCorrected)
      words.length = 0
      continue
    }
    const found = stopped || isQuoted(start) ? undefined : correction(word, stem)
    if (found !== undefined) {
      text += typed.slice(copied, start) + inCaseOf(typed.slice(start, end), found.to)
      copied = end
    }
    if (!stopped) search(found?.stem ?? stem, found === undefined)
    if (words.length >= maxIdentifierLength) words.shift()
    words.push({ start, word: found?.to ?? word, corrected: found !== undefined })
  }
  text += typed.slice(copied)
  return {
    terms: Array.from(counts, ([stem, { count, literal }]) => ({
      stem,
      count,
      factor: literal ? 1 : correctedFactor
    })),
    corrections: Array.from(corrections.values()).filter((one) => one !== undefined),
    text: text.replace(quotes, " ").trim(),
    leftOut
  }
}

/** A word as it is searched for, perhaps a part of an identifier that is still to come as a whole. */
interface Read {
  readonly start: number
  readonly word: string
  readonly corrected: boolean
}

const wordOf = (analyzer: Analyzer, word: string): Token | undefined => {
  for (const token of analyzer.tokens(word)) return token
  return undefined
}

/** A capital stays one: the case of an identifier tells where its parts begin. */
const inCaseOf = (typed: string, corrected: string): string => {
  const first = typed.charAt(0)
  return first === first.toLowerCase() ? corrected : corrected.charAt(0).toUpperCase() + corrected.slice(1)
}

const quotes = /["“”„«»]/gu

/** Tells whether a place lies between quotes. */
const quotedSpans = (text: string): ((at: number) => boolean) => {
  const marks = Array.from(text.matchAll(quotes), ({ index }) => index)
  let passed = 0
  return (at) => {
    while (passed < marks.length && (marks[passed] ?? 0) < at) passed += 1
    return passed % 2 === 1
  }
}
