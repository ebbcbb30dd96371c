/**
 * A text as a unit vector without a model: signed feature hashing of its words and their character n-grams (Weinberger
 * et al. 2009). Deterministic to the bit on every machine: only +, −, ×, ÷ and √ of IEEE 754, in a fixed order.
 *
 * A word that is no stop word weighs (1 + ln(count)) · length^¼, and three tenths of that if it is a common one: both stand
 * in for the inverse document frequency, which an embedder does not know. Most of its energy goes to its stem, the rest
 * is spread evenly over the 3- and 4-grams of `^word$`, so that spellings of one word are near each other. Each feature
 * takes four slots of the vector, with a sign each, so that two features hardly ever cancel out. It knows words, not
 * meanings.
 *
 * A text without a word (or whose features cancel out to nothing, which nobody has seen) is the first unit vector: a zero
 * vector is refused everywhere, and hardly any other text is near this one.
 */
import type { Analysis } from "../documents/Analyzer.ts"
import { finalMix, murmur3 } from "../documents/Murmur3.ts"
import { commonWords } from "./CommonWords.ts"

/** Raised whenever the same words give another vector. */
export const hashingFeaturesVersion = "1"

export const defaultDimensions = 512

/** Measured on both collections of `bench/quality.ts`. */
const stemEnergy = 0.7
const commonWeight = 0.3

const slots = 4
const golden = 0x9e3779b9

/** ln n for n ≥ 1, the same on every machine: n = m · 2^k, and ln m by the series of artanh. */
export const naturalLog = (n: number): number => {
  if (n === 1) return 0
  let m = n
  let k = 0
  while (m >= 2) {
    m /= 2
    k += 1
  }
  const x = (m - 1) / (m + 1)
  let power = x
  let sum = 0
  for (let odd = 1; odd <= 41; odd += 2) {
    sum += power / odd
    power *= x * x
  }
  return k * Math.LN2 + 2 * sum
}

const addFeature = (vector: Float64Array, hash: number, weight: number): void => {
  // Half the value in each of four slots keeps the feature's energy.
  const half = weight / 2
  for (let slot = 1; slot <= slots; slot += 1) {
    const mixed = finalMix(hash + Math.imul(golden, slot))
    const at = (mixed >>> 1) % vector.length
    vector[at] = (vector[at] ?? 0) + (mixed & 1 ? half : -half)
  }
}

/** A word's features as hashes: the 3- and 4-grams of `^word$`, in order, by characters rather than code units. */
const gramHashes = (word: string): Uint32Array => {
  const letters = Array.from(`^${word}$`)
  const hashes: Array<number> = []
  for (let size = 3; size <= 4; size += 1) {
    for (let start = 0; start + size <= letters.length; start += 1) {
      hashes.push(murmur3(`g:${letters.slice(start, start + size).join("")}`))
    }
  }
  return Uint32Array.from(hashes)
}

/** Words whose grams are remembered, in each of two ages: a few megabytes. */
const cacheSize = 20_000
let young = new Map<string, Uint32Array>()
let old = new Map<string, Uint32Array>()

const gramsOf = (word: string): Uint32Array => {
  const known = young.get(word)
  if (known !== undefined) return known
  const hashes = old.get(word) ?? gramHashes(word)
  if (young.size >= cacheSize) {
    old = young
    young = new Map()
  }
  young.set(word, hashes)
  return hashes
}

const addWord = (vector: Float64Array, word: string, stem: string, count: number): void => {
  const length = Math.sqrt(Math.sqrt(word.length))
  const weight = (1 + naturalLog(count)) * length * (commonWords.has(word) ? commonWeight : 1)
  addFeature(vector, murmur3(`w:${stem}`), weight * Math.sqrt(stemEnergy))
  const grams = gramsOf(word)
  const share = weight * Math.sqrt((1 - stemEnergy) / Math.max(1, grams.length))
  for (const gram of grams) addFeature(vector, gram, share)
}

/** A unit vector of `dimensions` (at least 1) components, without −0. */
export const hashingFeatures = (
  { counts, words }: Pick<Analysis, "words" | "counts">,
  dimensions: number = defaultDimensions
): Float32Array => {
  const vector = new Float64Array(dimensions)
  for (const [word, stem] of words) addWord(vector, word, stem, counts.get(word) ?? 1)
  let energy = sumOfSquares(vector)
  if (energy === 0) {
    vector[0] = 1
    energy = 1
  }
  const norm = Math.sqrt(energy)
  return Float32Array.from(vector, (value) => value / norm + 0)
}

const sumOfSquares = (vector: Float64Array): number => {
  let sum = 0
  for (const value of vector) sum += value * value
  return sum
}
