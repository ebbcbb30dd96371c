/**
 * Segments in a project's file. Reading is strict: what does not fit together is damage, never a wrong answer.
 */
import { type CodeBlock, pointsPerBlock, strideOf } from "./Codes.ts"
import {
  damaged,
  guarded,
  numberOf,
  type OpenFile,
  prepareQuery,
  type Row,
  typedBytes,
  viewBytes
} from "./Database.ts"
import { maxMembers } from "./Postings.ts"
import type { Segment } from "./Segment.ts"

/**
 * `live` counts the members that still have a point; the first ordinal orders segments, whose ranges are disjoint.
 *
 * Postings and codes have their keys in indexes of their own: where the rows themselves are in the order of their key, SQLite
 * reads each that it passes on its way to another as a whole, which was nine tenths of all that a search read.
 */
export const segmentTables = `CREATE TABLE segments (
  segment INTEGER PRIMARY KEY,
  first_ordinal INTEGER NOT NULL,
  points INTEGER NOT NULL,
  live INTEGER NOT NULL,
  ordinals BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX segments_first ON segments (first_ordinal);
CREATE TABLE postings (
  segment INTEGER NOT NULL,
  first_token INTEGER NOT NULL,
  tokens BLOB NOT NULL,
  ends BLOB NOT NULL,
  members BLOB NOT NULL,
  weights BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX postings_token ON postings (segment, first_token);
CREATE TABLE codes (
  segment INTEGER NOT NULL,
  block INTEGER NOT NULL,
  scales BLOB NOT NULL,
  errors BLOB NOT NULL,
  codes BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX codes_block ON codes (segment, block);`

export interface SegmentInfo {
  readonly segment: number
  readonly firstOrdinal: number
  readonly points: number
  readonly live: number
}

/** One token's members in one segment, with their weights. */
export interface Posting {
  readonly members: Uint16Array
  readonly weights: Float32Array
}

/** Neighbouring tokens of one segment: the members and weights of `tokens[i]` end at `ends[i]`, where the next one's begin. */
export interface PostingBlock {
  readonly tokens: Uint32Array
  readonly ends: Uint32Array
  readonly members: Uint16Array
  readonly weights: Float32Array
}

/**
 * Members from which on a block is full. A row for each token would be thirty times as many rows to write and to read back;
 * a search reads the block of each of its tokens, some 8 KiB.
 */
export const fullBlock = 1_000

export class SegmentTables {
  private readonly file: OpenFile
  private readonly dimensions: number
  private readonly statements

  constructor(file: OpenFile, dimensions: number) {
    this.file = file
    this.dimensions = dimensions
    this.statements = guarded(file.path, () => prepareAll(file))
  }

  /** In the order of their ordinals. */
  list(): ReadonlyArray<SegmentInfo> {
    return this.statements.list.all().map(infoOf)
  }

  /** The segment whose range an ordinal falls into. */
  at(ordinal: number): SegmentInfo | undefined {
    const row = this.statements.at.get(ordinal)
    return row === undefined ? undefined : infoOf(row)
  }

  /** The first segment whose range begins after this ordinal. */
  after(ordinal: number): SegmentInfo | undefined {
    const row = this.statements.after.get(ordinal)
    return row === undefined ? undefined : infoOf(row)
  }

  write(segment: number, { ordinals, postings, blocks }: Segment): void {
    const { tokens, starts, members, weights } = postings
    this.writeOrdinals(segment, ordinals)
    for (let first = 0; first < tokens.length; ) {
      const begin = starts[first] ?? 0
      let next = first + 1
      while (next < tokens.length && (starts[next] ?? 0) - begin < fullBlock) next++
      const end = starts[next] ?? 0
      this.writePostings(segment, {
        tokens: tokens.subarray(first, next),
        ends: starts.subarray(first + 1, next + 1).map((start) => start - begin),
        members: members.subarray(begin, end),
        weights: weights.subarray(begin, end)
      })
      first = next
    }
    blocks.forEach((codes, block) => {
      this.writeCodes(segment, block, codes)
    })
  }

  writeOrdinals(segment: number, ordinals: Uint32Array): void {
    const { length } = ordinals
    this.statements.insertSegment.run(segment, ordinals[0] ?? 0, length, length, viewBytes(ordinals))
  }

