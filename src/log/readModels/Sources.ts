/**
 * Sources, their newest sync, and the removals that wait for approval.
 *
 * Held removals are replaced by a newer sync's, and cleared by their approval, by a complete sync that held nothing, and
 * with their source.
 */
import type { Database } from "better-sqlite3"
import type { Digest, ProjectName, SourceId, TeamName } from "../../../events/Ids.ts"
import type { SourceKind } from "../../../events/Source.ts"
import type { SourceRow } from "../ReadModels.ts"
import type { Folded, Projector } from "./Projector.ts"

export const sources: Projector = {
  tables: { sources: "source_id" },
  prepare: (db) => {
    const statements = prepareStatements(db)
    return (folded) => fold(statements, folded)
  }
}

const prepareStatements = (db: Database) => ({
  added: db.prepare(`
    INSERT INTO sources (source_id, team, project, kind, settings, stream_version, removed, sync, sync_state)
    VALUES (?, ?, ?, ?, ?, ?, 0, 0, 'none')
    ON CONFLICT (source_id) DO UPDATE SET kind = excluded.kind, settings = excluded.settings,
      stream_version = excluded.stream_version, removed = 0`),
  removed: db.prepare(`
    UPDATE sources SET stream_version = ?, removed = 1,
      held_sync = NULL, held_count = NULL, held_documents = NULL
    WHERE source_id = ?`),
  started: db.prepare(`
    UPDATE sources SET stream_version = ?, sync = ?, sync_state = 'running' WHERE source_id = ?`),
  completed: db.prepare(`
    UPDATE sources SET stream_version = ?, sync_state = 'completed', counts = ?, failure = NULL
    WHERE source_id = ?`),
  nothingHeld: db.prepare(`
    UPDATE sources SET held_sync = NULL, held_count = NULL, held_documents = NULL
    WHERE source_id = ? AND held_sync <> ?`),
  failed: db.prepare(`
    UPDATE sources SET stream_version = ?, sync_state = 'failed', failure = ? WHERE source_id = ?`),
  held: db.prepare(`
    UPDATE sources SET stream_version = ?, held_sync = ?, held_count = ?, held_documents = ?
    WHERE source_id = ?`),
  approved: db.prepare(`
    UPDATE sources SET stream_version = ?, held_sync = NULL, held_count = NULL, held_documents = NULL
    WHERE source_id = ?`)
})

const fold = (
  statements: ReturnType<typeof prepareStatements>,
  { event, version, team, project }: Folded
): void => {
  switch (event._tag) {
    case "SourceAdded":
      statements.added.run(event.sourceId, team, project, event.kind, event.settings, version)
      return
    case "SourceRemoved":
      statements.removed.run(version, event.sourceId)
      return
    case "SyncStarted":
      statements.started.run(version, event.sync, event.sourceId)
      return
    case "SyncCompleted":
      statements.completed.run(version, JSON.stringify(event.counts), event.sourceId)
      if (event.complete) statements.nothingHeld.run(event.sourceId, event.sync)
      return
    case "SyncFailed":
      statements.failed.run(version, JSON.stringify(event.reason), event.sourceId)
      return
    case "RemovalsHeld":
      statements.held.run(version, event.sync, event.count, event.documents, event.sourceId)
      return
    case "RemovalsApproved":
      statements.approved.run(version, event.sourceId)
      return
  }
}

/** A row of `sources`. */
export interface SourceColumns {
  readonly source_id: SourceId
  readonly team: TeamName
  readonly project: ProjectName
  readonly kind: SourceKind
  readonly settings: Digest
  readonly stream_version: number
  readonly removed: number
  readonly sync: number
  readonly sync_state: SourceRow["syncState"]
  readonly counts: string | null
  readonly failure: string | null
  readonly held_sync: number | null
  readonly held_count: number | null
  readonly held_documents: Digest | null
}

export const toSourceRow = (row: SourceColumns): SourceRow => ({
  sourceId: row.source_id,
  scope: { team: row.team, project: row.project },
  kind: row.kind,
  settings: row.settings,
  streamVersion: row.stream_version,
  removed: row.removed === 1,
  sync: row.sync,
  syncState: row.sync_state,
  lastCounts: row.counts === null ? undefined : JSON.parse(row.counts),
  lastFailure: row.failure === null ? undefined : JSON.parse(row.failure),
  held:
    row.held_sync === null || row.held_documents === null
      ? undefined
      : { sync: row.held_sync, count: row.held_count ?? 0, documents: row.held_documents }
})
