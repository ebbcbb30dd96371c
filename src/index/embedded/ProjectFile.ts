/**
 * The points of one project in one generation: one SQLite file.
 *
 * The file counts its write transactions. The generation file keeps the count that was last acknowledged, so that a
 * file that was restored, emptied, or lost its last commits in a power cut shows itself. Ordinals are never given twice.
 */
import type { PointId, ProjectScope } from "../../../events/Ids.ts"
import type { FailpointsService } from "../../faults/Failpoints.ts"
import { forever, type GenerationRef, type Point } from "../Index.ts"
import {
  type Access,
  damaged,
  guarded,
  numberOf,
  type OpenFile,
  openFile,
  prepareQuery,
  type Row,
  reading,
  textOf,
  writing
} from "./Database.ts"
import { checkIdentity, identityColumns, identityOf, isLaidOut } from "./Identity.ts"
import { type MergeRun, mergeRun, runOf } from "./Merging.ts"
import { pointColumns, pointFrom, pointsTable, pointValues } from "./PointRow.ts"
import { buildSegment, type Member, segmentPoints } from "./Segment.ts"
import { SegmentJoin } from "./SegmentJoin.ts"
import { type SegmentInfo, SegmentTables, segmentTables } from "./SegmentTables.ts"
import { Writes } from "./Writes.ts"

const fileTable = `CREATE TABLE file (${identityColumns},
  team TEXT NOT NULL,
  project TEXT NOT NULL,
  writes INTEGER NOT NULL,
  highest INTEGER NOT NULL,
  next_ordinal INTEGER NOT NULL,
  next_segment INTEGER NOT NULL
) STRICT;`

/** How far a file is. `highest` is the highest position that any of its points names. */
export interface FileState {
  readonly writes: number
  readonly highest: number
}

/** Where a page of a scan ended. */
export interface ScanKey {
  readonly chunkId: string
  readonly ordinal: number
}
export const scanStart: ScanKey = { chunkId: "", ordinal: -1 }

/** A point as it stands in the file, with its place. */
export interface StoredMember extends Member {
  readonly id: PointId
  readonly from: number
  readonly until: number
}

const sweepRows = 2000

export class ProjectFile {
  readonly scope: ProjectScope
  readonly file: OpenFile
  private readonly ref: GenerationRef
  private readonly failpoints: FailpointsService
  private readonly statements
  readonly segments: SegmentTables
  readonly writes: Writes

  /** Opens the file of a project; `undefined` where a reader comes before the writer has laid it out. */
  static open(
    path: string,
    ref: GenerationRef,
    scope: ProjectScope,
    access: Access,
    failpoints: FailpointsService
  ): ProjectFile | undefined {
    const file = openFile(path, access)
    try {
      if (!isLaidOut(file, "file")) {
        if (access === "read") {
          file.connection.close()
          return undefined
        }
        layOut(file, ref, scope)
      }
      checkIdentity(file, "file", [...identityOf(ref), scope.team, scope.project])
      return new ProjectFile(file, ref, scope, failpoints)
    } catch (cause) {
      file.connection.close()
      throw cause
    }
  }

  private constructor(
    file: OpenFile,
    ref: GenerationRef,
    scope: ProjectScope,
    failpoints: FailpointsService
  ) {
    this.file = file
    this.ref = ref
    this.scope = scope
    this.failpoints = failpoints
    this.statements = guarded(file.path, () => prepareAll(file))
    this.segments = new SegmentTables(file, ref.spec.dimensions)
    this.writes = new Writes(file, () => this.state().writes)
  }

  get dimensions(): number {
    return this.ref.spec.dimensions
  }

  state(): FileState {
    const row = this.read(() => this.statements.state.get())
    return { writes: numberOf(row?.[0]), highest: numberOf(row?.[1]) }
  }

  /** Runs in one read transaction; inside another it joins that. */
  read<A>(run: () => A): A {
    return this.file.connection.inTransaction ? run() : reading(this.file, run)
  }

  /** Points whose id is there already are left as they are. */
  insert(points: ReadonlyArray<Point>): FileState {
    return this.write(() => {
      let ordinal = numberOf(this.statements.state.get()?.[2])
      let highest = 0
      const inserted: Array<Member> = []
      for (const point of points) {
        this.checkVector(point)
        this.failpoints.hit("index.row")
        if (this.statements.insert.run(...pointValues(ordinal, point)).changes === 0) continue
        inserted.push({ ordinal: ordinal++, dense: point.dense, sparse: point.sparse })
        highest = Math.max(highest, point.from, point.until === forever ? 0 : point.until)
      }
      this.statements.allot.run(ordinal)
      this.addSegments(inserted)
      return highest
    })
  }

  end(ended: ReadonlyArray<{ readonly id: PointId; readonly until: number }>): FileState {
    return this.write(() => {
      let highest = 0
      for (const { id, until } of ended) {
        this.failpoints.hit("index.row")
        this.statements.end.run(until, id)
        if (until !== forever) highest = Math.max(highest, until)
      }
      return highest
    })
  }

