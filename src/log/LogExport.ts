/**
 * Writes a log and its content as newline-delimited JSON, line by line, in constant memory, beside a running writer.
 */
import { createHash } from "node:crypto"
import { join } from "node:path"
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../faults/Failpoints.ts"
import type { EventRow } from "./EventRow.ts"
import { genesis } from "./HashChain.ts"
import { archiveFormat, SourceDamaged } from "./LogArchive.ts"
import { fileNames, openForReading, readable } from "./LogDatabase.ts"
import { rewriteWatch } from "./RewriteWatch.ts"
import { type BlobRow, unpackBlob, unpackVector, type VectorRow } from "./StoredContent.ts"

export interface ExportReport {
  readonly position: number
  readonly hash: string
  readonly events: number
  readonly blobs: number
  readonly vectors: number
}

const pageSize = 500
const waitMs = 5000

/**
 * Yields the archive's lines in parts (each some lines, with their newlines). Damaged content throws `ContentDamaged`, a
 * damaged event `SourceDamaged`: neither is exported. Events up to the head as of the start, content as it comes.
 */
export function* exportLines(
  directory: string,
  failpoints: FailpointsService
): Generator<string, ExportReport> {
  const files = [
    readable(join(directory, fileNames.log)),
    readable(join(directory, fileNames.content))
  ] as const
  const log = openForReading(files[0].path, waitMs)
  const content = openForReading(files[1].path, waitMs)
  const hash = createHash("sha256")
  const part = (lines: ReadonlyArray<unknown>): string => {
    failpoints.hit("export.part")
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
    hash.update(text)
    return text
  }
  try {
    const meta = log.prepare<[string], { value: string }>("SELECT value FROM meta WHERE key = ?")
    const head = log
      .prepare<[], { position: number; hash: Buffer }>(
        "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"
      )
      .get() ?? { position: 0, hash: genesis }
    yield part([
      {
        kind: "reprise-log",
        format: archiveFormat,
        logId: meta.get("log_id")?.value ?? "",
        epoch: Number(meta.get("epoch")?.value ?? 1),
        position: head.position,
        hash: head.hash.toString("hex")
      }
    ])
    let events = 0
    for (const lines of eventPages(log, directory, head.position)) {
      events += lines.length
      yield part(lines)
    }
    let blobs = 0
    for (const lines of blobPages(content)) {
      blobs += lines.length
      yield part(lines)
    }
    let vectors = 0
    for (const lines of vectorPages(content)) {
      vectors += lines.length
      yield part(lines)
    }
    yield `${JSON.stringify({ kind: "end", events, blobs, vectors, digest: hash.digest("hex") })}\n`
    return { position: head.position, hash: head.hash.toString("hex"), events, blobs, vectors }
  } finally {
    log.close()
    content.close()
    for (const file of files) file.release()
  }
}

function* eventPages(db: Database, directory: string, end: number): Generator<ReadonlyArray<unknown>> {
  const page = db.prepare<[number, number], EventRow>(
    `SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ${pageSize}`
  )
  let after = 0
  while (after < end) {
    const rows = page.all(after, end)
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map((row) => ({
      kind: "event",
      position: row.position,
      id: row.id,
      stream: row.stream,
      version: row.version,
      type: row.type,
      schemaVersion: row.schema_version,
      team: row.team,
      project: row.project,
      sequence: row.sequence,
      data: sameBytes(row.data, directory, row.position),
      metadata: sameBytes(row.metadata, directory, row.position),
      recordedAt: row.recorded_at,
      hash: row.hash.toString("hex")
    }))
    after = last.position
  }
}

/** The value whose JSON is this very text: the hash covers the text, and the import has only the value. */
const sameBytes = (text: string, directory: string, position: number): unknown => {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = undefined
  }
  if (JSON.stringify(value) === text) return value
  throw new SourceDamaged({ source: directory, damages: [`the event at position ${position} is damaged`] })
}

interface Owner {
  readonly team: string
  readonly project: string
}

/** Bodies one by one: each may be large. */
function* blobPages(db: Database): Generator<ReadonlyArray<unknown>> {
  const next = db.prepare<[number], BlobRow & Owner & { readonly rowid: number; readonly digest: Buffer }>(`
    SELECT b.rowid, p.team, p.project, b.digest, b.encoding, b.size, b.bytes
    FROM blobs b JOIN projects p ON p.id = b.project WHERE b.rowid > ? ORDER BY b.rowid LIMIT 1`)
  const unlessRewritten = rewriteWatch(db)
  let after = -1
  while (true) {
    const row = next.get(after)
    unlessRewritten()
    if (row === undefined) return
    const digest = row.digest.toString("hex")
    const bytes = unpackBlob(digest, row)
    yield [
      {
        kind: "blob",
        team: row.team,
        project: row.project,
        digest,
        bytes: Buffer.from(bytes).toString("base64")
      }
    ]
    after = row.rowid
  }
}

function* vectorPages(db: Database): Generator<ReadonlyArray<unknown>> {
  const page = db.prepare<
    [number],
    VectorRow & Owner & { readonly rowid: number; readonly model: string; readonly input: Buffer }
  >(`
    SELECT v.rowid, p.team, p.project, m.model, v.input, v.digest, v.vector
    FROM vectors v JOIN projects p ON p.id = v.project JOIN models m ON m.id = v.model
    WHERE v.rowid > ? ORDER BY v.rowid LIMIT 200`)
  const unlessRewritten = rewriteWatch(db)
  let after = -1
  while (true) {
    const rows = page.all(after)
    unlessRewritten()
    const last = rows.at(-1)
    if (last === undefined) return
    yield rows.map((row) => {
      const input = row.input.toString("hex")
      unpackVector(input, row)
      return {
        kind: "vector",
        team: row.team,
        project: row.project,
        model: row.model,
        input,
        vector: row.vector.toString("base64")
      }
    })
    after = last.rowid
  }
}
