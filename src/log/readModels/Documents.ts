/**
 * Documents at the head, their versions with the positions between which each is visible, and what every version became
 * under each (chunker, model).
 *
 * At most one mutation of a document is open: its newest submitted version, unless that was committed, rejected or
 * rolled back by a removal. A parked job keeps the version that it failed for, so that a retry can open it again.
 */
import type { Database } from "better-sqlite3"
import type { RemovalReason } from "../../../events/Document.ts"
import type { Digest, DocumentId, JobId, ProjectName, SourceId, TeamName } from "../../../events/Ids.ts"
import type { DocumentRow } from "../ReadModels.ts"
import type { Folded, Projector } from "./Projector.ts"
import { rowOfJob } from "./Rows.ts"
import type { Counted, Tallies } from "./Tallies.ts"

export const documents: Projector = {
  tables: {
    documents: "document_id",
    versions: "document_id, version",
    chunkings: "document_id, version, chunker",
    contents: "document_id, version, chunker, model, position",
    document_tally: "team, project"
  },
  prepare: (db, tallies) => {
    const statements = prepareStatements(db)
    return (folded, document) => fold(statements, tallies, folded, document)
  }
}

/** What a fold has to know of a row before it writes it. */
interface Known extends Counted {
  readonly row: number
  readonly team: string
  readonly project: string
  readonly submitted: number
}

const known = `first_position AS row, team, project, submitted_version AS submitted, open, live_version AS live,
  live_chunks AS chunks`

const documentOfJob = `(SELECT document FROM jobs WHERE queued_position = ${rowOfJob("?")})`

