/** Vectors and their scores: single precision throughout, as the real server computes. */
import { notDone, Refusal } from "./Payload.ts"

export type Distance = "Dot" | "Cosine" | "Euclid" | "Manhattan"

export interface DenseParams {
  readonly size: number
  readonly distance: Distance
  readonly multivector_config?: object | null
  readonly datatype?: string | null
}
export interface SparseParams {
  readonly modifier?: "idf" | "none" | null
}

export interface SparseInput {
  readonly indices: ReadonlyArray<number>
  readonly values: ReadonlyArray<number>
}
export type VectorInput = ReadonlyArray<number> | SparseInput

export interface Sparse {
  readonly indices: ReadonlyArray<number>
  readonly values: Float32Array
}
export type Vector = Float32Array | Sparse

export const isSparse = (vector: Vector): vector is Sparse => !(vector instanceof Float32Array)
export const isSparseInput = (input: unknown): input is SparseInput =>
  typeof input === "object" && input !== null && "indices" in input && "values" in input
export const isDenseInput = (input: unknown): input is ReadonlyArray<number> =>
  Array.isArray(input) && input.every((one) => typeof one === "number")

const single = (values: ReadonlyArray<number>): Float32Array => {
  const vector = Float32Array.from(values)
  if (!vector.every(Number.isFinite))
    throw new Refusal(400, "Wrong input: a component of a vector is beyond single precision")
  return vector
}

export const dimensionError = (expected: number, got: number) =>
  new Refusal(400, `Wrong input: Vector dimension error: expected dim: ${expected}, got ${got}`)

/** Cosine vectors are stored and asked for at unit length (`lib/segment/src/spaces/simple.rs`). */
export const denseVector = (input: ReadonlyArray<number>, params: DenseParams): Float32Array => {
  if (input.length !== params.size) throw dimensionError(params.size, input.length)
  const vector = single(input)
  if (params.distance !== "Cosine") return vector
  const squares = dot(vector, vector)
  if (squares < 2 ** -23 || Math.abs(squares - 1) <= 1e-6) return vector
  const length = Math.fround(Math.sqrt(squares))
  return vector.map((component) => component / length)
}

/** Stored by ascending index. Duplicates are refused, unsorted indices are not (`lib/sparse/src/common/sparse_vector.rs`). */
export const sparseVector = (input: SparseInput): Sparse => {
  if (input.indices.length !== input.values.length)
    throw new Refusal(422, "Validation error in JSON body: [values: must be the same length as indices]")
  if (new Set(input.indices).size !== input.indices.length)
    throw new Refusal(422, "Validation error in JSON body: [indices: must be unique]")
  const order = input.indices
    .map((_, at) => at)
    .sort((a, b) => (input.indices[a] ?? 0) - (input.indices[b] ?? 0))
  return {
    indices: order.map((at) => input.indices[at] ?? 0),
    values: single(order.map((at) => input.values[at] ?? 0))
  }
}

const { fround } = Math

const dot = (a: Float32Array, b: Float32Array): number => {
  let sum = 0
  for (let at = 0; at < a.length; at++) sum = fround(sum + fround((a[at] ?? 0) * (b[at] ?? 0)))
  return sum
}

/** How near a stored vector is: for Euclid and Manhattan the less, the nearer. */
export const denseScore = (distance: Distance, query: Float32Array, stored: Float32Array): number => {
  switch (distance) {
    case "Dot":
    case "Cosine":
      return dot(query, stored)
    case "Euclid": {
      let sum = 0
      for (let at = 0; at < query.length; at++) {
        const difference = fround((query[at] ?? 0) - (stored[at] ?? 0))
        sum = fround(sum + fround(difference * difference))
      }
      return fround(Math.sqrt(sum))
    }
    case "Manhattan": {
      let sum = 0
      for (let at = 0; at < query.length; at++)
        sum = fround(sum + fround(Math.abs(fround((query[at] ?? 0) - (stored[at] ?? 0)))))
      return sum
    }
  }
}

export const isNearer = (distance: Distance, a: number, b: number): boolean =>
  distance === "Dot" || distance === "Cosine" ? a > b : a < b

/** Undefined where no index is shared: such a point is not found. */
export const sparseScore = (query: Sparse, stored: Sparse): number | undefined => {
  let sum = 0
  let shared = false
  for (let q = 0, s = 0; q < query.indices.length && s < stored.indices.length; ) {
    const wanted = query.indices[q] ?? 0
    const there = stored.indices[s] ?? 0
    if (wanted === there) {
      shared = true
      sum = fround(sum + fround((query.values[q] ?? 0) * (stored.values[s] ?? 0)))
      q++
      s++
    } else if (wanted < there) q++
    else s++
  }
  return shared ? sum : undefined
}

/**
 * The number that a single-precision number is written as: the shortest decimal that reads back to it. So readers see
 * what the real server sends, 0.1 and not 0.10000000149011612.
 */
export const written = (value: number): number => {
  for (let digits = 6; digits < 9; digits++) {
    const decimal = Number(value.toPrecision(digits))
    if (fround(decimal) === value) return decimal
  }
  return Number(value.toPrecision(9))
}

const writtenBefore = new WeakMap<Vector, VectorInput>()

export const writtenVector = (vector: Vector): VectorInput => {
  const known = writtenBefore.get(vector)
  if (known !== undefined) return known
  const input = isSparse(vector)
    ? { indices: vector.indices, values: Array.from(vector.values, written) }
    : Array.from(vector, written)
  writtenBefore.set(vector, input)
  return input
}

/** Reciprocal rank fusion (`lib/segment/src/common/reciprocal_rank_fusion.rs`): k is 2 unless said otherwise. */
export const reciprocalRank = (rank: number, k: number, weight: number): number =>
  weight <= 0 ? 0 : fround(1 / fround(fround((rank + 1) / weight) + k - 1))

/** The modifier `idf`: `ln((n − df + 0.5) / (df + 0.5) + 1)`. */
export const withIdf = (query: Sparse, points: number, frequency: (index: number) => number): Sparse => ({
  indices: query.indices,
  values: query.values.map((value, at) => {
    const df = frequency(query.indices[at] ?? 0)
    return value * Math.log((points - df + 0.5) / (df + 0.5) + 1)
  })
})

export const refuseParams = (params: DenseParams): void => {
  if (params.multivector_config != null) throw notDone("multivectors")
  if (params.datatype != null && params.datatype !== "float32") throw notDone(`vectors of ${params.datatype}`)
}
