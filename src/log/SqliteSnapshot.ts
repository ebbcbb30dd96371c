/**
 * Synchronous reading of a data directory for cores that run in a worker: prepared statements on read-only connections of
 * their own, one row by key at a time, which on SQLite is the fastest there is.
 */
import { join } from "node:path"
import type { Database } from "better-sqlite3"
import { invisibleEvents } from "../../events/Catalogue.ts"
import { operatorScope } from "../../events/Envelope.ts"
import { Digest, type DocumentId, Position, type SourceId } from "../../events/Ids.ts"
import { type EventRow, toStoredEvent } from "./EventRow.ts"
import { genesis } from "./HashChain.ts"
import { fileNames, openForReading, readable } from "./LogDatabase.ts"
import type { LogSnapshot, VersionContents } from "./LogSnapshot.ts"
import { type GenerationColumns, toGenerationRow } from "./readModels/Generations.ts"
import { rowOfDocument } from "./readModels/Rows.ts"
import { type BlobRow, unpackBlob, unpackVector, type VectorRow } from "./StoredContent.ts"

/** How long a read may wait for a lock: these connections are not on the main thread. */
const waitMs = 5000

/** Opens the log and content of a data directory for reading. Throws where they cannot be opened. */
export const openSnapshot = (directory: string): LogSnapshot => {
  const log = openReadable(join(directory, fileNames.log))
  let content: Readable
  try {
    content = openReadable(join(directory, fileNames.content))
  } catch (cause) {
    log.close()
    throw cause
  }
  return {
    ...logReads(log.db),
    ...contentReads(content.db),
    together: (read) => log.db.transaction(() => content.db.transaction(read).deferred()).deferred(),
    close: () => {
      log.close()
      content.close()
    }
  }
}

interface Readable {
  readonly db: Database
  readonly close: () => void
}

const openReadable = (path: string): Readable => {
  const source = readable(path)
  try {
    const db = openForReading(source.path, waitMs)
    return {
      db,
      close: () => {
        db.close()
        source.release()
      }
    }
  } catch (cause) {
    source.release()
    throw cause
  }
}

/** Prepared where it is asked: a backup opens also what no migration has reached yet. */
const once = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

interface VersionRow {
  readonly documentId: DocumentId
  readonly version: number
  readonly sourceId: SourceId
  readonly committedAt: number
}

const mostLookedAt = 4096
const leftOut = JSON.stringify([...invisibleEvents])

