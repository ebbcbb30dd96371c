/**
 * A query word that the project has never seen is taken for a slip, and replaced by the nearest word that the project
 * does know. Nearest is by optimal string alignment (insertions, deletions, substitutions, swaps of neighbours): one
 * edit, or two from eight letters on; then the same first letter, the more frequent, the first in the alphabet.
 */
import type { SurfaceWord } from "../index/ProjectWords.ts"

/** What is known of a project's words at the position that is searched. */
export interface Vocabulary {
  /** Chunks that hold the stem. */
  readonly frequency: (stem: string) => number
  /** All words that may be within `distance` edits of `word`, and perhaps others; some of them no chunk may hold any more. */
  readonly candidates: (word: string, distance: number) => Iterable<SurfaceWord>
  /** Chunks that hold the surface word. */
  readonly wordFrequency: (word: string) => number
}

export interface Correction {
  /** Normalised surface. */
  readonly from: string
  readonly to: string
  readonly stem: string
}

/** What a corrected word counts in the query, a literal one being 1. */
export const correctedFactor = 0.7

const shortest = 4
const longest = 64
const twoEditsFrom = 8

/** Edits allowed for a word; 0 for one that is never corrected: short, very long, or with a digit in it. */
export const allowedEdits = (word: string): number =>
  word.length < shortest || word.length > longest || /\p{N}/u.test(word)
    ? 0
    : word.length < twoEditsFrom
      ? 1
      : 2

/** `undefined` if the word is known, may not be corrected, or nothing is near. */
export const correct = (word: string, stem: string, vocabulary: Vocabulary): Correction | undefined => {
  const edits = allowedEdits(word)
  if (edits === 0 || vocabulary.frequency(stem) > 0) return undefined
  let best: Near | undefined
  for (const candidate of vocabulary.candidates(word, edits)) {
    const distance = alignmentDistance(word, candidate.word, best?.distance ?? edits)
    if (distance > (best?.distance ?? edits)) continue
    const found = { ...candidate, distance, frequency: vocabulary.wordFrequency(candidate.word) }
    if (found.frequency === 0) continue
    if (best === undefined || isBetter(word, found, best)) best = found
  }
  return best === undefined ? undefined : { from: word, to: best.word, stem: best.stem }
}

interface Near extends SurfaceWord {
  readonly distance: number
  /** Chunks that hold the word. */
  readonly frequency: number
}

const isBetter = (word: string, one: Near, other: Near): boolean => {
  if (one.distance !== other.distance) return one.distance < other.distance
  const sameStart = one.word[0] === word[0]
  if (sameStart !== (other.word[0] === word[0])) return sameStart
  if (one.frequency !== other.frequency) return one.frequency > other.frequency
  return one.word < other.word
}

const threeRows = (width: number) =>
  [new Int32Array(width), new Int32Array(width), new Int32Array(width)] as const

/** Of an alignment; kept, because a vocabulary has thousands of words that are near enough to be compared. */
let rows = threeRows(2 * longest)

/**
 * Optimal string alignment over UTF-16 code units; `limit + 1` stands for everything beyond `limit`. Only places that are
 * no further apart than the limit are looked at: to get to another costs more.
 */
export const alignmentDistance = (one: string, other: string, limit: number): number => {
  const beyond = limit + 1
  if (Math.abs(one.length - other.length) > limit) return beyond
  if (rows[0].length < other.length + 2) rows = threeRows(2 * other.length + 2)
  let [before, previous, current] = rows
  for (let j = 0; j <= other.length; j += 1) previous[j] = j
  for (let i = 1; i <= one.length; i += 1) {
    const from = Math.max(1, i - limit)
    const to = Math.min(other.length, i + limit)
    current[from - 1] = from === 1 ? i : beyond
    let least = current[from - 1] ?? 0
    for (let j = from; j <= to; j += 1) {
      const same = one.charCodeAt(i - 1) === other.charCodeAt(j - 1)
      let cost = Math.min(
        (previous[j] ?? 0) + 1,
        (current[j - 1] ?? 0) + 1,
        (previous[j - 1] ?? 0) + (same ? 0 : 1)
      )
      const swapped =
        i > 1 &&
        j > 1 &&
        one.charCodeAt(i - 1) === other.charCodeAt(j - 2) &&
        one.charCodeAt(i - 2) === other.charCodeAt(j - 1)
      if (swapped) cost = Math.min(cost, (before[j - 2] ?? 0) + 1)
      current[j] = cost
      if (cost < least) least = cost
    }
    current[to + 1] = beyond
    // A swap reaches back two rows, so one row beyond the limit is not yet the end.
    if (least > beyond) return beyond
    const done = before
    before = previous
    previous = current
    current = done
  }
  return Math.min(previous[other.length] ?? 0, beyond)
}