  writePostings(segment: number, { ends, members, tokens, weights }: PostingBlock): void {
    this.statements.insertPostings.run(
      segment,
      tokens[0],
      viewBytes(tokens),
      viewBytes(ends),
      viewBytes(members),
      viewBytes(weights)
    )
  }

  writeCodes(segment: number, block: number, { codes, errors, scales }: CodeBlock): void {
    this.statements.insertCodes.run(segment, block, viewBytes(scales), viewBytes(errors), viewBytes(codes))
  }

  delete(segment: number): void {
    this.statements.deletePostings.run(segment)
    this.statements.deleteCodes.run(segment)
    this.statements.deleteSegment.run(segment)
  }

  /** Points of these ordinals are gone. A segment that has none left goes too. */
  forget(ordinals: Iterable<number>): void {
    let range: (SegmentInfo & { readonly end: number; readonly members: Uint32Array | undefined }) | undefined
    // In order, so that each segment's members are read once.
    for (const ordinal of Float64Array.from(ordinals).sort()) {
      if (range === undefined || ordinal < range.firstOrdinal || ordinal >= range.end) {
        const info = this.at(ordinal)
        if (info === undefined) continue
        const end = this.after(ordinal)?.firstOrdinal ?? Number.POSITIVE_INFINITY
        range = { ...info, end, members: this.members(info.segment) }
      }
      // A point that damage left in no segment is no other one's loss.
      if (range.members !== undefined && placeOf(range.members, ordinal) < 0) continue
      const live = this.statements.lose.get(range.segment)?.[0]
      if (live === undefined || numberOf(live) > 0) continue
      this.delete(range.segment)
      range = undefined
    }
  }

  /** `undefined` where damage lets nobody tell. */
  private members(segment: number): Uint32Array | undefined {
    const row = this.statements.ordinals.get(segment)
    const ordinals = typedBytes(row?.[1], Uint32Array)
    return ordinals?.length === row?.[0] && ordinals !== undefined && ascending(ordinals)
      ? ordinals
      : undefined
  }

  ordinals(segment: number): Uint32Array {
    const ordinals = this.members(segment)
    if (ordinals === undefined) throw this.broken(segment)
    return ordinals
  }

  posting(segment: number, token: number, points: number): Posting | undefined {
    const row = this.statements.postingsAt.get(segment, token)
    if (row === undefined) return undefined
    const block = this.blockOf(segment, row)
    const at = placeOf(block.tokens, token)
    return at < 0 ? undefined : this.postingAt(segment, block, at, points)
  }

  /** The first block of a segment that begins after a token. */
  blockAfter(segment: number, token: number): PostingBlock | undefined {
    const row = this.statements.postingsAfter.get(segment, token)
    return row === undefined ? undefined : this.blockOf(segment, row)
  }

  /** Every token of a segment, in ascending order. What each has is looked at by {@link postingAt}. */
  *postings(segment: number): Generator<PostingBlock> {
    let last = -1
    for (const row of this.statements.postings.iterate(segment)) {
      const block = this.blockOf(segment, row)
      if ((block.tokens[0] ?? 0) <= last) throw this.broken(segment)
      last = block.tokens.at(-1) ?? last
      yield block
    }
  }

  /** The posting of a block's token at a place. */
  postingAt(segment: number, { ends, members, weights }: PostingBlock, at: number, points: number): Posting {
    const [start, end] = [at === 0 ? 0 : (ends[at - 1] ?? 0), ends[at] ?? 0]
    const posting = { members: members.subarray(start, end), weights: weights.subarray(start, end) }
    if ((posting.members.at(-1) ?? points) >= points || !ascending(posting.members))
      throw this.broken(segment)
    return posting
  }

  /** The blocks of codes that a segment of so many points has. */
  blocks(points: number): number {
    return Math.ceil(points / pointsPerBlock(this.dimensions))
  }

  block(segment: number, block: number, points: number): CodeBlock {
    const size = pointsPerBlock(this.dimensions)
    const count = Math.min(size, points - block * size)
    const row = this.statements.codes.get(segment, block)
    const scales = typedBytes(row?.[0], Float32Array)
    const errors = typedBytes(row?.[1], Float32Array)
    const codes = typedBytes(row?.[2], Int8Array)
    if (
      scales?.length !== count ||
      errors?.length !== count ||
      codes?.length !== count * strideOf(this.dimensions)
    )
      throw this.broken(segment)
    return { scales, errors, codes }
  }

