/** Codes of up to {@link vectorsAtOnce} vectors at a time, in SIMD WebAssembly: a tenth of the time that the same takes here. */
import { base64 } from "../wasm/EncodeVectorsBytes.ts"
import { type CodeBlock, errorOf, pointsPerBlock, strideOf } from "./Codes.ts"

interface Kernel {
  readonly encode: (
    vectors: number,
    count: number,
    bytes: number,
    codes: number,
    scales: number,
    lost: number
  ) => void
}

const page = 65_536

export const vectorsAtOnce = 64

export class VectorEncoder {
  private readonly kernel: Kernel
  private readonly stride: number
  private readonly lostAt: number
  private readonly scalesAt: number
  private readonly codesAt: number
  /** As the kernel reads them: each filled up with zeros. */
  private readonly vectors: Float32Array
  private readonly lost: Float64Array
  private readonly scales: Float32Array
  private readonly codes: Int8Array
  private readonly errors = new Float32Array(vectorsAtOnce)

  constructor(dimensions: number) {
    this.stride = strideOf(dimensions)
    this.lostAt = 4 * this.stride * vectorsAtOnce
    this.scalesAt = this.lostAt + 8 * vectorsAtOnce
    this.codesAt = this.scalesAt + 4 * vectorsAtOnce
    const bytes = this.codesAt + this.stride * vectorsAtOnce
    const memory = new WebAssembly.Memory({ initial: Math.ceil(bytes / page) })
    const module = new WebAssembly.Module(Buffer.from(base64, "base64"))
    // What the module exports stands in encode-vectors.wat.
    this.kernel = new WebAssembly.Instance(module, { encode: { memory } }).exports as Kernel
    const { buffer } = memory
    this.vectors = new Float32Array(buffer, 0, this.stride * vectorsAtOnce)
    this.lost = new Float64Array(buffer, this.lostAt, vectorsAtOnce)
    this.scales = new Float32Array(buffer, this.scalesAt, vectorsAtOnce)
    this.codes = new Int8Array(buffer, this.codesAt, this.stride * vectorsAtOnce)
  }

  /** One of those that are encoded next. All have the dimensions of this encoder. */
  put(place: number, vector: Float32Array): void {
    this.vectors.set(vector, place * this.stride)
  }

  /** Of the first `count` that were put: holds until the next call. */
  encode(count: number): CodeBlock {
    const { codesAt, errors, lostAt, scalesAt, stride } = this
    this.kernel.encode(0, count, 4 * stride, codesAt, scalesAt, lostAt)
    for (let at = 0; at < count; at++) errors[at] = errorOf(this.lost[at] ?? 0)
    return {
      scales: this.scales.subarray(0, count),
      errors: errors.subarray(0, count),
      codes: this.codes.subarray(0, count * stride)
    }
  }
}

let latest: { readonly dimensions: number; readonly encoder: VectorEncoder } | undefined

/** Shared: what one call of it has put and encoded must be taken before the next. */
export const encoderOf = (dimensions: number): VectorEncoder => {
  if (latest?.dimensions !== dimensions) latest = { dimensions, encoder: new VectorEncoder(dimensions) }
  return latest.encoder
}

/** The codes of a segment's members, in blocks. */
export const encodeBlocks = (
  vectors: ReadonlyArray<Float32Array>,
  dimensions: number
): ReadonlyArray<CodeBlock> => {
  const size = pointsPerBlock(dimensions)
  const blocks: Array<CodeBlock> = []
  for (let first = 0; first < vectors.length; first += size)
    blocks.push(encodeBlock(vectors.slice(first, first + size), dimensions))
  return blocks
}

const encodeBlock = (vectors: ReadonlyArray<Float32Array>, dimensions: number): CodeBlock => {
  const stride = strideOf(dimensions)
  const encoder = encoderOf(dimensions)
  const scales = new Float32Array(vectors.length)
  const errors = new Float32Array(vectors.length)
  const codes = new Int8Array(vectors.length * stride)
  for (let first = 0; first < vectors.length; first += vectorsAtOnce) {
    const count = Math.min(vectorsAtOnce, vectors.length - first)
    for (let at = 0; at < count; at++) {
      const vector = vectors[first + at]
      if (vector !== undefined) encoder.put(at, vector)
    }
    const block = encoder.encode(count)
    scales.set(block.scales, first)
    errors.set(block.errors, first)
    codes.set(block.codes, first * stride)
  }
  return { scales, errors, codes }
}
