/**
 * A text as a unit vector without a model: signed feature hashing of its words and their character n-grams (Weinberger
 * et al. 2009). Deterministic to the bit on every machine: only +, −, ×, ÷ and √ of IEEE 754, in a fixed order.
 *
 * Each word that is no stop word weighs 1 + ln(count). Half of its energy goes to its stem, half is spread evenly over
 * the 3- and 4-grams of `^word$`, so that spellings of one word are near each other. Each feature takes four slots of
 * the vector, with a sign each, so that two features hardly ever cancel out. It knows words, not meanings.
 *
 * A text without a word (or whose features cancel out to nothing, which nobody has seen) has the vector of one fixed
 * feature: a zero vector is refused everywhere, and such a text is near nothing else.
 */
import type { Analysis } from "../documents/Analyzer.ts"
import { finalMix, murmur3 } from "../documents/Murmur3.ts"

/** Raised whenever the same words give another vector. */
export const hashingFeaturesVersion = "1"

export const defaultDimensions = 512

const slots = 4
const golden = 0x9e3779b9

/** ln n for n ≥ 1, the same on every machine: n = m · 2^k, and ln m by the series of artanh. */
export const naturalLog = (n: number): number => {
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

const addFeature = (vector: Float64Array, feature: string, weight: number): void => {
  const hash = murmur3(feature)
  for (let slot = 1; slot <= slots; slot += 1) {
    const mixed = finalMix(hash + Math.imul(golden, slot))
    const at = (mixed >>> 1) % vector.length
    // Half the value in each of four slots keeps the feature's energy.
    vector[at] = (vector[at] ?? 0) + (mixed & 1 ? weight / 2 : -weight / 2)
  }
}

const addWord = (vector: Float64Array, word: string, stem: string, count: number): void => {
  const weight = (1 + naturalLog(count)) * Math.SQRT1_2
  addFeature(vector, `w:${stem}`, weight)
  const letters = Array.from(`^${word}$`)
  const grams = Math.max(0, letters.length - 2) + Math.max(0, letters.length - 3)
  const share = weight / Math.sqrt(Math.max(1, grams))
  for (let size = 3; size <= 4; size += 1) {
    for (let start = 0; start + size <= letters.length; start += 1) {
      addFeature(vector, `g:${letters.slice(start, start + size).join("")}`, share)
    }
  }
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
