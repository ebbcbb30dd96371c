/**
 * Jobs as they follow from the documents' events: a submission opens a prepare job, its chunking completes that and opens
 * an embed job, the commit completes this one; whatever supersedes or removes the version cancels its jobs.
 *
 * A build job (another chunker or model for the live version) has a row only once it was parked: until then it follows
 * from the contents that are missing.
 */
import type { Database } from "better-sqlite3"
import {
  CodeFingerprint,
  Digest,
  DocumentId,
  type JobId,
  type ProjectName,
  type TeamName
} from "../../../events/Ids.ts"
import { buildJobId, embedJobId, type JobState, type Lane, prepareJobId } from "../../../events/Job.ts"
import type { JobAttempt, JobRow } from "../ReadModels.ts"
import type { Folded, Projector } from "./Projector.ts"

export const jobs: Projector = {
  tables: ["jobs", "job_tally"],
  prepare: (db) => {
    const statements = prepareStatements(db)
    return (folded) => fold(statements, folded)
  }
}

const prepareStatements = (db: Database) => ({
  queued: db.prepare(`
    INSERT INTO jobs VALUES (?, ?, 0, ?, ?, ?, ?, 'queued', NULL, ?, ?)
    ON CONFLICT (job_id) DO UPDATE SET state = 'queued', reason = NULL WHERE state <> 'completed'`),
  completedInLane: db.prepare(`
    UPDATE jobs SET state = 'completed', reason = NULL
    WHERE document_id = ? AND version = ? AND lane = ? AND build = 0 AND state IN ('queued', 'parked')`),
  completedBuild: db.prepare(`
    UPDATE jobs SET state = 'completed', reason = NULL
    WHERE job_id = ? AND build = 1 AND state IN ('queued', 'parked')`),
  otherEmbedsCancelled: db.prepare(`
    UPDATE jobs SET state = 'cancelled'
    WHERE document_id = ? AND version = ? AND lane = 'embed' AND build = 0 AND state IN ('queued', 'parked')
      AND job_id <> ?`),
  mutationsCancelled: db.prepare(`
    UPDATE jobs SET state = 'cancelled' WHERE document_id = ? AND build = 0 AND state IN ('queued', 'parked')`),
  versionCancelled: db.prepare(`
    UPDATE jobs SET state = 'cancelled'
    WHERE document_id = ? AND version = ? AND build = 0 AND state = 'queued'`),
  allCancelled: db.prepare(`
    UPDATE jobs SET state = 'cancelled' WHERE document_id = ? AND state IN ('queued', 'parked')`),
  buildsOfEarlierCancelled: db.prepare(`
    UPDATE jobs SET state = 'cancelled'
    WHERE document_id = ? AND version <> ? AND build = 1 AND state IN ('queued', 'parked')`),
  live: db.prepare<[string, number]>("SELECT 1 FROM documents WHERE document_id = ? AND live_version = ?"),
  parked: db.prepare(`
    INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, 'parked', ?, ?, ?)
    ON CONFLICT (job_id) DO UPDATE SET state = 'parked', reason = excluded.reason`),
  retried: db.prepare(
    "UPDATE jobs SET state = 'queued', reason = NULL WHERE job_id = ? AND state = 'parked'"
  ),
  cancelled: db.prepare(
    "UPDATE jobs SET state = 'cancelled' WHERE job_id = ? AND state IN ('queued', 'parked')"
  )
})

