/** The scan's module over a memory: see dense-scan.wat. Threads that share the memory have a module each. */
import { base64 } from "../wasm/DenseScanBytes.ts"

export interface ScanKernel {
  readonly weave: (codes: number, fours: number, stride: number, to: number) => void
  readonly bounds: (
    scales: number,
    errors: number,
    codes: number,
    fours: number,
    stride: number,
    query: number,
    dots: number,
    out: number,
    unit: number,
    perScale: number,
    perError: number,
    perStep: number,
    least: number
  ) => number
}

/** Bytes of what a memory grows by. */
export const page = 65_536
/** Four gigabytes: room is set aside for them, none is taken before it is needed. */
const mostPages = 65_536

/** Shared, so that a second thread can look at what lies there. */
export const newMemory = (): WebAssembly.Memory =>
  new WebAssembly.Memory({ initial: 0, maximum: mostPages, shared: true })

export const kernelOver = (memory: WebAssembly.Memory): ScanKernel => {
  const module = new WebAssembly.Module(Buffer.from(base64, "base64"))
  const instance = new WebAssembly.Instance(module, { scan: { memory } })
  // What the module exports stands in dense-scan.wat.
  return instance.exports as ScanKernel
}

/** A query as the kernel is asked: the address of its codes, how long they are, and its factors. */
export interface PlacedQuery {
  readonly at: number
  readonly stride: number
  readonly unit: number
  readonly perScale: number
  readonly perError: number
  readonly perStep: number
  readonly least: number
}

export const foursOf = (count: number): number => Math.ceil(count / 4)

/**
 * Bounds of so many placed codes to `out`; `dots` is room for their dot products. False where one of them is no number.
 */
export const boundsOf = (
  kernel: ScanKernel,
  query: PlacedQuery,
  codes: number,
  count: number,
  dots: number,
  out: number
): boolean => {
  const fours = foursOf(count)
  const sum = kernel.bounds(
    codes,
    codes + 16 * fours,
    codes + 32 * fours,
    fours,
    query.stride,
    query.at,
    dots,
    out,
    query.unit,
    query.perScale,
    query.perError,
    query.perStep,
    query.least
  )
  return Number.isFinite(sum)
}
