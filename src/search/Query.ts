/**
 * What a searcher typed, read: words, `"quoted words"`, nothing else. Operators, brackets, colons and asterisks mean
 * nothing and do no harm; a quote that is never closed reaches to the end. Quoted words are searched for exactly as
 * written, that is, never corrected; they need not stand side by side.
 */
import { Schema } from "effect"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { QueryTerm } from "../documents/SparseVector.ts"
import { type Correction, correct, correctedFactor, type Vocabulary } from "./Correction.ts"

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
  /** Distinct terms that were left out. */
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
  const quoted = quotedSpans(typed)
  const corrections = new Map<string, Correction | undefined>()
  const counts = new Map<string, { count: number; literal: boolean }>()
  let lookedUp = 0
  let text = ""
  let copied = 0
  let leftOut = 0
  let unknownUntil = -1

  for (const { end, start, stem, stopped, whole, word } of analyzer.tokens(typed)) {
    if (stopped) continue
    let correction: Correction | undefined
    // An identifier that is unknown as a whole, of parts that are all known, is no slip.
    const eligible = !quoted(start) && (!whole || unknownUntil > start)
    if (eligible && vocabulary !== undefined) {
      if (corrections.has(word)) correction = corrections.get(word)
      else if (lookedUp < maxCorrections && vocabulary.frequency(stem) === 0) {
        lookedUp += 1
        correction = correct(word, stem, vocabulary)
        corrections.set(word, correction)
      }
      if (vocabulary.frequency(stem) === 0) unknownUntil = end
    }
    if (correction !== undefined && start >= copied) {
      text += typed.slice(copied, start) + inCaseOf(typed.slice(start, end), correction.to)
      copied = end
    }
    const term = correction?.stem ?? stem
    const known = counts.get(term)
    if (known !== undefined) {
      known.count += 1
      known.literal ||= correction === undefined
    } else if (counts.size < maxQueryTerms) counts.set(term, { count: 1, literal: correction === undefined })
    else leftOut += 1
  }
  text += typed.slice(copied)
  return {
    terms: Array.from(counts, ([stem, { count, literal }]) => ({
      stem,
      count,
      factor: literal ? 1 : correctedFactor
    })),
    corrections: Array.from(corrections.values()).filter((correction) => correction !== undefined),
    text: text.replace(quotes, " ").trim(),
    leftOut
  }
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
