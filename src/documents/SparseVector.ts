/**
 * Terms to weights. The document side is BM25's saturation with a *fixed* average length, so that a weight is a function
 * of its chunk alone and never changes when other documents do; the inverse document frequency stands on the query side.
 * Their product summed over shared tokens is the score (see {@link "../index/Index.ts"}).
 */
import type { SparseVector } from "../index/Index.ts"
import type { Spelt } from "./Analyzer.ts"
import { murmur3 } from "./Murmur3.ts"
import { ascending } from "./RadixSort.ts"

/** Saturation and length normalisation of BM25. */
const k1 = 1.2
const b = 0.75
/** Words. Measured: 24 to 40 are alike, below it falls slowly, above fast. */
const averageLength = 32

/** MurmurHash3 (x86, 32 bit, seed 0) of the stem's UTF-8, unsigned. */
export const tokenId = (stem: string): number => murmur3(stem)

/** Weight of a term that occurs `count` times in a text of `length` words. */
export const documentWeight = (count: number, length: number): number =>
  (count * (k1 + 1)) / (count + k1 * (1 - b + (b * length) / averageLength))

/** What a text is found by. */
export interface DocumentTerms {
  readonly sparse: SparseVector
  /** Distinct, in the order of their tokens. */
  readonly words: Int32Array
  /** Those of the words before which another has the same token. */
  readonly repeats: ReadonlyArray<number>
}

const noRepeats: ReadonlyArray<number> = []

/**
 * Spellings of one word count as that word, words of one stem as that, and of stems whose tokens collide the weights add up. All
 * of these have one token, so that they are neighbours once tokens are in order; nearly all have no neighbour.
 */
export const documentTerms = (spelt: Spelt): DocumentTerms => {
  const { counts, length, size, tokens, words: given } = spelt
  const order = ascending(tokens, size)
  const both = new ArrayBuffer(8 * size)
  const ids = new Uint32Array(both, 0, size)
  const weights = new Float32Array(both, 4 * size, size)
  const words = new Int32Array(size)
  let repeats = noRepeats
  let term = 0
  let word = 0
  for (let at = 0; at < size; term++) {
    const place = order[at] ?? 0
    const token = tokens[place] ?? 0
    ids[term] = token
    let next = at + 1
    while (next < size && tokens[order[next] ?? 0] === token) next++
    if (next === at + 1) {
      words[word++] = given[place] ?? 0
      weights[term] = documentWeight(counts[place] ?? 0, length)
    } else {
      const { found, weight } = together(spelt, order.subarray(at, next))
      weights[term] = weight
      words.set(found, word)
      word += found.length
      if (found.length > 1) repeats = [...repeats, ...found.slice(1)]
    }
    at = next
  }
  const sparse =
    term === size ? { ids, weights } : { ids: ids.slice(0, term), weights: weights.slice(0, term) }
  return { sparse, words: words.subarray(0, word), repeats }
}

/** Spellings of one token, in the order of their first occurrence: their distinct words, and what they weigh together. */
const together = (
  { counts, length, vocabulary, words }: Spelt,
  places: Uint32Array
): { readonly found: ReadonlyArray<number>; readonly weight: number } => {
  const found = new Set<number>()
  const occurrences = new Map<number, number>()
  for (const place of places) {
    const word = words[place] ?? 0
    const stem = vocabulary.terms[word] ?? 0
    found.add(word)
    occurrences.set(stem, (occurrences.get(stem) ?? 0) + (counts[place] ?? 0))
  }
  let weight = 0
  for (const count of occurrences.values()) weight += documentWeight(count, length)
  return { found: [...found], weight }
}

/** A project's document frequencies. */
export interface Frequencies {
  /** Chunks of the project. */
  readonly total: number
  /** Chunks of the project that hold the token. */
  readonly frequency: (token: number) => number
}

/** What is asked for: a stem, how often, and how much it counts (a corrected word less than a literal one). */
export interface QueryTerm {
  readonly stem: string
  readonly count: number
  readonly factor: number
}

/** `ln(1 + (N − df + 0.5) / (df + 0.5))`: positive for every df ≤ N. */
export const inverseFrequency = (total: number, frequency: number): number =>
  Math.log(1 + (Math.max(0, total - frequency) + 0.5) / (frequency + 0.5))

/** Tokens that no chunk of the project holds are left out: they cannot score. */
export const queryVector = (terms: Iterable<QueryTerm>, frequencies: Frequencies): SparseVector => {
  const weights: Array<readonly [id: number, weight: number]> = []
  for (const { count, factor, stem } of terms) {
    const id = tokenId(stem)
    const frequency = frequencies.frequency(id)
    if (frequency <= 0) continue
    weights.push([id, factor * (1 + Math.log(count)) * inverseFrequency(frequencies.total, frequency)])
  }
  return sparseVector(weights)
}

/** Sorts by id; colliding ids add up, in the order given. */
export const sparseVector = (pairs: ReadonlyArray<readonly [id: number, weight: number]>): SparseVector =>
  combined(
    Uint32Array.from(pairs, ([id]) => id),
    Float64Array.from(pairs, ([, weight]) => weight),
    pairs.length
  )

/** The first `size` of both. */
const combined = (tokens: Uint32Array, weights: Float64Array, size: number): SparseVector => {
  const both = new ArrayBuffer(8 * size)
  const ids = new Uint32Array(both, 0, size)
  const rounded = new Float32Array(both, 4 * size, size)
  const order = ascending(tokens, size)
  let last = -1
  let sum = 0
  for (let at = 0; at < size; at++) {
    const place = order[at] ?? 0
    const token = tokens[place] ?? 0
    const weight = weights[place] ?? 0
    if (last >= 0 && ids[last] === token) sum += weight
    else {
      last += 1
      ids[last] = token
      sum = weight
    }
    rounded[last] = sum
  }
  return last + 1 === size
    ? { ids, weights: rounded }
    : { ids: ids.slice(0, last + 1), weights: rounded.slice(0, last + 1) }
}
