/**
 * Dot products of whole blocks of codes, in SIMD WebAssembly.
 *
 * A block is copied into the module's memory and scanned there: copying is a sequential read that the processor
 * foresees, and what is scanned then lies in its cache (100,000 × 384: 2.5 ms, where scanning codes that live in the
 * module's memory takes 4.7 ms). So codes may lie anywhere, and the module needs one block's worth of memory.
 */
import { base64 } from "../wasm/DenseScanBytes.ts"
import type { CodeBlock, CodedQuery } from "./Codes.ts"

interface Kernel {
  readonly dots: (codes: number, count: number, stride: number, query: number, out: number) => void
}

const page = 65_536

/** One a thread; it holds a block at a time. */
export class DenseScan {
  private readonly memory = new WebAssembly.Memory({ initial: 1 })
  private readonly kernel: Kernel

  constructor() {
    const module = new WebAssembly.Module(Buffer.from(base64, "base64"))
    const instance = new WebAssembly.Instance(module, { scan: { memory: this.memory } })
    // What the module exports stands in dense-scan.wat.
    this.kernel = instance.exports as Kernel
  }

  /**
   * Upper bounds of the exact scores, one for each code of the block, into `bounds` from `offset` on. False where the
   * block holds what is no number.
   */
  bounds(query: CodedQuery, block: CodeBlock, bounds: Float64Array, offset: number): boolean {
    const count = block.scales.length
    const stride = query.codes.length
    const codesAt = 0
    const queryAt = Math.ceil((count * stride) / 16) * 16
    const outAt = queryAt + 2 * stride
    this.fit(outAt + 4 * count)
    const { buffer } = this.memory
    new Int8Array(buffer, codesAt, count * stride).set(block.codes)
    new Int16Array(buffer, queryAt, stride).set(query.codes)
    this.kernel.dots(codesAt, count, stride, queryAt, outAt)
    const dots = new Int32Array(buffer, outAt, count)
    const { unit, perScale, perError, perStep, least } = query
    const { scales, errors } = block
    let sum = 0
    for (let at = 0; at < count; at++) {
      const scale = scales[at] ?? 0
      // Of what is no number the least is none.
      const lost = Math.min(perError * (errors[at] ?? 0), perStep * scale + least)
      const bound = (unit * (dots[at] ?? 0) + perScale) * scale + lost
      bounds[offset + at] = bound
      sum += bound
    }
    return Number.isFinite(sum)
  }

  private fit(bytes: number): void {
    const missing = bytes - this.memory.buffer.byteLength
    if (missing > 0) this.memory.grow(Math.ceil(missing / page))
  }
}
