/**
 * The writing side of `content.sqlite`: bodies and vectors of a group are written in one transaction that is synced before
 * the events that name them. What is there already is never overwritten.
 */
import { createHash } from "node:crypto"
import { deflateSync } from "node:zlib"
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../faults/Failpoints.ts"
import type { BlobPut, VectorPut } from "./Log.ts"
import { openForWriting } from "./LogDatabase.ts"
import { contentMigrations, migrate } from "./migrations/Migrations.ts"

/** Bodies below this many bytes are stored as they are: the header of a deflated one costs more than it saves. */
const deflateFrom = 256

/** Level 3 is three times as fast as the default on text and a tenth larger. */
const deflateLevel = 3

export const encodings = { raw: 0, deflate: 1 } as const

/** Pages of 8 KiB hold three vectors of 512 dimensions; pages of 4 KiB one. */
const pageSize = 8192

export class ContentStore {
  readonly db: Database
  readonly #failpoints: FailpointsService
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #projects = new Map<string, number>()
  readonly #models = new Map<string, number>()

  constructor(path: string, failpoints: FailpointsService, snapshot: (from: number) => void) {
    this.#failpoints = failpoints
    this.db = openForWriting(path, pageSize)
    migrate(this.db, contentMigrations, failpoints, snapshot)
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
    if (blobs.length > 0) this.#failpoints.hit("blob.write.after")
    if (vectors.length > 0) this.#failpoints.hit("vector.write.after")
  }

  hasBlob(team: string, project: string, digest: string): boolean {
    const id = this.#projectId(team, project)
    return id !== undefined && this.#statements.hasBlob.get(id, Buffer.from(digest, "hex")) !== undefined
  }

  hasVector(team: string, project: string, model: string, input: string): boolean {
    const projectId = this.#projectId(team, project)
    const modelId = this.#modelId(model)
    return (
      projectId !== undefined &&
      modelId !== undefined &&
      this.#statements.hasVector.get(projectId, modelId, Buffer.from(input, "hex")) !== undefined
    )
  }

  #putBlob(blob: BlobPut): void {
    const project = this.#projectIdForWriting(blob.team, blob.project)
    const digest = Buffer.from(blob.digest, "hex")
    if (this.#statements.hasBlob.get(project, digest) !== undefined) return
    const { bytes, encoding } = packed(blob.bytes)
    this.#statements.putBlob.run(project, digest, encoding, blob.bytes.length, bytes)
  }

  #putVector(put: VectorPut): void {
    const project = this.#projectIdForWriting(put.team, put.project)
    const model = this.#modelIdForWriting(put.model)
    const bytes = vectorBytes(put.vector)
    const digest = createHash("sha256").update(bytes).digest()
    this.#statements.putVector.run(project, model, Buffer.from(put.inputHash, "hex"), digest, bytes)
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
  hasBlob: db.prepare("SELECT 1 FROM blobs WHERE project = ? AND digest = ?"),
  putBlob: db.prepare("INSERT INTO blobs (project, digest, encoding, size, bytes) VALUES (?, ?, ?, ?, ?)"),
  hasVector: db.prepare("SELECT 1 FROM vectors WHERE project = ? AND model = ? AND input = ?"),
  putVector: db.prepare(`
    INSERT INTO vectors (project, model, input, digest, vector) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`)
})

/** A body as stored: deflated where that saves at least an eighth. */
const packed = (bytes: Uint8Array): { readonly bytes: Uint8Array; readonly encoding: number } => {
  if (bytes.length < deflateFrom) return { bytes, encoding: encodings.raw }
  const deflated = deflateSync(bytes, { level: deflateLevel })
  return deflated.length <= bytes.length * 0.875
    ? { bytes: deflated, encoding: encodings.deflate }
    : { bytes, encoding: encodings.raw }
}

/** float32, little endian, −0 as +0: the one form of a vector, whatever the machine. */
export const vectorBytes = (vector: Float32Array): Buffer => {
  const bytes = Buffer.allocUnsafe(vector.length * 4)
  for (let at = 0; at < vector.length; at++) bytes.writeFloatLE((vector[at] ?? 0) + 0, at * 4)
  return bytes
}