  /** Leaves the file as it was at `position`. */
  rewind(position: number): FileState {
    return this.write(() => {
      this.failpoints.hit("index.row")
      this.segments.forget(this.statements.unmake.all(position).map(ordinalOf))
      this.failpoints.hit("index.row")
      this.statements.revive.run(position)
      this.statements.lower.run(position)
      return 0
    })
  }

  remove(ids: ReadonlyArray<PointId>): FileState {
    return this.write(() => {
      const gone = ids.flatMap((id) => {
        this.failpoints.hit("index.row")
        return this.statements.remove.all(id).map(ordinalOf)
      })
      this.segments.forget(gone)
      return 0
    })
  }

  /** Deletes a bounded number of points that ended at or below the horizon; `undefined` when none was left. */
  sweepStep(horizon: number): FileState | undefined {
    if (this.read(() => this.statements.endedBelow.get(horizon)) === undefined) return undefined
    return this.write(() => {
      this.failpoints.hit("index.row")
      this.segments.forget(this.statements.sweep.all(horizon, sweepRows).map(ordinalOf))
      return 0
    })
  }

  lookup(ids: ReadonlyArray<PointId>): ReadonlyArray<Point> {
    return this.read(() =>
      ids.flatMap((id) => {
        const row = this.statements.byId.get(id)
        return row === undefined ? [] : [pointFrom(this.scope, row)]
      })
    )
  }

  /** At most `limit` points visible at `at` after `key`, by chunk id. */
  page(
    at: number,
    key: ScanKey,
    limit: number
  ): { readonly points: ReadonlyArray<Point>; readonly next?: ScanKey } {
    const rows = this.read(() =>
      this.statements.page.all(key.chunkId, key.ordinal, key.chunkId, at, at, limit)
    )
    const points = rows.map((row) => pointFrom(this.scope, row))
    const last = rows.at(-1)
    if (last === undefined || rows.length < limit) return { points }
    const next = { chunkId: textOf(last[2]), ordinal: numberOf(last[0]) }
    // An index that contradicts its table would lead in circles.
    if (next.chunkId < key.chunkId || (next.chunkId === key.chunkId && !(next.ordinal > key.ordinal)))
      throw damaged(this.file.path, "The order of its chunks is broken.")
    return { points, next }
  }

  /**
   * A point as a search needs it: id, chunk, document, where it begins and ends, and its vector if that is asked for. What a
   * search does not look at is not read: the sparse side's scores come from the postings. Within {@link read}, as what follows.
   */
  found(ordinal: number, withVector: boolean): Row | undefined {
    return (withVector ? this.statements.foundWithVector : this.statements.found).get(ordinal)
  }

  /** The payloads of all points between two ordinals, both included, in their order. */
  *payloads(first: number, last: number): Generator<readonly [ordinal: number, payload: string]> {
    for (const row of this.statements.payloads.iterate(first, last)) yield [numberOf(row[0]), textOf(row[1])]
  }

  /** Rows from an ordinal up to another, in their order and that of `pointColumns`. */
  rows(from: number, to: number, limit: number): ReadonlyArray<Row> {
    return this.statements.all.all(from, to, limit)
  }

  /** As {@link members}, whatever stands there: a vector of another length is filled up or cut. */
  stored(from: number, to: number, limit: number): ReadonlyArray<StoredMember> {
    return this.rows(from, to, limit).map((row) => {
      const { id, from: begin, until, sparse, dense } = pointFrom(this.scope, row)
      const fitted = new Float32Array(this.dimensions)
      fitted.set(dense.subarray(0, this.dimensions))
      return { ordinal: ordinalOf(row), id, from: begin, until, sparse, dense: fitted }
    })
  }

  /** Merges one run of small or sparsely populated segments; `undefined` where there is none. */
  mergeStep(): FileState | undefined {
    const segments = this.read(() => this.segments.list())
    const run = mergeRun(segments)
    if (run === undefined) return undefined
    this.failpoints.hit("segment.merge.before")
    const state = this.write(() => this.join(segments, run))
    this.failpoints.hit("segment.merge.after")
    return state
  }

  /** Writes one segment anew that counts points which are gone; `undefined` where there is none. */
  solidStep(): FileState | undefined {
    const segments = this.read(() => this.segments.list())
    const hollow = segments.findIndex(({ live, points }) => live < points)
    return hollow < 0 ? undefined : this.write(() => this.join(segments, runOf(segments, hollow, hollow + 1)))
  }

  /** Brings everything that was committed to the disk. */
  sync(): FileState {
    return this.writes.sync(() => {
      this.statements.count.run(0)
      return this.state()
    })
  }

  close(): void {
    this.file.connection.close()
  }

