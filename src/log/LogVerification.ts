/**
 * Recomputes everything that can be recomputed of a data directory and names what differs: the chain over every row, every
 * body and vector against its digest, what live versions name, the read models against a rebuild, and the head's witness.
 *
 * Synchronous and bounded: a generator that yields after each page, so that whoever drives it decides about the thread.
 */
import { createHash } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import SqliteDatabase, { type Database } from "better-sqlite3"
import { Digest, Position } from "../../events/Ids.ts"
import { chainHash, genesis } from "./HashChain.ts"
import { behind, readHeadFile } from "./HeadFile.ts"
import { RewrittenMeanwhile } from "./LogArchive.ts"
import { fileNames, openForReading, readable } from "./LogDatabase.ts"
import { type LostContent, lostContent } from "./LostContent.ts"
import { logMigrations } from "./migrations/Migrations.ts"
import { rewriteWatch } from "./RewriteWatch.ts"
import {
  columnsOf,
  foldedEvents,
  readModelTables,
  rebuildReadModels,
  tableRows
} from "./readModels/Rebuild.ts"
import { type BlobRow, unpackBlob, unpackVector, type VectorRow } from "./StoredContent.ts"

/** One thing that is not as it must be. `where` is a position, a digest, an input's hash, or a table. */
export interface Damage {
  readonly kind: "event" | "blob" | "vector" | "missing" | "read model" | "database" | "witness"
  readonly where: string
  readonly detail: string
}

export interface VerificationReport {
  readonly position: number
  readonly hash: string
  readonly events: number
  readonly blobs: number
  readonly vectors: number
  readonly damaged: number
  /** The first {@link maxNamed} of them. */
  readonly damages: ReadonlyArray<Damage>
}

export interface VerificationProgress {
  readonly step: "events" | "blobs" | "vectors" | "content of live versions" | "read models"
  readonly done: number
}

export const maxNamed = 100
const pageSize = 1000
const waitMs = 5000

/** Drives the whole verification. Throws only where a file cannot be opened at all. */
export function* verifyDirectory(directory: string): Generator<VerificationProgress, VerificationReport> {
  const witnessed = readHeadFile(join(directory, fileNames.head))
  const files = [
    readable(join(directory, fileNames.log)),
    readable(join(directory, fileNames.content))
  ] as const
  const log = openForReading(files[0].path, waitMs)
  const content = openForReading(files[1].path, waitMs)
  try {
    const found = new Findings()
    const last = log.prepare<[], { position: number; hash: Buffer }>(
      "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"
    )
    const head = last.get() ?? { position: 0, hash: genesis }
    const events = yield* verifyEvents(log, head.position, found)
    const blobs = yield* verifyBlobs(content, found)
    const vectors = yield* verifyVectors(content, found)
    yield* guarded(found, "content of live versions", verifyLive(log, content, found))
    yield* guarded(found, "read models", verifyReadModels(log, found))
    for (const [name, db] of [
      [fileNames.log, log],
      [fileNames.content, content]
    ] as const) {
      checkStructure(name, db, found)
    }
    const meta = log.prepare<[string], { value: string }>("SELECT value FROM meta WHERE key = ?")
    const hashAt = log.prepare<[number], { hash: Buffer }>("SELECT hash FROM events WHERE position = ?")
    const lost = behind(
      {
        logId: meta.get("log_id")?.value ?? "",
        epoch: Number(meta.get("epoch")?.value ?? 1),
        position: Position.make(head.position, { disableValidation: true }),
        hash: Digest.make(head.hash.toString("hex"), { disableValidation: true })
      },
      (position) => hashAt.get(position)?.hash.toString("hex"),
      witnessed === undefined ? [] : [{ name: "head file", head: witnessed }]
    )
    if (lost !== undefined) found.add({ kind: "witness", where: "head file", detail: lost.message })
    return {
      position: head.position,
      hash: head.hash.toString("hex"),
      events,
      blobs,
      vectors,
      damaged: found.count,
      damages: found.named
    }
  } finally {
    log.close()
    content.close()
    for (const file of files) file.release()
  }
}

class Findings {
  readonly named: Array<Damage> = []
  count = 0
  add(damage: Damage): void {
    this.count += 1
    if (this.named.length < maxNamed) this.named.push(damage)
  }
}

interface RawEventRow {
  readonly position: number
  readonly id: Buffer
  readonly stream: Buffer
  readonly version: number
  readonly type: Buffer
  readonly schemaVersion: number
  readonly team: Buffer
  readonly project: Buffer
  readonly sequence: number
  readonly data: Buffer
  readonly metadata: Buffer
  readonly recordedAt: number
  readonly hash: Buffer
}