const fold = (
  statements: ReturnType<typeof prepareStatements>,
  { event, position, team, project, epoch, recordedAt }: Folded
): void => {
  switch (event._tag) {
    case "DocumentSubmitted": {
      const document = trusted.document(event.documentId)
      const job = prepareJobId(epoch, document, event.version, trusted.digest(event.raw))
      statements.mutationsCancelled.run(document)
      statements.queued.run(job, "prepare", team, project, document, event.version, position, recordedAt)
      return
    }
    case "DocumentChunked": {
      const document = trusted.document(event.documentId)
      const job = embedJobId(epoch, document, event.version, trusted.digest(event.manifestBlob))
      statements.completedInLane.run(document, event.version, "prepare")
      statements.otherEmbedsCancelled.run(document, event.version, job)
      statements.queued.run(job, "embed", team, project, document, event.version, position, recordedAt)
      return
    }
    case "DocumentCommitted":
      statements.completedInLane.run(event.documentId, event.version, "prepare")
      statements.completedInLane.run(event.documentId, event.version, "embed")
      statements.buildsOfEarlierCancelled.run(event.documentId, event.version)
      return
    case "DocumentBuilt": {
      const document = trusted.document(event.documentId)
      const pair = { chunker: trusted.code(event.chunker), model: trusted.code(event.model) }
      for (let opened = 1; opened <= epoch; opened++) {
        statements.completedBuild.run(buildJobId(opened, "prepare", document, event.version, pair))
        statements.completedBuild.run(buildJobId(opened, "embed", document, event.version, pair))
      }
      return
    }
    case "DocumentRejected":
      statements.versionCancelled.run(event.documentId, event.version)
      return
    case "DocumentRemoved":
      statements.allCancelled.run(event.documentId)
      return
    case "JobParked": {
      const build = statements.live.get(event.documentId, event.version) === undefined ? 0 : 1
      statements.parked.run(
        event.jobId,
        event.lane,
        build,
        team,
        project,
        event.documentId,
        event.version,
        JSON.stringify(event.reason),
        position,
        recordedAt
      )
      return
    }
    case "JobRetried":
      statements.retried.run(event.jobId)
      return
    case "JobCancelled":
      statements.cancelled.run(event.jobId)
      return
  }
}

/** Ids of an event that passed its schema when it was written: not checked again for every row. */
const trusted = {
  document: (id: string) => DocumentId.make(id, { disableValidation: true }),
  digest: (digest: string) => Digest.make(digest, { disableValidation: true }),
  code: (code: string) => CodeFingerprint.make(code, { disableValidation: true })
}

/** A row of `jobs` with its attempts. */
export interface JobColumns {
  readonly job_id: JobId
  readonly lane: Lane
  readonly team: TeamName
  readonly project: ProjectName
  readonly document_id: DocumentId
  readonly version: number
  readonly state: "queued" | "completed" | "cancelled" | "parked"
  readonly reason: string | null
  readonly queued_position: number
  readonly queued_at: number
  /** JSON array, by attempt. */
  readonly attempts: string
}

/** What to select for {@link JobColumns}; `j` is the row of `jobs`. */
export const jobColumns = `
  j.*, (
    SELECT json_group_array(json_object('attempt', a.attempt, 'worker', a.worker, 'startedAt', a.started_at,
      'endedAt', a.ended_at, 'outcome', a.outcome, 'error', a.error, 'solo', a.solo) ORDER BY a.attempt)
    FROM job_attempts a WHERE a.job_id = j.job_id
  ) AS attempts`

/** How a queued job's last attempt stands; `j` is the row of `jobs`. */
export const lastOutcome = `
  (SELECT a.outcome FROM job_attempts a WHERE a.job_id = j.job_id ORDER BY a.attempt DESC LIMIT 1)`

export interface AttemptColumns extends Omit<JobAttempt, "endedAt" | "error" | "solo"> {
  readonly endedAt: number | null
  readonly error: string | null
  readonly solo: number
}

export const toJobAttempt = (row: AttemptColumns): JobAttempt => ({
  ...row,
  endedAt: row.endedAt ?? undefined,
  error: row.error ?? undefined,
  solo: row.solo === 1
})

export const toJobRow = (row: JobColumns): JobRow => {
  const columns: ReadonlyArray<AttemptColumns> = JSON.parse(row.attempts)
  const attempts = columns.map(toJobAttempt)
  return {
    jobId: row.job_id,
    lane: row.lane,
    scope: { team: row.team, project: row.project },
    documentId: row.document_id,
    version: row.version,
    state: stateOf(row.state, attempts.at(-1)),
    reason: row.reason === null ? undefined : JSON.parse(row.reason),
    queuedPosition: row.queued_position,
    queuedAt: row.queued_at,
    attempts
  }
}

const stateOf = (state: JobColumns["state"], last: JobAttempt | undefined): JobState => {
  if (state !== "queued" || last === undefined) return state
  if (last.outcome === "running") return "processing"
  return last.outcome === "failed" ? "failed" : "queued"
}
