/**
 * A segment as a search sees it. Segments are never changed, so what was read once holds until the segment is gone.
 */
import { type CodedQuery, pointsPerBlock } from "./Codes.ts"
import { bytesPlaced, type PlacedBlock } from "./DenseScan.ts"
import type { ProjectFile } from "./ProjectFile.ts"
import type { Holder, SearchMemory } from "./SearchMemory.ts"

export class SegmentView {
  readonly segment: number
  readonly ordinals: Uint32Array
  /** Where its members' bounds begin among those of all segments. */
  offset = 0
  private readonly file: ProjectFile
  private readonly memory: SearchMemory
  private readonly holder: Holder
  private readonly placed: Array<PlacedBlock | undefined> = []
  private kept: Uint32Array | undefined
  private bytes = 0

  constructor(file: ProjectFile, memory: SearchMemory, holder: Holder, segment: number) {
    this.file = file
    this.memory = memory
    this.holder = holder
    this.segment = segment
    this.ordinals = file.segments.ordinals(segment)
  }

  get points(): number {
    return this.ordinals.length
  }

  /** Upper bounds of its members' dense scores, each at its place among those of all segments. False as in the scan. */
  bounds(query: CodedQuery, bounds: Float64Array): boolean {
    const { scan } = this.memory
    const size = pointsPerBlock(this.file.dimensions)
    let areNumbers = true
    for (let at = 0; at * size < this.points; at++) {
      const offset = this.offset + at * size
      const placed = this.placed[at]
      const isSound =
        placed === undefined
          ? this.firstBounds(at, query, bounds, offset)
          : scan.boundsOf(query, placed, bounds, offset)
      areNumbers &&= isSound
    }
    return areNumbers
  }

  /** The blocks that are held: who scans all may begin with them. */
  get held(): ReadonlyArray<PlacedBlock> {
    return this.placed.filter((placed) => placed !== undefined)
  }

  /** Of a block that is not held yet. */
  private firstBounds(at: number, query: CodedQuery, bounds: Float64Array, offset: number): boolean {
    const { scan } = this.memory
    const { dimensions } = this.file
    const block = this.file.segments.block(this.segment, at, this.points)
    const bytes = bytesPlaced(block.scales.length, dimensions)
    if (!this.reserve(bytes)) return scan.bounds(query, block, bounds, offset)
    const placed = scan.place(block, dimensions)
    if (placed === undefined) {
      this.give(bytes)
      return scan.bounds(query, block, bounds, offset)
    }
    this.placed[at] = placed
    return scan.boundsOf(query, placed, bounds, offset)
  }

  /** The number that `numberOf` gives each member's payload; a member whose point is gone has that of the one before. */
  payloads(numberOf: (payload: string) => number): Uint32Array {
    if (this.kept !== undefined) return this.kept
    const numbers = new Uint32Array(this.points)
    let member = 0
    for (const [ordinal, payload] of this.file.payloads(this.ordinals[0] ?? 0, this.ordinals.at(-1) ?? 0)) {
      while (member < this.points && (this.ordinals[member] ?? 0) < ordinal) member++
      if (this.ordinals[member] === ordinal) numbers[member] = numberOf(payload)
    }
    if (this.reserve(numbers.byteLength)) this.kept = numbers
    return numbers
  }

  release(): void {
    this.give(this.bytes)
    for (const placed of this.placed) if (placed !== undefined) this.memory.scan.giveBack(placed)
    this.placed.length = 0
    this.kept = undefined
  }

  private give(bytes: number): void {
    this.memory.give(this.holder, bytes)
    this.bytes -= bytes
  }

  private reserve(bytes: number): boolean {
    const granted = this.memory.reserve(this.holder, bytes)
    if (granted) this.bytes += bytes
    return granted
  }
}
