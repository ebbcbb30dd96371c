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

/** `live` counts the members that still have a point; the first ordinal orders segments, whose ranges are disjoint. */
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
  token INTEGER NOT NULL,
  members BLOB NOT NULL,
  weights BLOB NOT NULL,
  PRIMARY KEY (segment, token)
) STRICT, WITHOUT ROWID;
CREATE TABLE codes (
  segment INTEGER NOT NULL,
  block INTEGER NOT NULL,
  scales BLOB NOT NULL,
  errors BLOB NOT NULL,
  codes BLOB NOT NULL,
  PRIMARY KEY (segment, block)
) STRICT, WITHOUT ROWID;`

export interface SegmentInfo {
  readonly segment: number
  readonly firstOrdinal: number
  readonly points: number
  readonly live: number
}

/** One token's members in one segment, with their weights. */
export interface PostingRow {
  readonly members: Uint16Array
  readonly weights: Float32Array
}

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
    this.statements.insertSegment.run(
      segment,
      ordinals[0] ?? 0,
      ordinals.length,
      ordinals.length,
      viewBytes(ordinals)
    )
    const memberBytes = viewBytes(members)
    const weightBytes = viewBytes(weights)
    for (let row = 0; row < tokens.length; row++) {
      const [start, end] = [starts[row] ?? 0, starts[row + 1] ?? 0]
      this.statements.insertPosting.run(
        segment,
        tokens[row],
        memberBytes.subarray(2 * start, 2 * end),
        weightBytes.subarray(4 * start, 4 * end)
      )
    }
    blocks.forEach(({ scales, errors, codes }, block) => {
      this.statements.insertCodes.run(segment, block, viewBytes(scales), viewBytes(errors), viewBytes(codes))
    })
  }

  delete(segment: number): void {
    this.statements.deletePostings.run(segment)
    this.statements.deleteCodes.run(segment)
    this.statements.deleteSegment.run(segment)
  }

  /** Points of these ordinals are gone. A segment that has none left goes too. */
  forget(ordinals: Iterable<number>): void {
    for (const ordinal of ordinals) {
      const row = this.statements.lose.get(ordinal)
      if (row !== undefined && numberOf(row[1]) <= 0) this.delete(numberOf(row[0]))
    }
  }

  ordinals(segment: number): Uint32Array {
    const row = this.statements.ordinals.get(segment)
    const ordinals = typedBytes(row?.[1], Uint32Array)
    if (ordinals === undefined || ordinals.length !== row?.[0] || !ascending(ordinals))
      throw this.broken(segment)
    return ordinals
  }

  posting(segment: number, token: number, points: number): PostingRow | undefined {
    const row = this.statements.posting.get(segment, token)
    return row === undefined ? undefined : this.postingOf(segment, points, row)
  }

  /** Every token's row, by token. */
  *postings(segment: number, points: number): Generator<readonly [token: number, row: PostingRow]> {
    for (const row of this.statements.postings.iterate(segment))
      yield [numberOf(row[2]), this.postingOf(segment, points, row)]
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

  private postingOf(segment: number, points: number, row: Row): PostingRow {
    const members = typedBytes(row[0], Uint16Array)
    const weights = typedBytes(row[1], Float32Array)
    if (members === undefined || weights?.length !== members.length) throw this.broken(segment)
    const last = members[members.length - 1] ?? 0
    if (last >= points || !ascending(members)) throw this.broken(segment)
    return { members, weights }
  }

  private broken(segment: number): Error {
    return damaged(this.file.path, `Segment ${segment} of the derived tables does not fit together.`)
  }
}

const infoOf = (row: Row): SegmentInfo => ({
  segment: numberOf(row[0]),
  firstOrdinal: numberOf(row[1]),
  points: Math.max(0, Math.min(maxMembers, numberOf(row[2]))),
  live: numberOf(row[3])
})

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
  posting: prepareQuery(connection, "SELECT members, weights FROM postings WHERE segment = ? AND token = ?"),
  postings: prepareQuery(
    connection,
    "SELECT members, weights, token FROM postings WHERE segment = ? ORDER BY token"
  ),
  codes: prepareQuery(connection, "SELECT scales, errors, codes FROM codes WHERE segment = ? AND block = ?"),
  insertSegment: connection.prepare("INSERT INTO segments VALUES (?, ?, ?, ?, ?)"),
  insertPosting: connection.prepare("INSERT INTO postings VALUES (?, ?, ?, ?)"),
  insertCodes: connection.prepare("INSERT INTO codes VALUES (?, ?, ?, ?, ?)"),
  deleteSegment: connection.prepare("DELETE FROM segments WHERE segment = ?"),
  deletePostings: connection.prepare("DELETE FROM postings WHERE segment = ?"),
  deleteCodes: connection.prepare("DELETE FROM codes WHERE segment = ?"),
  lose: prepareQuery(
    connection,
    `UPDATE segments SET live = live - 1
     WHERE segment = (SELECT segment FROM segments WHERE first_ordinal <= ? ORDER BY first_ordinal DESC LIMIT 1)
     RETURNING segment, live`
  )
})