const logReads = (db: Database): Omit<LogSnapshot, "blob" | "vectors" | "together" | "close"> => {
  const last = db.prepare<[], { position: number; hash: Buffer }>(
    "SELECT position, hash FROM events ORDER BY position DESC LIMIT 1"
  )
  const meta = db.prepare<[string], { value: string }>("SELECT value FROM meta WHERE key = ?")
  const events = db.prepare<[number, number, number], EventRow>(
    "SELECT * FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
  )
  const filtered = db.prepare<
    {
      after: number
      upTo: number
      limit: number
      team: string | null
      project: string | null
      types: string | null
    },
    EventRow
  >(`
    SELECT * FROM events WHERE position > @after AND position <= @upTo
      AND (@team IS NULL OR team = @team) AND (@project IS NULL OR project = @project)
      AND (@types IS NULL OR type IN (SELECT value FROM json_each(@types)))
    ORDER BY position LIMIT @limit`)
  const nextVisible = once(() =>
    db.prepare<[number, number, string], { position: number }>(`
      SELECT position FROM events
      WHERE position > ? AND position <= ? AND type NOT IN (SELECT value FROM json_each(?))
      ORDER BY position LIMIT 1`)
  )
  const versionAt = db.prepare<[string, number, number], Omit<VersionRow, "documentId">>(`
    SELECT v.version, d.source_id AS sourceId, v.committed AS committedAt
    FROM versions v JOIN documents d ON d.first_position = ${rowOfDocument("v.document_id")}
    WHERE v.document_id = ? AND v.committed <= ? AND coalesce(v.ended, 9007199254740991) > ?
    ORDER BY v.version DESC LIMIT 1`)
  const versionsAt = once(() =>
    db.prepare<[string, string, string, string, number, number, number], VersionRow>(`
      SELECT d.document_id AS documentId, v.version, d.source_id AS sourceId, v.committed AS committedAt
      FROM documents d JOIN versions v ON v.document_id = d.document_id
      WHERE d.team = ? AND d.project = ? AND (d.source_id, d.first_position) > (
          coalesce((SELECT source_id FROM documents WHERE first_position = ${rowOfDocument("?")}), ''),
          coalesce(${rowOfDocument("?")}, 0))
        AND v.committed <= ? AND coalesce(v.ended, 9007199254740991) > ?
      ORDER BY d.source_id, d.first_position LIMIT ?`)
  )
  const nextProject = db.prepare<[string, string], { team: string; project: string }>(`
    SELECT team, project FROM events WHERE (team, project) > (?, ?) ORDER BY team, project LIMIT 1`)
  const generations = db.prepare<[], GenerationColumns>("SELECT * FROM generations ORDER BY opened_position")
  const sequenceAt = db.prepare<[string, string, number], { sequence: number }>(`
    SELECT sequence FROM events WHERE team = ? AND project = ? AND position <= ? ORDER BY position DESC LIMIT 1`)
  const contents = db.prepare<[string, number, string, string, number], VersionContents>(`
    SELECT document_id AS documentId, version, chunker, model, position, descriptor, text_blob AS textBlob,
      manifest_blob AS manifestBlob, vectors_root AS vectorsRoot, count
    FROM contents
    WHERE document_id = ? AND version = ? AND chunker = ? AND model = ? AND position <= ?
    ORDER BY position DESC LIMIT 1`)
  return {
    head: () => {
      const row = last.get()
      return {
        logId: meta.get("log_id")?.value ?? "",
        epoch: Number(meta.get("epoch")?.value ?? 1),
        position: Position.make(row?.position ?? 0),
        hash: Digest.make((row?.hash ?? genesis).toString("hex"))
      }
    },
    events: (after, upTo, limit, filter) => {
      const rows =
        filter === undefined
          ? events.all(after, upTo, limit)
          : filtered.all({
              after,
              upTo,
              limit,
              team: filter.team ?? null,
              project: filter.project ?? null,
              types: filter.types === undefined ? null : JSON.stringify(filter.types)
            })
      return rows.map(toStoredEvent)
    },
    sameUntil: (after, upTo) => {
      const last = Math.max(after, Math.min(upTo, after + mostLookedAt))
      return (nextVisible().get(after, last, leftOut)?.position ?? last + 1) - 1
    },
    versionAt: (documentId, position) => versionAt.get(documentId, position, position),
    versionsAt: (team, project, position, after, limit) =>
      versionsAt().all(team, project, after ?? "", after ?? "", position, position, limit),
    projects: () => {
      const found: Array<{ readonly team: string; readonly project: string }> = []
      let next = nextProject.get("", "")
      while (next !== undefined) {
        if (next.team !== operatorScope.team) found.push(next)
        next = nextProject.get(next.team, next.project)
      }
      return found
    },
    generations: () => generations.all().map(toGenerationRow),
    sequenceAt: (team, project, position) => sequenceAt.get(team, project, position)?.sequence ?? 0,
    contents: (documentId, version, chunker, model, position) =>
      contents.get(documentId, version, chunker, model, position)
  }
}

const contentReads = (db: Database): Pick<LogSnapshot, "blob" | "vectors"> => {
  const project = db.prepare<[string, string], { id: number }>(
    "SELECT id FROM projects WHERE team = ? AND project = ?"
  )
  const model = db.prepare<[string], { id: number }>("SELECT id FROM models WHERE model = ?")
  const blob = db.prepare<[number, Buffer], BlobRow>(
    "SELECT encoding, size, bytes FROM blobs WHERE project = ? AND digest = ?"
  )
  const vector = db.prepare<[number, number, Buffer], VectorRow>(
    "SELECT digest, vector FROM vectors WHERE project = ? AND model = ? AND input = ?"
  )
  // Ids are given once and never change, so what was found once is known.
  const known = new Map<string, number>()
  const idOf = (key: string, find: () => { id: number } | undefined): number | undefined => {
    const id = known.get(key) ?? find()?.id
    if (id !== undefined) known.set(key, id)
    return id
  }
  const projectId = (team: string, name: string) => idOf(`${team}/${name}`, () => project.get(team, name))
  return {
    blob: (team, name, digest) => {
      const id = projectId(team, name)
      const row = id === undefined ? undefined : blob.get(id, Buffer.from(digest, "hex"))
      return row === undefined ? undefined : unpackBlob(digest, row)
    },
    vectors: (team, name, fingerprint, inputs) => {
      const id = projectId(team, name)
      const modelId = idOf(fingerprint, () => model.get(fingerprint))
      if (id === undefined || modelId === undefined) return inputs.map(() => undefined)
      return inputs.map((input) => {
        const row = vector.get(id, modelId, Buffer.from(input, "hex"))
        return row === undefined ? undefined : { vector: unpackVector(input, row), digest: row.digest }
      })
    }
  }
}
