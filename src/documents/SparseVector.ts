/**
 * Terms to weights. The document side is BM25's saturation with a *fixed* average length, so that a weight is a function
 * of its chunk alone and never changes when other documents do; the inverse document frequency stands on the query side.
 * Their product summed over shared tokens is the score (see {@link "../index/Index.ts"}).
 */
import type { SparseVector } from "../index/Index.ts"
import type { Analysis } from "./Analyzer.ts"
import { murmur3 } from "./Murmur3.ts"

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

export const documentVector = (analysis: Analysis): SparseVector => {
  const weights: Array<readonly [id: number, weight: number]> = []
  for (const [stem, count] of analysis.terms) {
    weights.push([tokenId(stem), documentWeight(count, analysis.length)])
  }
  return sparseVector(weights)
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
export const sparseVector = (weights: ReadonlyArray<readonly [id: number, weight: number]>): SparseVector => {
  const sorted = [...weights].sort((one, other) => one[0] - other[0])
  const ids: Array<number> = []
  const sums: Array<number> = []
  for (const [id, weight] of sorted) {
    if (ids.length > 0 && ids[ids.length - 1] === id)
      sums[sums.length - 1] = (sums[sums.length - 1] ?? 0) + weight
    else {
      ids.push(id)
      sums.push(weight)
    }
  }
  return { ids: Uint32Array.from(ids), weights: Float32Array.from(sums) }
}