  private blockOf(segment: number, row: Row): PostingBlock {
    const tokens = typedBytes(row[1], Uint32Array)
    const ends = typedBytes(row[2], Uint32Array)
    const members = typedBytes(row[3], Uint16Array)
    const weights = typedBytes(row[4], Float32Array)
    if (
      tokens === undefined ||
      tokens.length === 0 ||
      tokens[0] !== row[0] ||
      !ascending(tokens) ||
      ends?.length !== tokens.length ||
      !ascending(ends) ||
      members === undefined ||
      ends.at(-1) !== members.length ||
      weights?.length !== members.length
    )
      throw this.broken(segment)
    return { tokens, ends, members, weights }
  }

  private broken(segment: number): Error {
    return damaged(this.file.path, `Segment ${segment} of the derived tables does not fit together.`)
  }
}

/**
 * Whether a segment's members stand within its range, which ends where the next one begins: a search asks for a point by its
 * ordinal, and what once was a point that is gone must not become another segment's.
 */
export const isWithinRange = (
  { firstOrdinal }: SegmentInfo,
  ordinals: Uint32Array,
  next: number | undefined
): boolean => ordinals[0] === firstOrdinal && (next === undefined || (ordinals.at(-1) ?? 0) < next)

const infoOf = (row: Row): SegmentInfo => ({
  segment: numberOf(row[0]),
  firstOrdinal: numberOf(row[1]),
  points: Math.max(0, Math.min(maxMembers, numberOf(row[2]))),
  live: numberOf(row[3])
})

const postingColumns = "first_token, tokens, ends, members, weights"

/** Where a value stands among ascending ones; -1 where it does not. */
const placeOf = (values: Uint32Array, value: number): number => {
  let [low, high] = [0, values.length - 1]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((values[middle] ?? 0) < value) low = middle + 1
    else high = middle
  }
  return values[low] === value ? low : -1
}

const ascending = (values: Uint16Array | Uint32Array): boolean => {
  for (let at = 1; at < values.length; at++) if ((values[at] ?? 0) <= (values[at - 1] ?? 0)) return false
  return true
}

const prepareAll = ({ connection }: OpenFile) => ({
  list: prepareQuery(
    connection,
    "SELECT segment, first_ordinal, points, live FROM segments ORDER BY first_ordinal"
  ),
  at: prepareQuery(
    connection,
    `SELECT segment, first_ordinal, points, live FROM segments
     WHERE first_ordinal <= ? ORDER BY first_ordinal DESC LIMIT 1`
  ),
  after: prepareQuery(
    connection,
    `SELECT segment, first_ordinal, points, live FROM segments
     WHERE first_ordinal > ? ORDER BY first_ordinal LIMIT 1`
  ),
  ordinals: prepareQuery(connection, "SELECT points, ordinals FROM segments WHERE segment = ?"),
  postingsAt: prepareQuery(
    connection,
    `SELECT ${postingColumns} FROM postings WHERE segment = ? AND first_token <= ?
     ORDER BY first_token DESC LIMIT 1`
  ),
  postingsAfter: prepareQuery(
    connection,
    `SELECT ${postingColumns} FROM postings WHERE segment = ? AND first_token > ? ORDER BY first_token LIMIT 1`
  ),
  postings: prepareQuery(
    connection,
    `SELECT ${postingColumns} FROM postings WHERE segment = ? ORDER BY first_token`
  ),
  codes: prepareQuery(connection, "SELECT scales, errors, codes FROM codes WHERE segment = ? AND block = ?"),
  insertSegment: connection.prepare("INSERT INTO segments VALUES (?, ?, ?, ?, ?)"),
  insertPostings: connection.prepare("INSERT INTO postings VALUES (?, ?, ?, ?, ?, ?)"),
  insertCodes: connection.prepare("INSERT INTO codes VALUES (?, ?, ?, ?, ?)"),
  deleteSegment: connection.prepare("DELETE FROM segments WHERE segment = ?"),
  deletePostings: connection.prepare("DELETE FROM postings WHERE segment = ?"),
  deleteCodes: connection.prepare("DELETE FROM codes WHERE segment = ?"),
  lose: prepareQuery(connection, "UPDATE segments SET live = live - 1 WHERE segment = ? RETURNING live")
})
