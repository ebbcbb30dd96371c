/**
 * Terms to weights. The document side is BM25's saturation with a *fixed* average length, so that a weight is a function
 * of its chunk alone and never changes when other documents do; the inverse document frequency stands on the query side.
 * Their product summed over shared tokens is the score (see {@link "../index/Index.ts"}).
 */
import type { SparseVector } from "../index/Index.ts"
import type { Tally } from "./Analyzer.ts"
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

/** Of the text at hand: its terms' tokens and weights. */
let tokens = new Uint32Array(1 << 10)
let weights = new Float64Array(1 << 10)

export const documentVector = ({ length, occurrences, terms, vocabulary }: Tally): SparseVector => {
  const size = terms.length
  if (size > tokens.length) {
    tokens = new Uint32Array(2 * size)
    weights = new Float64Array(2 * size)
  }
  for (let at = 0; at < size; at++) {
    tokens[at] = vocabulary.tokens[terms[at] ?? 0] ?? 0
    weights[at] = documentWeight(occurrences[at] ?? 0, length)
  }
  return combined(tokens, weights, size)
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