  /** Answers the highest position that this writes: none. */
  private join(all: ReadonlyArray<SegmentInfo>, { from, segments, to }: MergeRun): number {
    const isWhole = all.every(({ live, points, segment }) => live === points || !segments.includes(segment))
    const living = isWhole ? undefined : this.statements.ordinals.all(from, to).map(ordinalOf)
    const joined = new SegmentJoin(this.segments, this.file.path, this.dimensions, segments, living)
    const segment = numberOf(this.statements.nextSegment.get()?.[0])
    joined.write(segment)
    for (const old of segments) this.segments.delete(old)
    if (joined.ordinals.length > 0) this.segments.writeOrdinals(segment, joined.ordinals)
    return 0
  }

  private addSegments(members: ReadonlyArray<Member>): void {
    for (let first = 0; first < members.length; first += segmentPoints) {
      const segment = numberOf(this.statements.nextSegment.get()?.[0])
      this.segments.write(segment, buildSegment(members.slice(first, first + segmentPoints), this.dimensions))
    }
  }

  /** A bug of the caller's: vectors are checked where they are recorded. */
  private checkVector({ id, dense }: Point): void {
    if (dense.length !== this.dimensions)
      throw new RangeError(`Point ${id} has ${dense.length} dimensions, not ${this.dimensions}.`)
    let sum = 0
    for (let at = 0; at < dense.length; at++) sum += dense[at] ?? 0
    if (!Number.isFinite(sum)) throw new RangeError(`The vector of point ${id} holds what is no number.`)
  }

  /** One write transaction. `run` answers the highest position that it wrote. */
  private write(run: () => number): FileState {
    return this.writes.write(() => {
      this.statements.count.run(run())
      return this.state()
    })
  }
}

const foundColumns = "id, chunk_id, document_id, from_position, until_position"

/** The chunks' ids first: a chunk has one visible point, or a damaged file's more. */
const prepareAll = ({ connection }: OpenFile) => ({
  state: prepareQuery(connection, "SELECT writes, highest, next_ordinal FROM file"),
  count: connection.prepare("UPDATE file SET writes = writes + 1, highest = max(highest, ?)"),
  lower: connection.prepare("UPDATE file SET highest = min(highest, ?)"),
  allot: connection.prepare("UPDATE file SET next_ordinal = ?"),
  nextSegment: prepareQuery(
    connection,
    "UPDATE file SET next_segment = next_segment + 1 RETURNING next_segment - 1"
  ),
  ordinals: prepareQuery(
    connection,
    "SELECT ordinal FROM points WHERE ordinal >= ? AND ordinal < ? ORDER BY ordinal"
  ),
  payloads: prepareQuery(
    connection,
    "SELECT ordinal, payload FROM points WHERE ordinal BETWEEN ? AND ? ORDER BY ordinal"
  ),
  all: prepareQuery(
    connection,
    `SELECT ${pointColumns} FROM points WHERE ordinal >= ? AND ordinal < ? ORDER BY ordinal LIMIT ?`
  ),
  found: prepareQuery(connection, `SELECT ${foundColumns} FROM points WHERE ordinal = ?`),
  foundWithVector: prepareQuery(connection, `SELECT ${foundColumns}, dense FROM points WHERE ordinal = ?`),
  insert: connection.prepare(
    `INSERT INTO points (${pointColumns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
  ),
  end: connection.prepare("UPDATE points SET until_position = ? WHERE id = ?"),
  unmake: prepareQuery(connection, "DELETE FROM points WHERE from_position > ? RETURNING ordinal"),
  revive: connection.prepare(
    `UPDATE points SET until_position = ${forever} WHERE until_position > ? AND until_position < ${forever}`
  ),
  remove: prepareQuery(connection, "DELETE FROM points WHERE id = ? RETURNING ordinal"),
  endedBelow: prepareQuery(
    connection,
    `SELECT 1 FROM points WHERE until_position <= ? AND until_position < ${forever} LIMIT 1`
  ),
  sweep: prepareQuery(
    connection,
    `DELETE FROM points WHERE ordinal IN (
       SELECT ordinal FROM points WHERE until_position <= ? AND until_position < ${forever} LIMIT ?)
     RETURNING ordinal`
  ),
  byId: prepareQuery(connection, `SELECT ${pointColumns} FROM points WHERE id = ?`),
  page: prepareQuery(
    connection,
    `SELECT ${pointColumns} FROM points
     WHERE chunk_id >= ? AND (ordinal > ? OR chunk_id > ?) AND from_position <= ? AND until_position > ?
     ORDER BY chunk_id, ordinal LIMIT ?`
  )
})

const ordinalOf = (row: Row): number => numberOf(row[0])

const layOut = (file: OpenFile, ref: GenerationRef, scope: ProjectScope): void =>
  writing(file, () => {
    file.connection.exec(fileTable + pointsTable + segmentTables)
    file.connection
      .prepare("INSERT INTO file VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 1, 1)")
      .run(...identityOf(ref), scope.team, scope.project)
  })
