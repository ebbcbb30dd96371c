/**
 * A second reader of an embedded index: plain SQLite and its own hashing, nothing from `src/`. What it says is what the
 * bytes on disk say.
 *
 * Layout: `index/<generation>-e<epoch>/generation.sqlite` with the marker, beside it one file per project,
 * `<team>.<project>.sqlite`, with a table `points(ordinal, id, chunk_id, document_id, payload, dense, sparse,
 * from_position, until_position)`.
 */
import { createHash } from "node:crypto"
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { leafOf, overallFingerprint, projectFingerprint, type VisibleLeaf } from "./Fingerprint.ts"

/** A row of `points`, its contents in the bytes that are stored. */
export interface StoredPoint {
  readonly id: string
  readonly chunkId: string
  readonly documentId: string
  readonly payload: Buffer
  readonly dense: Buffer
  readonly sparse: Buffer
  readonly from: number
  readonly until: number
}

export interface ProjectReading {
  readonly fingerprint: string
  /** Visible chunks by document. */
  readonly documents: ReadonlyMap<string, ReadonlySet<string>>
  readonly chunks: number
}

export interface IndexReading {
  /** Over all projects, as `verify` and `replay` print it. */
  readonly fingerprint: string
  /** By `team/project`; only those with a visible chunk. */
  readonly projects: ReadonlyMap<string, ProjectReading>
  /** What no reader may ever meet: two versions of a chunk, torn vectors, ids that do not belong to their rows. */
  readonly faults: ReadonlyArray<string>
}

export interface StoredMarker {
  readonly logId: string
  readonly epoch: number
  readonly checkpoint: number
  readonly horizon: number
}

export const generationFolder = (index: string, generation: string, epoch = 1): string =>
  join(index, `${generation}-e${epoch}`)

/** The generations that stand below `index/`, as `<generation>-e<epoch>`, sorted. */
export const generationsIn = (index: string): ReadonlyArray<string> =>
  existsSync(index)
    ? readdirSync(index)
        .filter((name) => /^g\d{3,9}-e\d+$/.test(name))
        .sort()
    : []

export const markerIn = (folder: string): StoredMarker | undefined =>
  reading(join(folder, "generation.sqlite"), (file) => {
    const row = file
      .prepare<[], StoredMarker>("SELECT log_id AS logId, epoch, checkpoint, horizon FROM marker")
      .get()
    return row
  })

/** The files of a generation's projects, by `team/project`. */
export const projectFiles = (folder: string): ReadonlyMap<string, string> => {
  const files = new Map<string, string>()
  for (const name of readdirSync(folder)) {
    const match = /^([a-z0-9][a-z0-9_-]*)\.([a-z0-9][a-z0-9_-]*)\.sqlite$/.exec(name)
    if (match !== null) files.set(`${match[1]}/${match[2]}`, join(folder, name))
  }
  return files
}

/** Every row, visible or not. */
export const pointsIn = (path: string): ReadonlyArray<StoredPoint> =>
  reading(path, (file) =>
    file
      .prepare<[], StoredPoint>(
        `SELECT id, chunk_id AS chunkId, document_id AS documentId, CAST(payload AS BLOB) AS payload, dense, sparse,
           from_position AS "from", until_position AS "until" FROM points ORDER BY ordinal`
      )
      .all()
  )

