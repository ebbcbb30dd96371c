/**
 * The scores that every engine gives, exactly: two engines that hold the same vectors answer with the same bits.
 *
 * A product of two 32-bit floats is exact in float64, so a score depends on the order of its additions alone, and
 * that order is fixed here.
 */
import type { SparseVector } from "./Index.ts"

/** The dot product, summed in order of the components in float64. */
export const denseScore = (query: Float32Array, vector: Float32Array): number => {
  let sum = 0
  // `?? 0` is never reached: vectors of one generation have equal lengths.
  for (let at = 0; at < query.length; at++) sum += (query[at] ?? 0) * (vector[at] ?? 0)
  return sum
}

/**
 * The sum of `query weight · weight` over shared tokens in ascending token id, in float64, or `undefined` where they
 * share none: such a point is no sparse candidate, however small a shared weight may be.
 */
export const sparseScore = (query: SparseVector, vector: SparseVector): number | undefined => {
  let sum = 0
  let shared = false
  let left = 0
  let right = 0
  while (left < query.ids.length && right < vector.ids.length) {
    const a = query.ids[left] ?? 0
    const b = vector.ids[right] ?? 0
    if (a === b) {
      sum += (query.weights[left] ?? 0) * (vector.weights[right] ?? 0)
      shared = true
    }
    if (a <= b) left++
    if (b <= a) right++
  }
  return shared ? sum : undefined
}
