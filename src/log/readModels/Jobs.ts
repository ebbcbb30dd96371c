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
  JobId,
  type ProjectName,
  type TeamName
} from "../../../events/Ids.ts"
import { buildJobId, embedJobId, type JobState, type Lane, prepareJobId } from "../../../events/Job.ts"
import type { JobAttempt, JobRow } from "../ReadModels.ts"
import type { Folded, Projector } from "./Projector.ts"
import { rowOfJob } from "./Rows.ts"
import type { CountedJob, Tallies } from "./Tallies.ts"

export const jobs: Projector = {
  tables: { jobs: "job_id", job_tally: "team, project, lane, state" },
  prepare: (db, tallies) => {
    const statements = prepareStatements(db)
    return (folded, document) => fold(statements, tallies, folded, document)
  }
}

type StoredState = "queued" | "completed" | "cancelled" | "parked"

/** What a fold has to know of a row before it writes it. */
interface Known extends CountedJob {
  readonly row: number
  readonly job: string
  readonly version: number
  readonly build: number
  readonly state: StoredState
}

const known = "queued_position AS row, job_id AS job, lane, build, team, project, version, state"

const prepareStatements = (db: Database) => ({
  /** Nearly always one or none. */
  unfinished: db.prepare<[number], Known>(
    `SELECT ${known} FROM jobs WHERE document = ? AND state IN ('queued', 'parked')`
  ),
  /** Whatever its state, which the index has before the version: an id stands once, because all that can have it are here. */
  ofVersion: db.prepare<[number, number, string], Known>(`
    SELECT ${known} FROM jobs
    WHERE document = ? AND state IN ('queued', 'completed', 'cancelled', 'parked') AND version = ? AND job_id = ?`),
  byId: db.prepare<[string], Known>(`SELECT ${known} FROM jobs WHERE queued_position = ${rowOfJob("?")}`),
  insert: db.prepare(`
    INSERT INTO jobs (job_id, lane, build, team, project, document_id, version, state, reason, queued_position, queued_at,
      document)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`),
  change: db.prepare("UPDATE jobs SET state = ?, reason = ? WHERE queued_position = ?"),
  cancel: db.prepare("UPDATE jobs SET state = 'cancelled' WHERE queued_position = ?"),
  live: db.prepare<[number, number]>("SELECT 1 FROM documents WHERE first_position = ? AND live_version = ?")
})

const fold = (
  statements: ReturnType<typeof prepareStatements>,
  tallies: Tallies,
  { epoch, event, position, project, recordedAt, team }: Folded,
  row: number | undefined
): void => {
  const move = (before: Known, state: StoredState) => {
    tallies.job(before, -1)
    tallies.job({ ...before, state }, 1)
  }
  const change = (before: Known, state: Exclude<StoredState, "cancelled">, reason: string | null) => {
    statements.change.run(state, reason, before.row)
    move(before, state)
  }
  /** Why it was parked stays known. */
  const cancel = (before: Known) => {
    statements.cancel.run(before.row)
    move(before, "cancelled")
  }
  const unfinished = () => (row === undefined ? [] : statements.unfinished.all(row))
  /** The job of the event's version that has this id; one of a document that begins is not there yet. */
  const known = (job: JobId) =>
    row === undefined || row === position || !("version" in event)
      ? undefined
      : statements.ofVersion.get(row, event.version, job)
  const insert = (job: JobId, lane: Lane, build: number, state: StoredState, reason: string | null): void => {
    if (row === undefined || !("documentId" in event) || !("version" in event)) return
    const { documentId, version } = event
    statements.insert.run(
      job,
      lane,
      build,
      team,
      project,
      documentId,
      version,
      state,
      reason,
      position,
      recordedAt,
      row
    )
    tallies.job({ team, project, lane, state }, 1)
  }
  const queue = (job: JobId, lane: Lane) => {
    const before = known(job)
    if (before === undefined) insert(job, lane, 0, "queued", null)
    else if (before.state !== "completed") change(before, "queued", null)
  }

  switch (event._tag) {
    case "DocumentSubmitted": {
      const document = trusted.document(event.documentId)
      if (row !== position) for (const job of unfinished()) if (job.build === 0) cancel(job)
      queue(prepareJobId(epoch, document, event.version, trusted.digest(event.raw)), "prepare")
      return
    }
    case "DocumentChunked": {
      const document = trusted.document(event.documentId)
      const embed = embedJobId(epoch, document, event.version, trusted.digest(event.manifestBlob))
      for (const job of unfinished()) {
        if (job.version !== event.version || job.build === 1) continue
        if (job.lane === "prepare") change(job, "completed", null)
        else if (job.lane === "embed" && job.job !== embed) cancel(job)
      }
      queue(embed, "embed")
      return
    }
    case "DocumentCommitted":
      for (const job of unfinished()) {
        if (job.build === 1 && job.version !== event.version) cancel(job)
        else if (job.build === 0 && job.version === event.version) change(job, "completed", null)
      }
      return
    case "DocumentBuilt": {
      const builds = unfinished().filter(({ build }) => build === 1)
      if (builds.length === 0) return
      const document = trusted.document(event.documentId)
      const pair = { chunker: trusted.code(event.chunker), model: trusted.code(event.model) }
      const built = new Set<string>()
      for (let opened = 1; opened <= epoch; opened++) {
        built.add(buildJobId(opened, "prepare", document, event.version, pair))
        built.add(buildJobId(opened, "embed", document, event.version, pair))
      }
      for (const job of builds) if (built.has(job.job)) change(job, "completed", null)
      return
    }
    case "DocumentRejected":
      for (const job of unfinished()) {
        if (job.version === event.version && job.build === 0 && job.state === "queued") cancel(job)
      }
      return
    case "DocumentRemoved":
      for (const job of unfinished()) cancel(job)
      return
    case "JobParked": {
      // Of what was never submitted there is nothing to be done.
      if (row === undefined) return
      const reason = JSON.stringify(event.reason)
      const job = trusted.job(event.jobId)
      const before = known(job)
      if (before !== undefined) return change(before, "parked", reason)
      const build = statements.live.get(row, event.version) === undefined ? 0 : 1
      insert(job, event.lane, build, "parked", reason)
      return
    }
    case "JobRetried": {
      const before = statements.byId.get(event.jobId)
      if (before?.state === "parked") change(before, "queued", null)
      return
    }
    case "JobCancelled": {
      const before = statements.byId.get(event.jobId)
      if (before?.state === "queued" || before?.state === "parked") cancel(before)
      return
    }
  }
}

/** Ids of an event that passed its schema when it was written: not checked again for every row. */
const trusted = {
  document: (id: string) => DocumentId.make(id, { disableValidation: true }),
  job: (id: string) => JobId.make(id, { disableValidation: true }),
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
  readonly state: StoredState
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