/** Reads a generation as a search at position `at` sees it. `read` may know the rows of a file already. */
export const readIndex = (folder: string, at: number, read = pointsIn): IndexReading => {
  const faults: Array<string> = []
  const leaves = new Map<string, ReadonlyArray<VisibleLeaf>>()
  const projects = new Map<string, ProjectReading>()
  for (const [project, path] of projectFiles(folder)) {
    const visible = read(path).filter(({ from, until }) => from <= at && at < until)
    if (visible.length === 0) continue
    const documents = new Map<string, Set<string>>()
    const seen = new Set<string>()
    for (const point of visible) {
      for (const fault of faultsOfPoint(point)) faults.push(`${project}: point ${point.id} ${fault}`)
      if (seen.has(point.chunkId)) faults.push(`${project}: chunk ${point.chunkId} is visible twice at ${at}`)
      seen.add(point.chunkId)
      const chunks = documents.get(point.documentId) ?? new Set()
      documents.set(point.documentId, chunks.add(point.chunkId))
    }
    const found = visible.map(leafOfPoint)
    leaves.set(project, found)
    projects.set(project, { fingerprint: projectFingerprint(found), documents, chunks: visible.length })
  }
  return { fingerprint: overallFingerprint(leaves), projects, faults }
}

/** What was found of a row: it is asked again where an index is read as of several positions. */
const once = <A>(find: (point: StoredPoint) => A): ((point: StoredPoint) => A) => {
  const found = new WeakMap<StoredPoint, { readonly value: A }>()
  return (point) => {
    const known = found.get(point) ?? { value: find(point) }
    found.set(point, known)
    return known.value
  }
}

const leafOfPoint = once(
  ({ chunkId, payload, sparse, dense }): VisibleLeaf => ({
    chunkId,
    leaf: leafOf({ chunkId, payload, sparse, dense })
  })
)

const faultsOfPoint = once((point): ReadonlyArray<string> => {
  const faults: Array<string> = []
  if (point.id !== pointIdOf(point.chunkId, point.from)) faults.push("has an id that is not its own")
  if (point.from >= point.until) faults.push("ends before it begins")
  if (!(Math.abs(lengthOf(point.dense) - 1) <= 1e-5))
    faults.push("has a dense vector that is not of unit length")
  if (!isAscending(point.sparse)) faults.push("has a sparse vector whose ids do not ascend")
  if (documentIn(point.payload) !== point.documentId) faults.push("has a payload that is not its own")
  return faults
})

/** UUID of version 5 over (chunk id, `from`), each prefixed with its length (u32, big endian). */
const pointIdOf = (chunkId: string, from: number): string => {
  const hash = createHash("sha1").update(Buffer.from("6b3e1f0a5a0f5d0e9a670d6c1b2f7a04", "hex"))
  for (const part of [chunkId, String(from)]) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(part))
    hash.update(length).update(part)
  }
  const hex = hash.digest("hex").slice(0, 32)
  const variant = ((Number.parseInt(hex.slice(16, 18), 16) & 0x3f) | 0x80).toString(16)
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `5${hex.slice(13, 16)}`,
    `${variant}${hex.slice(18, 20)}`,
    hex.slice(20)
  ].join("-")
}

const lengthOf = (dense: Buffer): number => {
  if (dense.length === 0 || dense.length % 4 !== 0) return Number.NaN
  let sum = 0
  for (let at = 0; at < dense.length; at += 4) sum += dense.readFloatLE(at) ** 2
  return Math.sqrt(sum)
}

const isAscending = (sparse: Buffer): boolean => {
  if (sparse.length % 8 !== 0) return false
  for (let at = 8; at < sparse.length; at += 8) {
    if (sparse.readUInt32LE(at - 8) >= sparse.readUInt32LE(at)) return false
  }
  return true
}

/** The document that a payload names; nothing where the payload is not canonical JSON. */
const documentIn = (payload: Buffer): unknown => {
  try {
    const parsed: unknown = JSON.parse(payload.toString("utf8"))
    if (canonical(parsed) !== payload.toString("utf8")) return undefined
    return typeof parsed === "object" && parsed !== null && "document" in parsed ? parsed.document : undefined
  } catch {
    return undefined
  }
}

const canonical = (value: unknown): string => {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`).join(",")}}`
}

/** Takes no lock; works beside a writer. */
const reading = <A>(path: string, read: (file: Sqlite.Database) => A): A => {
  const file = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: 2000 })
  try {
    return read(file)
  } finally {
    file.close()
  }
}
