/**
 * Upper bounds of exact scores for whole blocks of codes, in SIMD WebAssembly.
 *
 * Codes that a search holds ready lie in the module's memory, woven as the kernel reads them (dense-scan.wat), so that a
 * scan is one pass over memory from beginning to end: 100,000 × 384 in 1.5 ms, where copying blocks to the kernel and scanning
 * them there takes 2.7 ms, and scanning plain codes in place 5. Codes that find no room are woven for each query.
 * Where a second thread may scan, too ({@link SecondScan}), a query is begun before anything else is looked at for it, and what is
 * not finished when its bounds are asked for is computed here.
 */
import { type CodeBlock, type CodedQuery, pointsPerBlock, strideOf } from "./Codes.ts"
import { boundsOf, foursOf, kernelOver, newMemory, type PlacedQuery, page } from "./ScanKernel.ts"
import { SecondScan } from "./SecondScan.ts"

/** Bytes of plain codes that are woven at a time. */
const skein = 65_536

/**
 * The codes of a block in the scan's memory: scales, errors, and codes woven by fours. A place for each block as a whole: at
 * every beginning the processor has to find out anew what is read next.
 */
export interface PlacedBlock {
  readonly count: number
  readonly at: number
  /** Of the place: it may be larger than what lies there. */
  readonly pages: number
}

/** Where a query is asked: its codes, plain codes to be woven, their dot products and bounds, and a block woven for it alone. */
interface Desk {
  readonly query: number
  /** Whose codes lie there. */
  asked: CodedQuery | undefined
  readonly plain: number
  readonly dots: number
  readonly out: number
  readonly place: PlacedBlock
  /** Codes that are woven at a time, a multiple of four. */
  readonly codes: number
}

/** One a thread. */
export class DenseScan {
  private readonly memory = newMemory()
  private readonly kernel = kernelOver(this.memory)
  private readonly second: SecondScan
  /** The memory never shrinks: a place that is given back is taken by the next block that it is large enough for. */
  private free: ReadonlyArray<PlacedBlock> = []
  /** By the stride of the codes: few lengths are searched in one process. */
  private readonly desks = new Map<number, Desk>()

  /** `together`: another thread may scan beside this one. */
  constructor(together = false) {
    this.second = new SecondScan(this.memory, together, (bytes) => this.grow(Math.ceil(bytes / page)))
  }

  /** Keeps the codes of a block until they are given back; `undefined` where the module gets no more memory. */
  place(block: CodeBlock, dimensions: number): PlacedBlock | undefined {
    const desk = this.deskFor(dimensions)
    const count = block.scales.length
    const place = this.take(bytesPlaced(count, dimensions) / page)
    if (place === undefined) return undefined
    const placed = { ...place, count }
    this.weave(desk, block, placed)
    return placed
  }

  giveBack(placed: PlacedBlock): void {
    this.free = [...this.free, placed].sort((one, other) => one.pages - other.pages)
  }

  /** Placed blocks whose bounds will be asked for with this query: the second thread may begin. */
  begin(query: CodedQuery, blocks: ReadonlyArray<PlacedBlock>): void {
    this.second.begin(query, this.put(query), blocks)
  }

  /** Nobody searches any more. */
  rest(): void {
    this.second.rest()
  }

  /**
   * Upper bounds of the exact scores, one for each code of the block, into `bounds` from `offset` on. False where one of them
   * is no number.
   */
  bounds(query: CodedQuery, block: CodeBlock, bounds: Float64Array, offset: number): boolean {
    const desk = this.deskFor(query.codes.length)
    const placed = { ...desk.place, count: block.scales.length }
    this.weave(desk, block, placed)
    return this.boundsOf(query, placed, bounds, offset)
  }

  /** As {@link bounds}, of a block that was placed. */
  boundsOf(query: CodedQuery, { at, count }: PlacedBlock, bounds: Float64Array, offset: number): boolean {
    const taken = this.second.take(query, at)
    // Which of them is none the other thread has not kept.
    if (taken !== undefined && taken !== false) {
      bounds.set(taken, offset)
      return true
    }
    const { dots, out } = this.deskFor(query.codes.length)
    const areNumbers = boundsOf(this.kernel, this.put(query), at, count, dots, out)
    bounds.set(new Float64Array(this.memory.buffer, out, count), offset)
    return areNumbers
  }

  /** The query where the kernel reads it. */
  private put(query: CodedQuery): PlacedQuery {
    const { codes, least, perError, perScale, perStep, unit } = query
    const desk = this.deskFor(codes.length)
    if (desk.asked !== query) new Int16Array(this.memory.buffer, desk.query, codes.length).set(codes)
    desk.asked = query
    return { at: desk.query, stride: codes.length, unit, perScale, perError, perStep, least }
  }

  private weave(desk: Desk, { codes, errors, scales }: CodeBlock, { at, count }: PlacedBlock): void {
    const { buffer } = this.memory
    const stride = codes.length / count
    const filled = foursOf(count) * 4
    // What fills up the last four has neither scale nor error: whatever its codes are, its bound is a number.
    const both = new Float32Array(buffer, at, 2 * filled).fill(0)
    both.set(scales)
    both.set(errors, filled)
    const plain = new Int8Array(buffer, desk.plain, desk.codes * stride)
    for (let first = 0; first < count; first += desk.codes) {
      const some = codes.subarray(first * stride, (first + desk.codes) * stride)
      plain.set(some)
      this.kernel.weave(desk.plain, foursOf(some.length / stride), stride, at + 8 * filled + first * stride)
    }
  }

  private take(pages: number): PlacedBlock | undefined {
    const fitting = this.free.find((place) => place.pages >= pages)
    if (fitting !== undefined) {
      this.free = this.free.filter((place) => place !== fitting)
      return fitting
    }
    const at = this.grow(pages)
    return at === undefined ? undefined : { at, pages, count: 0 }
  }

  private deskFor(dimensions: number): Desk {
    const stride = strideOf(dimensions)
    const known = this.desks.get(stride)
    if (known !== undefined) return known
    const codes = 4 * Math.max(1, Math.floor(skein / (4 * stride)))
    const most = foursOf(pointsPerBlock(dimensions)) * 4
    const plain = 2 * stride
    const dots = plain + codes * stride
    const out = dots + 4 * most
    const pages = Math.ceil((out + 8 * most) / page)
    const query = this.grow(pages)
    const place = this.take(bytesPlaced(most, dimensions) / page)
    if (query === undefined || place === undefined)
      throw new RangeError("The scan gets no memory for a query.")
    const desk: Desk = {
      query,
      asked: undefined,
      plain: query + plain,
      dots: query + dots,
      out: query + out,
      place,
      codes
    }
    this.desks.set(stride, desk)
    return desk
  }

  /** The address of so many pages more; `undefined` where there are none. */
  private grow(pages: number): number | undefined {
    try {
      return this.memory.grow(pages) * page
    } catch (cause) {
      if (cause instanceof RangeError) return undefined
      throw cause
    }
  }
}

/** Bytes that so many codes take where they are placed: whole pages. */
export const bytesPlaced = (count: number, dimensions: number): number =>
  Math.ceil((4 * foursOf(count) * (strideOf(dimensions) + 8)) / page) * page
