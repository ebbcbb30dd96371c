/**
 * A segment as a search sees it. Segments are never changed, so what was read once holds until the segment is gone.
 */
import type { CodeBlock } from "./Codes.ts"
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
  private readonly blocks: Array<CodeBlock | undefined> = []
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

  block(at: number): CodeBlock {
    const held = this.blocks[at]
    if (held !== undefined) return held
    const block = this.file.segments.block(this.segment, at, this.points)
    if (this.reserve(block.codes.byteLength + block.scales.byteLength + block.errors.byteLength))
      this.blocks[at] = block
    return block
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
    this.memory.give(this.holder, this.bytes)
    this.bytes = 0
    this.blocks.length = 0
    this.kept = undefined
  }

  private reserve(bytes: number): boolean {
    const granted = this.memory.reserve(this.holder, bytes)
    if (granted) this.bytes += bytes
    return granted
  }
}
