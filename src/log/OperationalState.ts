/**
 * The writing side of the operational tables: state beside the log that no fold rebuilds (outcomes of commands, order keys,
 * attempts, what a sync last saw).
 */
import type { Database } from "better-sqlite3"
import type { OperationalChange } from "./Log.ts"
import { prepareRowOfDocument } from "./readModels/Rows.ts"

export const prepareOperational = (db: Database): ((change: OperationalChange) => void) => {
  const statements = prepareStatements(db)
  return (change) => apply(statements, change)
}

const prepareStatements = (db: Database) => ({
  outcome: db.prepare("INSERT OR REPLACE INTO command_outcomes VALUES (?, ?, ?, ?, ?, ?)"),
  orderKey: db.prepare("INSERT OR REPLACE INTO order_keys VALUES (?, ?)"),
  attemptStarted: db.prepare(
    "INSERT OR REPLACE INTO job_attempts VALUES (?, ?, ?, ?, ?, NULL, 'running', NULL, ?)"
  ),
  attemptEnded: db.prepare(
    "UPDATE job_attempts SET ended_at = ?, outcome = ?, error = ?, worker = coalesce(?, worker) WHERE job_id = ? AND attempt = ?"
  ),
  fileState: db.prepare("INSERT OR REPLACE INTO file_states VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
  rowOfDocument: prepareRowOfDocument(db),
  fileForgotten: db.prepare("DELETE FROM file_states WHERE document_id = ?"),
  lanePaused: db.prepare("INSERT OR REPLACE INTO lanes VALUES (?, ?)")
})

const apply = (statements: ReturnType<typeof prepareStatements>, change: OperationalChange): void => {
  switch (change.kind) {
    case "commandOutcome":
      statements.outcome.run(
        change.team,
        change.project,
        change.commandId,
        change.bodyDigest,
        change.answer,
        change.answeredAt
      )
      return
    case "orderKey":
      statements.orderKey.run(change.documentId, change.orderKey)
      return
    case "attemptStarted":
      statements.attemptStarted.run(
        change.jobId,
        change.attempt,
        change.lane,
        change.worker,
        change.startedAt,
        change.solo ? 1 : 0
      )
      return
    case "attemptEnded":
      statements.attemptEnded.run(
        change.endedAt,
        change.outcome,
        change.error ?? null,
        change.worker ?? null,
        change.jobId,
        change.attempt
      )
      return
    case "fileState":
      statements.fileState.run(
        change.documentId,
        change.sourceId,
        change.path,
        change.size,
        String(change.mtimeNs),
        String(change.inode),
        change.raw,
        change.descriptor,
        change.sync,
        statements.rowOfDocument.get(change.documentId)
      )
      return
    case "fileForgotten":
      statements.fileForgotten.run(change.documentId)
      return
    case "lanePaused":
      statements.lanePaused.run(change.lane, change.paused ? 1 : 0)
      return
  }
}
