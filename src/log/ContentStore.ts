/**
 * The writing side of `content.sqlite`: bodies and vectors of a group are written in one transaction that is synced before
 * the events that name them. What is there already is never overwritten.
 */
import { hash } from "node:crypto"
import { endianness } from "node:os"
import { deflateSync } from "node:zlib"
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../faults/Failpoints.ts"
import type { BlobPut, VectorPut } from "./Log.ts"
import { openForWriting } from "./LogDatabase.ts"
import { contentMigrations, migrate } from "./migrations/Migrations.ts"
import type { BlobRow } from "./StoredContent.ts"

/**
 * Bodies that fit into a page are stored as they are. Half a page more or less of a short document changes a data directory,
 * most of which is vectors and index, by a tenth; deflating it, and inflating it for each fold and each search that finds it, is
 * a tenth of the processor time of a first ingest and of a search's.
 */
const deflateFrom = 8192

/** Level 3 is three times as fast as the default on text and a tenth larger. */
const deflateLevel = 3

export const encodings = { raw: 0, deflate: 1 } as const

/** Bodies known to be stored: those of some thousand documents, 2 MiB at most. */
const mostKnown = 16_384

/** Pages of 8 KiB hold three vectors of 512 dimensions; pages of 4 KiB one. */
const pageSize = 8192

export class ContentStore {
  readonly db: Database
  readonly #failpoints: FailpointsService
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #projects = new Map<string, number>()
  readonly #models = new Map<string, number>()
  /** Bodies that are stored, as far as is known without a look. Nothing is known while a collection may delete them. */
  readonly #stored = new Set<string>()
  /** While a collection is under way. */
  #kept: ReturnType<typeof prepareKept> | undefined

  constructor(path: string, failpoints: FailpointsService, snapshot: (from: number) => void) {
    this.#failpoints = failpoints
    this.db = openForWriting(path, pageSize)
    try {
      migrate(this.db, contentMigrations, failpoints, snapshot)
    } catch (cause) {
      this.db.close()
      throw cause
    }
    this.#statements = prepareStatements(this.db)
  }

  /** Writes and syncs. Throws with nothing of it kept. */
  write(blobs: ReadonlyArray<BlobPut>, vectors: ReadonlyArray<VectorPut>): void {
    if (blobs.length === 0 && vectors.length === 0) return
    this.#statements.begin.run()
    try {
      if (blobs.length > 0) this.#failpoints.hit("blob.write.before")
      for (const blob of blobs) this.#putBlob(blob)
      if (vectors.length > 0) this.#failpoints.hit("vector.write.before")
      for (const vector of vectors) this.#putVector(vector)
      this.#statements.commit.run()
    } catch (cause) {
      this.#projects.clear()
      this.#models.clear()
      if (this.db.inTransaction) this.#statements.rollback.run()
      throw cause
    }
    for (const { digest, project, team } of blobs) this.#know(this.#projectId(team, project), digest)
    if (blobs.length > 0) this.#failpoints.hit("blob.write.after")
    if (vectors.length > 0) this.#failpoints.hit("vector.write.after")
  }