/** The chain as stored, positions and sequences without gaps, epoch and writer that never fall. */
function* verifyEvents(db: Database, end: number, found: Findings): Generator<VerificationProgress, number> {
  const page = db.prepare<[number, number, number], RawEventRow>(`
    SELECT position, CAST(id AS BLOB) AS id, CAST(stream AS BLOB) AS stream, version, CAST(type AS BLOB) AS type,
      schema_version AS schemaVersion, CAST(team AS BLOB) AS team, CAST(project AS BLOB) AS project, sequence,
      CAST(data AS BLOB) AS data, CAST(metadata AS BLOB) AS metadata, recorded_at AS recordedAt,
      CAST(hash AS BLOB) AS hash
    FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?`)
  const damaged = (position: number, detail: string) =>
    found.add({ kind: "event", where: String(position), detail })
  const sequences = new Map<string, number>()
  let previous: Buffer = genesis
  let after = 0
  let count = 0
  let authority = 0
  while (after < end) {
    let rows: ReadonlyArray<RawEventRow>
    try {
      rows = page.all(after, end, pageSize)
    } catch (cause) {
      damaged(after + 1, `the pages that hold it and its successors cannot be read: ${String(cause)}`)
      return count
    }
    if (rows.length === 0) break
    for (const row of rows) {
      if (row.position !== after + 1) damaged(after + 1, `it is not there: ${row.position} follows ${after}`)
      after = row.position
      if (!isChained(previous, row))
        damaged(row.position, "its hash does not match its columns and the hash before it")
      previous = row.hash
      const scope = `${row.team}/${row.project}`
      const sequence = (sequences.get(scope) ?? 0) + 1
      if (row.sequence !== sequence) damaged(row.position, `its sequence is ${row.sequence}, not ${sequence}`)
      sequences.set(scope, row.sequence)
      const now = authorityOf(row.metadata)
      if (now < authority) damaged(row.position, "its epoch or writer is lower than that of an earlier event")
      authority = Math.max(authority, now)
      count += 1
    }
    yield { step: "events", done: count }
  }
  const gaps = db.prepare<[], { stream: string }>(
    "SELECT stream FROM events GROUP BY stream HAVING max(version) <> count(*) OR min(version) <> 1 LIMIT 10"
  )
  try {
    for (const { stream } of gaps.all()) {
      found.add({ kind: "event", where: stream, detail: "its versions are not 1, 2, 3 … without a gap" })
    }
  } catch (cause) {
    found.add({ kind: "database", where: "events_stream", detail: String(cause) })
  }
  return count
}

/** Damaged columns may be of any type: what cannot even be hashed is not chained. */
const isChained = (previous: Buffer, row: RawEventRow): boolean => {
  try {
    return chainHash(previous, row).equals(row.hash)
  } catch {
    return false
  }
}

/** Epoch and writer as one number that never falls. 0 where the metadata cannot be read: the chain has named it already. */
const authorityOf = (metadata: Buffer): number => {
  try {
    const { epoch, writer } = JSON.parse(metadata.toString("utf8"))
    return Number(epoch) * 2 ** 32 + Number(writer) || 0
  } catch {
    return 0
  }
}

function* verifyBlobs(db: Database, found: Findings): Generator<VerificationProgress, number> {
  const keys = db.prepare<[number], { rowid: number }>(
    `SELECT rowid FROM blobs NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ${pageSize}`
  )
  const one = db.prepare<[number], BlobRow & { readonly digest: Buffer }>(
    "SELECT digest, encoding, size, bytes FROM blobs WHERE rowid = ?"
  )
  return yield* verifyRows(db, "blobs", keys, found, (rowid) => {
    const row = one.get(rowid)
    if (row === undefined) return
    const digest = row.digest.toString("hex")
    try {
      unpackBlob(digest, row)
    } catch {
      found.add({ kind: "blob", where: digest, detail: "its bytes do not hash to its digest" })
    }
  })
}

function* verifyVectors(db: Database, found: Findings): Generator<VerificationProgress, number> {
  const keys = db.prepare<[number], { rowid: number }>(
    `SELECT rowid FROM vectors NOT INDEXED WHERE rowid > ? ORDER BY rowid LIMIT ${pageSize}`
  )
  const one = db.prepare<[number], VectorRow & { readonly input: Buffer }>(
    "SELECT input, digest, vector FROM vectors WHERE rowid = ?"
  )
  return yield* verifyRows(db, "vectors", keys, found, (rowid) => {
    const row = one.get(rowid)
    if (row === undefined) return
    const input = row.input.toString("hex")
    try {
      if (!isUnit(unpackVector(input, row))) {
        found.add({ kind: "vector", where: input, detail: "it is not of unit length" })
      }
    } catch {
      found.add({ kind: "vector", where: input, detail: "its bytes do not hash to its digest" })
    }
  })
}

