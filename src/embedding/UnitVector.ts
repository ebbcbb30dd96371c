/**
 * The one form in which a vector is stored: finite, unit length, float32, no −0 (two zeros would be two digests).
 */

/** Where a list of numbers is no direction in space, and why. */
export interface NotAVector {
  readonly problem: string
}

/** Below this largest component (the smallest normal float32) a vector counts as zero: it has no reliable direction. */
const smallest = 2 ** -126

/**
 * Scales to unit length. Sums in float64, relative to the largest component, so that no finite input overflows; the
 * length of the result is 1 within 1e-6. A float32 vector that has unit length already keeps its bytes.
 */
export const unitVector = (raw: unknown, dimensions: number): Float32Array | NotAVector => {
  if (!isList(raw)) return { problem: `is ${described(raw)}, not a list of numbers` }
  if (raw.length !== dimensions) return { problem: `has ${raw.length} dimensions instead of ${dimensions}` }
  const kept = raw instanceof Float32Array ? ofUnitLength(raw) : undefined
  if (kept !== undefined) return kept
  let largest = 0
  for (let i = 0; i < dimensions; i++) {
    const value = raw[i]
    if (typeof value !== "number" || !Number.isFinite(value))
      return { problem: `has ${described(value)} as component ${i}` }
    const size = Math.abs(value)
    if (size > largest) largest = size
  }
  if (largest < smallest) return { problem: "is the zero vector" }
  let squares = 0
  for (let i = 0; i < dimensions; i++) {
    const scaled = Number(raw[i]) / largest
    squares += scaled * scaled
  }
  const length = Math.sqrt(squares)
  const unit = new Float32Array(dimensions)
  // Rounding to float32 can make a −0 of a tiny negative; adding +0 afterwards makes it +0.
  for (let i = 0; i < dimensions; i++) unit[i] = Math.fround(Number(raw[i]) / largest / length) + 0
  return unit
}

/** Apart from lists of whatever: loops over numbers alone are compiled to a tenth of the time. */
const ofUnitLength = (raw: Float32Array): Float32Array | undefined => {
  let squares = 0
  for (let i = 0; i < raw.length; i++) squares += (raw[i] ?? 0) ** 2
  if (!(Math.abs(Math.sqrt(squares) - 1) <= 1e-6)) return undefined
  const unit = new Float32Array(raw.length)
  for (let i = 0; i < raw.length; i++) unit[i] = (raw[i] ?? 0) + 0
  return unit
}

export const isVector = (vector: Float32Array | NotAVector): vector is Float32Array =>
  vector instanceof Float32Array

const isList = (raw: unknown): raw is ArrayLike<unknown> =>
  Array.isArray(raw) || raw instanceof Float32Array || raw instanceof Float64Array

const described = (value: unknown): string => {
  if (typeof value === "number" || value === null || value === undefined) return String(value)
  if (typeof value === "object") return Array.isArray(value) ? "a list" : "an object"
  return `a ${typeof value}`
}
