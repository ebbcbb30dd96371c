/**
 * Joins neighbouring segments to one, from what stands in them: what a segment holds of a point does not depend on the others
 * of its segment, so nothing is derived anew, and the result is, bit for bit, what would be built from the points. Neither
 * points nor vectors are read, and no more is in memory than a block of each part.
 */
import { type CodeBlock, pointsPerBlock, strideOf } from "./Codes.ts"
import { damaged } from "./Database.ts"
import { maxMembers } from "./Postings.ts"
import { fullBlock, type PostingBlock, type SegmentTables } from "./SegmentTables.ts"

/** A segment that is joined, and where its members go. */
interface Part {
  readonly segment: number
  readonly points: number
  /** The joined segment's members, by this one's; {@link gone} for those whose points are. */
  readonly places: Uint32Array
}

const gone = 0xffff_ffff

export class SegmentJoin {
  /** The joined segment's. */
  readonly ordinals: Uint32Array
  private readonly tables: SegmentTables
  private readonly path: string
  private readonly dimensions: number
  private readonly parts: ReadonlyArray<Part>

  /**
   * `segments` in the order of their ordinals. `living`: the ordinals of all points among theirs, ascending; absent where every
   * member has one.
   */
  constructor(
    tables: SegmentTables,
    path: string,
    dimensions: number,
    segments: ReadonlyArray<number>,
    living: Iterable<number> | undefined
  ) {
    this.tables = tables
    this.path = path
    this.dimensions = dimensions
    const left = living?.[Symbol.iterator]()
    const isLiving = left === undefined ? () => true : among(left)
    const ordinals: Array<number> = []
    this.parts = segments.map((segment) => {
      const members = tables.ordinals(segment)
      const places = members.map((ordinal) => (isLiving(ordinal) ? ordinals.push(ordinal) - 1 : gone))
      return { segment, points: members.length, places }
    })
    if (ordinals.length > maxMembers) throw damaged(path, "Its segments hold more points than they count.")
    this.ordinals = Uint32Array.from(ordinals)
  }

  /** Writes the joined segment's postings and codes. */
  write(segment: number): void {
    this.writePostings(segment)
    this.writeCodes(segment)
  }

  private writePostings(segment: number): void {
    const written = new BlockWriter(this.tables, segment, this.ordinals.length)
    let cursors = this.parts.map((part) => new Cursor(this.tables, part, this.path))
    for (;;) {
      cursors = cursors.filter(({ isOver }) => !isOver)
      if (cursors.length === 0) break
      let token = gone
      for (const cursor of cursors) token = Math.min(token, cursor.token)
      for (const cursor of cursors) if (cursor.token === token) cursor.moveInto(written)
      written.end(token)
    }
    written.flush()
  }

  private writeCodes(segment: number): void {
    const size = pointsPerBlock(this.dimensions)
    const stride = strideOf(this.dimensions)
    const total = this.ordinals.length
    let number = 0
    let filled = 0
    let block = emptyBlock(Math.min(size, total), stride)
    for (const part of this.parts)
      for (let first = 0; first < part.points; first += size) {
        const { codes, errors, scales } = this.tables.block(part.segment, first / size, part.points)
        for (let at = 0; at < scales.length; at++) {
          if (part.places[first + at] === gone) continue
          block.scales[filled] = scales[at] ?? 0
          block.errors[filled] = errors[at] ?? 0
          block.codes.set(codes.subarray(at * stride, (at + 1) * stride), filled * stride)
          filled += 1
          if (filled < block.scales.length) continue
          this.tables.writeCodes(segment, number, block)
          number += 1
          filled = 0
          block = emptyBlock(Math.min(size, total - number * size), stride)
        }
      }
  }
}

/** Whether an ordinal is among ascending ones; asked in ascending order. */
const among = (ordinals: Iterator<number>): ((ordinal: number) => boolean) => {
  let next = ordinals.next()
  return (ordinal) => {
    while (next.done !== true && next.value < ordinal) next = ordinals.next()
    return next.done !== true && next.value === ordinal
  }
}

const emptyBlock = (count: number, stride: number): CodeBlock => ({
  scales: new Float32Array(Math.max(0, count)),
  errors: new Float32Array(Math.max(0, count)),
  codes: new Int8Array(Math.max(0, count) * stride)
})

/** Goes through a part's postings by ascending token. */
class Cursor {
  private readonly tables: SegmentTables
  private readonly part: Part
  private readonly path: string
  private block: PostingBlock | undefined
  private at = 0

  constructor(tables: SegmentTables, part: Part, path: string) {
    this.tables = tables
    this.part = part
    this.path = path
    this.block = tables.blockAfter(part.segment, -1)
  }

  get isOver(): boolean {
    return this.block === undefined
  }

  get token(): number {
    return this.block?.tokens[this.at] ?? gone
  }

  /** Appends the members of its token, and goes on to the next one. */
  moveInto(written: BlockWriter): void {
    const { block, part } = this
    if (block === undefined) return
    const { members, weights } = this.tables.postingAt(part.segment, block, this.at, part.points)
    for (let at = 0; at < members.length; at++) {
      const place = part.places[members[at] ?? 0] ?? gone
      if (place !== gone) written.add(place, weights[at] ?? 0)
    }
    this.at += 1
    if (this.at < block.tokens.length) return
    const last = block.tokens.at(-1) ?? gone
    this.block = this.tables.blockAfter(part.segment, last)
    this.at = 0
    if (this.block !== undefined && this.token <= last)
      throw damaged(this.path, `Segment ${part.segment} of the derived tables does not fit together.`)
  }
}

/** Gathers members until a block is full. */
class BlockWriter {
  private readonly tables: SegmentTables
  private readonly segment: number
  private readonly tokens = new Uint32Array(fullBlock)
  private readonly ends = new Uint32Array(fullBlock)
  private readonly members: Uint16Array
  private readonly weights: Float32Array
  private tokenCount = 0
  private memberCount = 0

  constructor(tables: SegmentTables, segment: number, points: number) {
    this.tables = tables
    this.segment = segment
    // A token begins in a block that is not full, and has every point at most.
    this.members = new Uint16Array(fullBlock + points)
    this.weights = new Float32Array(fullBlock + points)
  }

  add(member: number, weight: number): void {
    this.members[this.memberCount] = member
    this.weights[this.memberCount] = weight
    this.memberCount += 1
  }

  /** What was added since the last token's end are this token's members; none: it is left out. */
  end(token: number): void {
    if (this.memberCount === (this.tokenCount === 0 ? 0 : (this.ends[this.tokenCount - 1] ?? 0))) return
    this.tokens[this.tokenCount] = token
    this.ends[this.tokenCount] = this.memberCount
    this.tokenCount += 1
    if (this.memberCount >= fullBlock) this.flush()
  }

  flush(): void {
    if (this.tokenCount === 0) return
    this.tables.writePostings(this.segment, {
      tokens: this.tokens.subarray(0, this.tokenCount),
      ends: this.ends.subarray(0, this.tokenCount),
      members: this.members.subarray(0, this.memberCount),
      weights: this.weights.subarray(0, this.memberCount)
    })
    this.tokenCount = 0
    this.memberCount = 0
  }
}