const isUnit = (vector: Float32Array): boolean => {
  let sum = 0
  for (const value of vector) sum += value * value
  return Math.abs(Math.sqrt(sum) - 1) <= 1e-6
}

/** An erasure beside it throws `RewrittenMeanwhile`. */
function* verifyRows(
  db: Database,
  table: "blobs" | "vectors",
  keys: { readonly all: (after: number) => ReadonlyArray<{ readonly rowid: number }> },
  found: Findings,
  check: (rowid: number) => void
): Generator<VerificationProgress, number> {
  let after = -1
  let count = 0
  try {
    const unlessRewritten = rewriteWatch(db)
    while (true) {
      const page = keys.all(after)
      for (const { rowid } of page) {
        check(rowid)
        after = rowid
        count += 1
      }
      unlessRewritten()
      if (page.length === 0) return count
      yield { step: table, done: count }
    }
  } catch (cause) {
    if (cause instanceof RewrittenMeanwhile) throw cause
    found.add({
      kind: "database",
      where: table,
      detail: `it cannot be read after row ${after}: ${String(cause)}`
    })
    return count
  }
}

/** What live versions and open mutations name must be there. */
function* verifyLive(
  log: Database,
  content: Database,
  found: Findings
): Generator<VerificationProgress, void> {
  let done = 0
  for (const lost of lostContent(log, content)) {
    if (lost._tag === "Checked") {
      done += 1
      if (done % 100 === 0) yield { step: "content of live versions", done }
    } else {
      found.add({ kind: "missing", where: lost.documentId, detail: describeLost(lost) })
    }
  }
}

const describeLost = (lost: Exclude<LostContent, { readonly _tag: "Checked" }>): string =>
  `version ${lost.version} names ${lost.missing.length} bodies or vectors that are not stored, ${lost.missing[0]} among them`

/** Folds the events anew into a database of its own and compares table by table, row by row. */
function* verifyReadModels(log: Database, found: Findings): Generator<VerificationProgress, void> {
  const folder = mkdtempSync(join(tmpdir(), "reprise-verify-"))
  const rebuilt = new SqliteDatabase(join(folder, "rebuilt.sqlite"))
  try {
    rebuilt.pragma("journal_mode = OFF")
    rebuilt.pragma("synchronous = OFF")
    for (const sql of Object.values(logMigrations)) rebuilt.exec(sql)
    // Events and tables of one snapshot: a writer may go on meanwhile.
    log.exec("BEGIN")
    const { position } = log
      .prepare<[], { position: number }>("SELECT coalesce(max(position), 0) AS position FROM events")
      .get() ?? { position: 0 }
    rebuildReadModels(rebuilt, foldedEvents(log, 0, position), log)
    yield { step: "read models", done: position }
    for (const table of readModelTables) {
      // A log of an older schema is compared in what it has.
      const columns = columnsOf(log, table)
      if (digestOfRows(log, table, columns) !== digestOfRows(rebuilt, table, columns)) {
        found.add({ kind: "read model", where: table, detail: "it differs from what its events give" })
      }
    }
  } finally {
    if (log.inTransaction) log.exec("ROLLBACK")
    rebuilt.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

const digestOfRows = (db: Database, table: string, columns: ReadonlyArray<string>): string => {
  const hash = createHash("sha256")
  for (const row of tableRows(db, table, columns)) hash.update(row).update("\n")
  return hash.digest("hex")
}

/** SQLite's own check: indexes against tables, pages against pages. */
const checkStructure = (name: string, db: Database, found: Findings): void => {
  try {
    const problems = db.prepare<[], { integrity_check: string }>("PRAGMA integrity_check(10)").all()
    for (const { integrity_check: detail } of problems) {
      if (detail !== "ok") found.add({ kind: "database", where: name, detail })
    }
  } catch (cause) {
    found.add({ kind: "database", where: name, detail: String(cause) })
  }
}

/** A step that damage elsewhere makes impossible is named, not fatal. */
function* guarded(
  found: Findings,
  step: VerificationProgress["step"],
  work: Generator<VerificationProgress, void>
): Generator<VerificationProgress, void> {
  try {
    yield* work
  } catch (cause) {
    found.add({ kind: "database", where: step, detail: `it cannot be checked: ${String(cause)}` })
  }
}