  /** Asked by an append that names it: from here on it is needed. */
  hasBlob(team: string, project: string, digest: string): boolean {
    const id = this.#projectId(team, project)
    if (id === undefined) return false
    if (this.#stored.has(`${id}/${digest}`)) return true
    const bytes = Buffer.from(digest, "hex")
    this.#kept?.blob.run(id, bytes)
    const isStored = this.#statements.hasBlob.get(id, bytes) !== undefined
    if (isStored) this.#know(id, digest)
    return isStored
  }

  /** As {@link hasBlob}. */
  hasVector(team: string, project: string, model: string, input: string): boolean {
    const projectId = this.#projectId(team, project)
    const modelId = this.#modelId(model)
    if (projectId === undefined || modelId === undefined) return false
    const bytes = Buffer.from(input, "hex")
    this.#kept?.vector.run(projectId, modelId, bytes)
    return this.#statements.hasVector.get(projectId, modelId, bytes) !== undefined
  }

  /** From here on what is written or asked for counts as needed, until {@link endKeeping}. One collection at a time. */
  beginKeeping(): void {
    if (this.#kept !== undefined) throw new Error("A collection is under way already.")
    this.#stored.clear()
    this.db.exec(keptTables)
    this.#kept = prepareKept(this.db)
  }

  endKeeping(): void {
    this.#kept = undefined
    this.db.exec("DROP TABLE IF EXISTS temp.kept_blobs; DROP TABLE IF EXISTS temp.kept_vectors")
  }

  /** Marks many in one transaction. */
  keeping<A>(mark: () => A): A {
    return this.db.transaction(mark).deferred()
  }

  keepBlob(team: string, project: string, digest: string): void {
    const id = this.#projectId(team, project)
    if (id !== undefined) this.#kept?.blob.run(id, Buffer.from(digest, "hex"))
  }

  keepVector(team: string, project: string, model: string, input: string): void {
    const projectId = this.#projectId(team, project)
    const modelId = this.#modelId(model)
    if (projectId !== undefined && modelId !== undefined)
      this.#kept?.vector.run(projectId, modelId, Buffer.from(input, "hex"))
  }

  /** Whether it is stored and marked. */
  keepsBlob(team: string, project: string, digest: string): boolean {
    const id = this.#projectId(team, project)
    if (id === undefined) return false
    const bytes = Buffer.from(digest, "hex")
    return (
      this.#statements.hasBlob.get(id, bytes) !== undefined && this.#kept?.isKept.get(id, bytes) !== undefined
    )
  }

  blobRow(team: string, project: string, digest: string): BlobRow | undefined {
    const id = this.#projectId(team, project)
    return id === undefined ? undefined : this.#statements.blob.get(id, Buffer.from(digest, "hex"))
  }

  /** The newest row of each table: what comes later is of no concern to a collection that begins now. */
  lastRows(): { readonly blobs: number; readonly vectors: number } {
    const last = (table: ContentTable) =>
      Number(this.db.prepare(`SELECT coalesce(max(rowid), 0) FROM ${table}`).pluck().get())
    return { blobs: last("blobs"), vectors: last("vectors") }
  }

  /** The row where a stretch of at most `limit` rows after `row` ends; `undefined` where there is none up to `last`. */
  rowAfter(table: ContentTable, row: number, last: number, limit: number): number | undefined {
    const found = this.#kept?.stretch[table].get(row, last, limit)
    return found?.row ?? undefined
  }

  /** Deletes the rows in (after, last] that were not marked, in one transaction, or only counts them. */
  sweep(
    table: ContentTable,
    after: number,
    last: number,
    dryRun: boolean
  ): { readonly rows: number; readonly bytes: number } {
    const kept = this.#kept
    if (kept === undefined) throw new Error("No collection is under way.")
    const sizes = (dryRun ? kept.unmarked : kept.delete)[table].all(after, last)
    return { rows: sizes.length, bytes: sizes.reduce((sum, { size }) => sum + size, 0) }
  }

  #putBlob(blob: BlobPut): void {
    const project = this.#projectIdForWriting(blob.team, blob.project)
    if (this.#stored.has(`${project}/${blob.digest}`)) return
    const digest = Buffer.from(blob.digest, "hex")
    this.#kept?.blob.run(project, digest)
    if (this.#statements.hasBlob.get(project, digest) !== undefined) return
    const { bytes, encoding } = packed(blob.bytes)
    this.#statements.putBlob.run(project, digest, encoding, blob.bytes.length, bytes)
  }

  #know(project: number | undefined, digest: string): void {
    if (project === undefined || this.#kept !== undefined) return
    this.#stored.add(`${project}/${digest}`)
    for (const oldest of this.#stored) {
      if (this.#stored.size <= mostKnown) break
      this.#stored.delete(oldest)
    }
  }

  #putVector(put: VectorPut): void {
    const project = this.#projectIdForWriting(put.team, put.project)
    const model = this.#modelIdForWriting(put.model)
    const input = Buffer.from(put.inputHash, "hex")
    this.#kept?.vector.run(project, model, input)
    const bytes = vectorBytes(put.vector)
    const digest = hash("sha256", bytes, "buffer")
    this.#statements.putVector.run(project, model, input, digest, bytes)
  }

  #projectId(team: string, project: string): number | undefined {
    const key = `${team}/${project}`
    const known = this.#projects.get(key) ?? this.#statements.project.get(team, project)?.id
    if (known !== undefined) this.#projects.set(key, known)
    return known
  }

  #projectIdForWriting(team: string, project: string): number {
    const known = this.#projectId(team, project)
    if (known !== undefined) return known
    const id = Number(this.#statements.addProject.run(team, project).lastInsertRowid)
    this.#projects.set(`${team}/${project}`, id)
    return id
  }

  #modelId(model: string): number | undefined {
    const known = this.#models.get(model) ?? this.#statements.model.get(model)?.id
    if (known !== undefined) this.#models.set(model, known)
    return known
  }

  #modelIdForWriting(model: string): number {
    const known = this.#modelId(model)
    if (known !== undefined) return known
    const id = Number(this.#statements.addModel.run(model).lastInsertRowid)
    this.#models.set(model, id)
    return id
  }
}

const prepareStatements = (db: Database) => ({
  begin: db.prepare("BEGIN IMMEDIATE"),
  commit: db.prepare("COMMIT"),
  rollback: db.prepare("ROLLBACK"),
  project: db.prepare<[string, string], { id: number }>(
    "SELECT id FROM projects WHERE team = ? AND project = ?"
  ),
  addProject: db.prepare("INSERT INTO projects (team, project) VALUES (?, ?)"),
  model: db.prepare<[string], { id: number }>("SELECT id FROM models WHERE model = ?"),
  addModel: db.prepare("INSERT INTO models (model) VALUES (?)"),
  blob: db.prepare<[number, Buffer], BlobRow>(
    "SELECT encoding, size, bytes FROM blobs WHERE project = ? AND digest = ?"
  ),
  hasBlob: db.prepare("SELECT 1 FROM blobs WHERE project = ? AND digest = ?"),
  putBlob: db.prepare("INSERT INTO blobs (project, digest, encoding, size, bytes) VALUES (?, ?, ?, ?, ?)"),
  hasVector: db.prepare("SELECT 1 FROM vectors WHERE project = ? AND model = ? AND input = ?"),
  putVector: db.prepare(`
    INSERT INTO vectors (project, model, input, digest, vector) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
})

/** What a collection has marked: temporary, so that a killed one leaves nothing. */
const keptTables = `
  CREATE TEMP TABLE kept_blobs (project INTEGER, digest BLOB, PRIMARY KEY (project, digest)) WITHOUT ROWID;
  CREATE TEMP TABLE kept_vectors
    (project INTEGER, model INTEGER, input BLOB, PRIMARY KEY (project, model, input)) WITHOUT ROWID;`

type ContentTable = "blobs" | "vectors"

const notMarked = {
  blobs: `rowid > ? AND rowid <= ? AND NOT EXISTS (
    SELECT 1 FROM temp.kept_blobs k WHERE k.project = blobs.project AND k.digest = blobs.digest)`,
  vectors: `rowid > ? AND rowid <= ? AND NOT EXISTS (
    SELECT 1 FROM temp.kept_vectors k
    WHERE k.project = vectors.project AND k.model = vectors.model AND k.input = vectors.input)`
}
const body = { blobs: "bytes", vectors: "vector" }

const prepareKept = (db: Database) => {
  const both = <Statement>(prepare: (table: ContentTable) => Statement) => ({
    blobs: prepare("blobs"),
    vectors: prepare("vectors")
  })
  return {
    blob: db.prepare("INSERT OR IGNORE INTO temp.kept_blobs VALUES (?, ?)"),
    vector: db.prepare("INSERT OR IGNORE INTO temp.kept_vectors VALUES (?, ?, ?)"),
    isKept: db.prepare("SELECT 1 FROM temp.kept_blobs WHERE project = ? AND digest = ?"),
    stretch: both((table) =>
      db.prepare<[number, number, number], { row: number | null }>(
        `SELECT max(row) AS row FROM (
           SELECT rowid AS row FROM ${table} NOT INDEXED WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT ?)`
      )
    ),
    unmarked: both((table) =>
      db.prepare<[number, number], { size: number }>(
        `SELECT length(${body[table]}) AS size FROM ${table} NOT INDEXED WHERE ${notMarked[table]}`
      )
    ),
    delete: both((table) =>
      db.prepare<[number, number], { size: number }>(
        `DELETE FROM ${table} NOT INDEXED WHERE ${notMarked[table]} RETURNING length(${body[table]}) AS size`
      )
    )
  }
}

/** A body as stored: deflated where that saves at least an eighth. */
const packed = (bytes: Uint8Array): { readonly bytes: Uint8Array; readonly encoding: number } => {
  if (bytes.length < deflateFrom) return { bytes, encoding: encodings.raw }
  const deflated = deflateSync(bytes, { level: deflateLevel })
  return deflated.length <= bytes.length * 0.875
    ? { bytes: deflated, encoding: encodings.deflate }
    : { bytes, encoding: encodings.raw }
}

/** Whether a number lies in memory as it is stored. */
export const littleEndian = endianness() === "LE"

/** float32, little endian, −0 as +0: the one form of a vector, whatever the machine. */
export const vectorBytes = (vector: Float32Array): Buffer => {
  const stored = new Float32Array(vector.length)
  for (let at = 0; at < vector.length; at++) stored[at] = (vector[at] ?? 0) + 0
  const bytes = Buffer.from(stored.buffer)
  return littleEndian ? bytes : bytes.swap32()
}
