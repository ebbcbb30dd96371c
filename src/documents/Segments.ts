/**
 * Cuts a block that is too large for a chunk into segments: sentences, lines, at last words and pieces of words. One
 * pass over the text, whatever it holds.
 */

import { boundaryBefore, boundaryFrom, isClusterBoundary } from "./Graphemes.ts"
import type { BlockKind } from "./Parser.ts"
import { estimateTokens } from "./TokenEstimate.ts"

/** How good a place the start of a segment is to begin a chunk. */
export const strength = { torn: 0, line: 1, sentence: 2, gap: 3, block: 4, section: 5 } as const
export type Strength = (typeof strength)[keyof typeof strength]

export type EmitSegment = (start: number, end: number, tokens: number, strength: Strength) => void

/** Emits segments of at most `limit` tokens that cover the block; the first has the strength `first`. */
export const splitBlock = (
  text: string,
  start: number,
  end: number,
  kind: BlockKind,
  first: Strength,
  limit: number,
  emit: EmitSegment
): void => {
  const prose = kind === "paragraph" || kind === "item" || kind === "heading"
  let from = start
  let begins: Strength = first
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    let next: Strength | undefined
    let cut = i + 1
    if (code === 0x0a) {
      cut = afterBlankLines(text, i + 1, end)
      next =
        cut > i + 1 ? strength.gap : prose && endsSentence(text, i - 1) ? strength.sentence : strength.line
    } else if (prose && isTerminator(code)) {
      cut = afterSentence(text, i, end)
      next = cut > 0 ? strength.sentence : undefined
    }
    if (next === undefined) continue
    splitLong(text, from, cut, begins, limit, emit)
    from = cut
    begins = next
    i = cut - 1
  }
  splitLong(text, from, end, begins, limit, emit)
}

/** The start of the first line that is not blank, given the start of a line. */
const afterBlankLines = (text: string, lineStart: number, end: number): number => {
  let start = lineStart
  for (let i = lineStart; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x0a) start = i + 1
    else if (code !== 0x20 && code !== 0x09) break
  }
  return start
}

const isTerminator = (code: number): boolean =>
  code === 0x2e || code === 0x21 || code === 0x3f || code === 0x2026 || isWideTerminator(code)
const isWideTerminator = (code: number): boolean =>
  code === 0x3002 || code === 0xff01 || code === 0xff1f || code === 0xff0e || code === 0x0964

const closers = new Set([..."\"')]}*_`’”»」』）】〉》"].map((one) => one.charCodeAt(0)))

/** Marks that may follow a full stop, and blanks before the next sentence: more of them end no sentence. */
const maxClosers = 8
const maxBlanks = 32

const endsSentence = (text: string, last: number): boolean => {
  let i = last
  const limit = Math.max(0, last - maxClosers)
  while (i > limit && closers.has(text.charCodeAt(i))) i--
  return isTerminator(text.charCodeAt(i))
}

/** Where the next sentence begins if one ends at `at`; 0 if none does (abbreviation, number, file name). */
const afterSentence = (text: string, at: number, end: number): number => {
  let i = at + 1
  const limit = Math.min(end, i + maxClosers)
  while (i < limit && (isTerminator(text.charCodeAt(i)) || closers.has(text.charCodeAt(i)))) i++
  const wide = isWideTerminator(text.charCodeAt(at))
  let next = i
  const blanks = Math.min(end, i + maxBlanks)
  while (next < blanks && isBlank(text.charCodeAt(next))) next++
  if (next >= end || text.charCodeAt(next) === 0x0a) return 0
  if (next === i && !wide) return 0
  const following = text.charCodeAt(next)
  if (!wide && following >= 0x61 && following <= 0x7a) return 0
  if (text.charCodeAt(at) === 0x2e && isAbbreviation(text, at)) return 0
  return isClusterBoundary(text, next) ? next : 0
}

const abbreviations = new Set([
  "mr",
  "mrs",
  "ms",
  "dr",
  "prof",
  "st",
  "vs",
  "fig",
  "no",
  "cf",
  "al",
  "approx",
  "dept"
])

/** One letter or digit, a word with a stop inside (`e.g.`), or one of a few common ones. Looks back 12 units. */
const isAbbreviation = (text: string, stop: number): boolean => {
  let from = stop
  while (from > 0 && stop - from < 12 && !isSpace(text.charCodeAt(from - 1))) from--
  const word = text
    .slice(from, stop)
    .replace(/^[("'[*_]+/, "")
    .toLowerCase()
  return word.length <= 1 || word.includes(".") || abbreviations.has(word)
}

const splitLong = (
  text: string,
  start: number,
  end: number,
  begins: Strength,
  limit: number,
  emit: EmitSegment
): void => {
  const tokens = estimateTokens(text, start, end)
  if (tokens === 0 && start === end) return
  if (tokens <= limit) return emit(start, end, tokens, begins)
  let from = start
  let held = 0
  let now: Strength = begins
  const flush = (to: number) => {
    if (to === from) return
    emit(from, to, held, now)
    from = to
    held = 0
    now = strength.torn
  }
  let word = start
  while (word < end) {
    const after = wordEnd(text, word, end)
    const size = estimateTokens(text, word, after)
    if (held + size > limit) flush(word)
    if (size <= limit) held += size
    else {
      tear(text, word, after, limit, (to, count) => {
        held = count
        flush(to)
      })
    }
    word = after
  }
  flush(end)
}

/** The start of the next word, or `end`. */
const wordEnd = (text: string, start: number, end: number): number => {
  let i = start
  while (i < end && !isSpace(text.charCodeAt(i))) i++
  while (i < end && isSpace(text.charCodeAt(i))) i++
  return i < end ? Math.min(end, boundaryFrom(text, i)) : end
}

/** Cuts what has no white space: encoded data, text in a script that needs none. */
const tear = (
  text: string,
  start: number,
  end: number,
  limit: number,
  cut: (to: number, tokens: number) => void
): void => {
  let from = start
  while (from < end) {
    // The most units that may fit, halved until they do: at most three times, an estimate is ≥ 1 for 6 units.
    let to = Math.min(end, from + limit * 6)
    while (to - from > limit && estimateTokens(text, from, to) > limit)
      to = from + Math.max(limit, (to - from) >> 1)
    if (to < end) to = Math.min(end, boundaryBefore(text, from, to))
    cut(to, estimateTokens(text, from, to))
    from = to
  }
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09 || code === 0xa0 || code === 0x3000

/** White space as JavaScript's `\s` has it. */
export const isSpace = (code: number): boolean =>
  code === 0x20 ||
  (code >= 0x09 && code <= 0x0d) ||
  code === 0xa0 ||
  (code >= 0x1680 &&
    (code === 0x1680 ||
      (code >= 0x2000 && code <= 0x200a) ||
      code === 0x2028 ||
      code === 0x2029 ||
      code === 0x202f ||
      code === 0x205f ||
      code === 0x3000 ||
      code === 0xfeff))