const prepareStatements = (db: Database) => ({
  known: db.prepare<[number], Known>(`SELECT ${known} FROM documents WHERE first_position = ?`),
  knownByJob: db.prepare<[string, string], Known>(`
    SELECT ${known} FROM documents
    WHERE first_position = ${documentOfJob} AND parked_job = ?`),
  first: db.prepare(`
    INSERT INTO documents (document_id, team, project, source_id, stream_version, submitted_version,
      submitted_position, raw, raw_bytes, descriptor, command_id, sync, moved_from, open, first_position)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)`),
  submitted: db.prepare(`
    UPDATE documents SET stream_version = ?, submitted_version = ?, submitted_position = ?, raw = ?, raw_bytes = ?,
      descriptor = ?, command_id = ?, sync = ?, moved_from = ?, open = 1, removed = NULL,
      parked_job = NULL, parked_version = NULL, parked_code = NULL, parked_reason = NULL
    WHERE first_position = ?`),
  advanced: db.prepare("UPDATE documents SET stream_version = ? WHERE first_position = ?"),
  chunked: db.prepare("INSERT OR REPLACE INTO chunkings VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
  completed: db.prepare("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
  ended: db.prepare("UPDATE versions SET ended = ? WHERE document_id = ? AND ended IS NULL"),
  began: db.prepare("INSERT OR REPLACE INTO versions VALUES (?, ?, ?, NULL)"),
  committed: db.prepare(`
    UPDATE documents SET stream_version = ?, open = ?, live_version = ?, live_position = ?, live_chunks = ?,
      removed = NULL, parked_job = NULL, parked_version = NULL, parked_code = NULL, parked_reason = NULL
    WHERE first_position = ?`),
  rejected: db.prepare("UPDATE documents SET stream_version = ?, open = ? WHERE first_position = ?"),
  removed: db.prepare(`
    UPDATE documents SET stream_version = ?, open = 0, live_version = NULL, live_position = NULL,
      live_chunks = NULL, removed = ?,
      parked_job = NULL, parked_version = NULL, parked_code = NULL, parked_reason = NULL
    WHERE first_position = ?`),
  parked: db.prepare(`
    UPDATE documents SET parked_job = ?, parked_version = ?, parked_code = ?, parked_reason = ?
    WHERE first_position = ? AND submitted_version = ? AND live_version IS NOT ? AND removed IS NULL`),
  retried: db.prepare(`
    UPDATE documents SET open = 1,
      parked_job = NULL, parked_version = NULL, parked_code = NULL, parked_reason = NULL
    WHERE first_position = ?`),
  cancelled: db.prepare(`
    UPDATE documents SET parked_job = NULL, parked_version = NULL, parked_code = NULL, parked_reason = NULL
    WHERE first_position = ${documentOfJob} AND parked_job = ?`)
})

const fold = (
  statements: ReturnType<typeof prepareStatements>,
  tallies: Tallies,
  { event, position, project, stream, team, version }: Folded,
  row: number | undefined
): void => {
  switch (event._tag) {
    case "DocumentSubmitted": {
      // Without this a document could have a second row, under another stream than its own.
      if (row === undefined)
        throw new Error(`${stream} is not the stream of the document ${event.documentId}.`)
      const before = row === position ? undefined : statements.known.get(row)
      const sync = event.sync ?? null
      const movedFrom = event.movedFrom ?? null
      if (before === undefined) {
        statements.first.run(
          event.documentId,
          team,
          project,
          event.sourceId,
          version,
          event.version,
          position,
          event.raw,
          event.rawBytes,
          event.descriptor,
          event.commandId,
          sync,
          movedFrom,
          row
        )
        tallies.document({ team, project }, absent, { ...absent, open: 1 })
        return
      }
      statements.submitted.run(
        version,
        event.version,
        position,
        event.raw,
        event.rawBytes,
        event.descriptor,
        event.commandId,
        sync,
        movedFrom,
        before.row
      )
      tallies.document(before, before, { ...before, open: 1 })
      return
    }
    case "DocumentChunked":
      statements.advanced.run(version, row)
      recordChunking(statements, event, position)
      return
    case "DocumentCommitted": {
      statements.ended.run(position, event.documentId)
      statements.began.run(event.documentId, event.version, position)
      const before = row === undefined ? undefined : statements.known.get(row)
      if (before !== undefined) {
        const open = openAfter(before, event.version)
        statements.committed.run(version, open, event.version, position, event.count, before.row)
        tallies.document(before, before, { open, live: event.version, chunks: event.count })
      }
      recordChunking(statements, event, position)
      recordContents(statements, event, position)
      return
    }
    case "DocumentBuilt":
      statements.advanced.run(version, row)
      recordChunking(statements, event, position)
      recordContents(statements, event, position)
      return
    case "DocumentRejected": {
      const before = row === undefined ? undefined : statements.known.get(row)
      if (before === undefined) return
      const open = openAfter(before, event.version)
      statements.rejected.run(version, open, before.row)
      tallies.document(before, before, { ...before, open })
      return
    }
    case "DocumentErased":
      statements.advanced.run(version, row)
      return
    case "DocumentRemoved": {
      statements.ended.run(position, event.documentId)
      const before = row === undefined ? undefined : statements.known.get(row)
      if (before === undefined) return
      statements.removed.run(version, event.reason, before.row)
      tallies.document(before, before, absent)
      return
    }
    case "JobParked":
      // A job of the live version is a build: its generation waits, the document itself is well.
      statements.parked.run(
        event.jobId,
        event.version,
        event.code,
        JSON.stringify(event.reason),
        row,
        event.version,
        event.version
      )
      return
    case "JobRetried": {
      const before = statements.knownByJob.get(event.jobId, event.jobId)
      if (before === undefined) return
      statements.retried.run(before.row)
      tallies.document(before, before, { ...before, open: 1 })
      return
    }
    case "JobCancelled":
      statements.cancelled.run(event.jobId, event.jobId)
      return
  }
}

const absent: Counted = { open: 0, live: null, chunks: null }

/** The end of a version closes the mutation that it is, and no newer one. */
const openAfter = ({ open, submitted }: Known, ended: number): number => (submitted === ended ? 0 : open)

interface ChunkedFields {
  readonly documentId: string
  readonly version: number
  readonly chunker: string
  readonly descriptor: string
  readonly textBlob: string
  readonly manifestBlob: string
  readonly count: number
}

const recordChunking = (
  statements: ReturnType<typeof prepareStatements>,
  event: ChunkedFields,
  position: number
): void => {
  statements.chunked.run(
    event.documentId,
    event.version,
    event.chunker,
    position,
    event.descriptor,
    event.textBlob,
    event.manifestBlob,
    event.count
  )
}

const recordContents = (
  statements: ReturnType<typeof prepareStatements>,
  event: ChunkedFields & { readonly model: string; readonly vectorsRoot: string },
  position: number
): void => {
  statements.completed.run(
    event.documentId,
    event.version,
    event.chunker,
    event.model,
    position,
    event.descriptor,
    event.textBlob,
    event.manifestBlob,
    event.vectorsRoot,
    event.count
  )
}

/** A row of `documents`, with what stands in other tables about it. */
export interface DocumentColumns {
  readonly document_id: DocumentId
  readonly team: TeamName
  readonly project: ProjectName
  readonly source_id: SourceId
  readonly stream_version: number
  readonly submitted_version: number
  readonly submitted_position: number
  readonly raw: Digest
  readonly raw_bytes: number
  readonly descriptor: Digest
  readonly command_id: string
  readonly sync: number | null
  readonly moved_from: DocumentId | null
  readonly open: number
  readonly live_version: number | null
  readonly live_position: number | null
  readonly live_chunks: number | null
  readonly removed: RemovalReason | null
  readonly parked_job: JobId | null
  readonly parked_version: number | null
  readonly parked_code: string | null
  readonly parked_reason: string | null
  /** JSON array of the open version's chunkings, by position; null where no version is open. */
  readonly chunkings: string | null
  readonly order_key: string | null
}

/** What to select for {@link DocumentColumns}; `d` is the row of `documents`. */
export const documentColumns = `
  d.*, (SELECT order_key FROM order_keys k WHERE k.document_id = d.document_id) AS order_key,
  CASE WHEN d.open = 1 THEN (
    SELECT json_group_array(json_object('chunker', c.chunker, 'descriptor', c.descriptor, 'textBlob', c.text_blob,
      'manifestBlob', c.manifest_blob, 'count', c.count) ORDER BY c.position)
    FROM chunkings c WHERE c.document_id = d.document_id AND c.version = d.submitted_version
  ) END AS chunkings`

export const toDocumentRow = (row: DocumentColumns): DocumentRow => ({
  documentId: row.document_id,
  scope: { team: row.team, project: row.project },
  sourceId: row.source_id,
  streamVersion: row.stream_version,
  submittedVersion: row.submitted_version,
  submittedPosition: row.submitted_position,
  raw: row.raw,
  rawBytes: row.raw_bytes,
  descriptor: row.descriptor,
  open:
    row.open === 0
      ? undefined
      : {
          version: row.submitted_version,
          submittedPosition: row.submitted_position,
          commandId: row.command_id,
          sync: row.sync ?? undefined,
          movedFrom: row.moved_from ?? undefined,
          chunkings: JSON.parse(row.chunkings ?? "[]")
        },
  live:
    row.live_version === null
      ? undefined
      : { version: row.live_version, position: row.live_position ?? 0, chunks: row.live_chunks ?? 0 },
  removed: row.removed ?? undefined,
  parked:
    row.parked_job === null
      ? undefined
      : {
          jobId: row.parked_job,
          version: row.parked_version ?? 0,
          reason: JSON.parse(row.parked_reason ?? "null"),
          code: row.parked_code ?? ""
        },
  orderKey: row.order_key ?? undefined
})
