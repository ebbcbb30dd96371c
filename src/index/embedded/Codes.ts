/**
 * Dense vectors as int8 codes, with a bound on what the coding lost: `v = scale · code + e` with `‖e‖ ≤ error`, and no component
 * of `e` above half a step of the scale.
 *
 * The query is coded in int16, so that a scan works on integers alone. From the integer dot product follows an upper
 * bound of the exact score that holds for every rounding on the way, so that a scan can prove which points it need not
 * look at: Cauchy–Schwarz on the two coding errors, or, for a query that rests on few components, what those can be off by.
 */

/** Vectors are filled up with zeros to a multiple of this many bytes, the width of a SIMD register. */
const lane = 16
/** Bytes that a block of codes takes at most: it is copied into the scan's memory and stays in the second cache. */
const blockBytes = 1 << 20

export const strideOf = (dimensions: number): number => Math.ceil(dimensions / lane) * lane

/** Points in a block of codes. */
export const pointsPerBlock = (dimensions: number): number =>
  Math.max(64, Math.min(2048, Math.floor(blockBytes / strideOf(dimensions))))

/** The codes of up to {@link pointsPerBlock} consecutive members of a segment. */
export interface CodeBlock {
  readonly scales: Float32Array
  readonly errors: Float32Array
  /** `stride` bytes for each. */
  readonly codes: Int8Array
}

/** The length of what the codes of a vector lose, from the sum of the squares: rounded up. */
export const errorOf = (squares: number): number => Math.sqrt(squares) * (1 + slack) + smallest

/**
 * More than all relative rounding errors of sums over up to 65,536 terms and of 32-bit storage together: a 32-bit float is off by
 * at most 2^-24 of itself.
 */
const slack = 2 ** -22
/** More than the absolute rounding error of a 32-bit float close to zero. */
const smallest = 2 ** -148

const greatest = (vector: Float32Array): number => {
  let most = 0
  for (let at = 0; at < vector.length; at++) most = Math.max(most, Math.abs(vector[at] ?? 0))
  return most
}

const length = (vector: Float32Array): number => {
  let sum = 0
  for (let at = 0; at < vector.length; at++) sum += (vector[at] ?? 0) ** 2
  return Math.sqrt(sum)
}

/**
 * `exact score ≤ unit · scale · dot + perScale · scale + min(perError · error, perStep · scale + least)`, where `dot` is that of
 * the integers.
 */
export interface CodedQuery {
  readonly codes: Int16Array
  readonly unit: number
  readonly perScale: number
  readonly perError: number
  readonly perStep: number
  readonly least: number
}

export const encodeQuery = (query: Float32Array): CodedQuery => {
  const stride = strideOf(query.length)
  const codes = new Int16Array(stride)
  // So that a sum of `stride` products stays within int32.
  const highest = Math.min(32_767, Math.floor((2 ** 31 - 1) / (127 * stride)))
  const unit = greatest(query) / highest
  let lost = 0
  if (unit > 0)
    for (let at = 0; at < query.length; at++) {
      const value = query[at] ?? 0
      const code = Math.max(-highest, Math.min(highest, Math.round(value / unit)))
      codes[at] = code
      lost += (value - unit * code) ** 2
    }
  const norm = length(query)
  const codeNorm = 127 * Math.sqrt(query.length)
  const sum = sumOfSizes(query)
  return {
    codes,
    unit,
    perScale: codeNorm * (Math.sqrt(lost) * (1 + slack) + norm * rounding(query.length)),
    perError: norm * (1 + slack),
    perStep: (sum / 2) * (1 + slack),
    least: sum * inexact
  }
}

/** More than the greatest component loses beyond half a step where a 32-bit float is too coarse for its scale. */
const inexact = 2 ** -140

const sumOfSizes = (vector: Float32Array): number => {
  let sum = 0
  for (let at = 0; at < vector.length; at++) sum += Math.abs(vector[at] ?? 0)
  return sum
}

/** Relative to the product of the norms: what summing in float64, in the score and in the bound, may be off by. */
const rounding = (dimensions: number): number => (dimensions + 64) * 2 ** -51
