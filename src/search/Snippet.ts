/**
 * The part of a hit's text that shows why it was found: the window with the most of the words that were asked for.
 * Plain text and the places of the matches in it, no markup: who shows it knows how. Both ends stand between graphemes.
 */
import type { Analyzer } from "../documents/Analyzer.ts"

/** UTF-16 code units. */
export const defaultSnippetLength = 240

export interface Span {
  /** UTF-16 code units. */
  readonly start: number
  readonly end: number
}

export interface Snippet {
  readonly text: string
  /** In `text`, in order, not touching. */
  readonly matches: ReadonlyArray<Span>
  /** Where `text` stands in the text it was cut from. */
  readonly span: Span
}

export interface SnippetOptions {
  /** UTF-16 code units; a little less where words or graphemes would be cut. */
  readonly length?: number
  /** What showing a stem is worth, above 0: its weight in the query, say. Otherwise all are worth the same. */
  readonly worth?: (stem: string) => number
}

/** A match, and what it is worth. */
interface Match extends Span {
  readonly stem: string
  readonly worth: number
}

/** A repetition of a word that the window shows already is worth this share of its first showing. */
const repetition = 0.1
/** Worths are added and taken off again; what they lose to rounding makes no window better. */
const tolerance = 1e-9

export const makeSnippet = (
  text: string,
  analyzer: Analyzer,
  stems: ReadonlySet<string>,
  { length = defaultSnippetLength, worth = () => 1 }: SnippetOptions = {}
): Snippet => {
  const matches = findMatches(text, analyzer, stems, worth)
  const best = densest(matches, length)
  const span = frame(text, best, length)
  return {
    text: text.slice(span.start, span.end),
    matches: merge(matches, span),
    span
  }
}

const findMatches = (
  text: string,
  analyzer: Analyzer,
  stems: ReadonlySet<string>,
  worth: (stem: string) => number
): ReadonlyArray<Match> => {
  if (stems.size === 0) return []
  const matches = analyzer
    .occurrences(text, stems)
    .map(({ end, start, stem }): Match => ({ start, end, stem, worth: worth(stem) }))
  // An identifier as a whole comes after its parts but begins before them.
  return matches.sort((one, other) => one.start - other.start || one.end - other.end)
}

/** The run of matches within `length` that is worth the most; the first of equals. One pass, both ends move on. */
const densest = (matches: ReadonlyArray<Match>, length: number): Span => {
  const shown = new Map<string, number>()
  let worth = 0
  let from = 0
  let best: Span = { start: 0, end: 0 }
  let bestWorth = 0
  const change = (match: Match, by: 1 | -1) => {
    const before = shown.get(match.stem) ?? 0
    shown.set(match.stem, before + by)
    const first = (by === 1 ? before : before - 1) === 0
    worth += by * match.worth * (first ? 1 : repetition)
  }
  for (const match of matches) {
    change(match, 1)
    let first = matches[from] ?? match
    // A single match that is longer than the window stays.
    while (first !== match && match.end - first.start > length) {
      change(first, -1)
      from += 1
      first = matches[from] ?? match
    }
    if (worth > bestWorth + tolerance) {
      best = { start: first.start, end: match.end }
      bestWorth = worth
    }
  }
  return best
}

/** Room on both sides of the best matches, a little more after them, ends at white space where it is near. */
const frame = (text: string, best: Span, length: number): Span => {
  const spare = Math.max(0, length - (best.end - best.start))
  let start = Math.max(0, best.start - Math.floor(spare / 3))
  const end = Math.min(text.length, start + length)
  start = Math.max(0, Math.min(start, end - length))
  return {
    start: start === 0 ? 0 : graphemeStart(text, wordStart(text, start, Math.min(best.start, end))),
    end: end === text.length ? end : graphemeStart(text, wordEnd(text, end, Math.max(best.end, start)))
  }
}

/** How far to look for white space. */
const reach = 40
const space = /\s/u

const wordStart = (text: string, from: number, until: number): number => {
  for (let at = from; at < until && at < from + reach; at += 1) {
    if (space.test(text.charAt(at - 1)) && !space.test(text.charAt(at))) return at
  }
  return from
}

const wordEnd = (text: string, from: number, until: number): number => {
  for (let at = from; at > until && at > from - reach; at -= 1) {
    if (space.test(text.charAt(at)) && !space.test(text.charAt(at - 1))) return at
  }
  return from
}

/** The last boundary between graphemes at or before a place. Two ASCII characters are two, but for the end of a line. */
const graphemeStart = (text: string, at: number): number => {
  if (at >= text.length) return text.length
  const before = text.charCodeAt(at - 1)
  const after = text.charCodeAt(at)
  if (before < 128 && after < 128 && !(before === 0x0d && after === 0x0a)) return at
  const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)
  return graphemes.containing(at)?.index ?? at
}

/** Matches within the window, relative to it; those that overlap become one. */
const merge = (matches: ReadonlyArray<Match>, window: Span): ReadonlyArray<Span> => {
  const merged: Array<{ start: number; end: number }> = []
  for (const match of matches) {
    const start = Math.max(match.start, window.start) - window.start
    const end = Math.min(match.end, window.end) - window.start
    if (start >= end) continue
    const last = merged[merged.length - 1]
    if (last !== undefined && start < last.end) last.end = Math.max(last.end, end)
    else merged.push({ start, end })
  }
  return merged
}
