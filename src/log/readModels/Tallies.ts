/**
 * Counts that follow the read models, so that a status never scans them: what a group of appends changed is added up here
 * and written once, before its commit. (Triggers did the same row by row; they took half of the writer's time.)
 */
import type { Database } from "better-sqlite3"
import { scopeKey } from "../../../events/Ids.ts"

interface Scoped {
  readonly team: string
  readonly project: string
}

/** What of a document is counted. */
export interface Counted {
  /** 1 or 0. */
  readonly open: number
  /** The live version, if any, and its chunks. */
  readonly live: number | null
  readonly chunks: number | null
}

/** What of a job is counted. */
export interface CountedJob extends Scoped {
  readonly lane: string
  readonly state: string
}

interface DocumentChange extends Scoped {
  readonly documents: number
  readonly chunks: number
  readonly open: number
}

interface JobChange extends CountedJob {
  readonly jobs: number
}

type Sum<Change> = { -readonly [Field in keyof Change]: Change[Field] }

export class Tallies {
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #changes: Array<DocumentChange | JobChange> = []

  constructor(db: Database) {
    this.#statements = prepareStatements(db)
  }

  document({ project, team }: Scoped, before: Counted, after: Counted): void {
    this.#changes.push({
      team,
      project,
      documents: Number(after.live !== null) - Number(before.live !== null),
      chunks: (after.chunks ?? 0) - (before.chunks ?? 0),
      open: after.open - before.open
    })
  }

  /** One job more in this state, or one fewer. */
  job({ lane, project, state, team }: CountedJob, jobs: 1 | -1): void {
    this.#changes.push({ team, project, lane, state, jobs })
  }

  /** A place to go back to with {@link rollBack}, as long as nothing was flushed since. */
  get mark(): number {
    return this.#changes.length
  }

  rollBack(mark: number): void {
    this.#changes.length = mark
  }

  /** Writes what was counted since the last time, within the caller's transaction. */
  flush(): void {
    const documents = new Map<string, Sum<DocumentChange>>()
    const jobs = new Map<string, Sum<JobChange>>()
    // Most change what the one before did: for those no key is made.
    let document: Sum<DocumentChange> | undefined
    let job: Sum<JobChange> | undefined
    for (const change of this.#changes) {
      if ("jobs" in change) {
        if (
          job === undefined ||
          !isOfSame(job, change) ||
          job.lane !== change.lane ||
          job.state !== change.state
        ) {
          const key = `${scopeKey(change)}/${change.lane}/${change.state}`
          job = jobs.get(key) ?? { ...change, jobs: 0 }
          jobs.set(key, job)
        }
        job.jobs += change.jobs
        continue
      }
      if (document === undefined || !isOfSame(document, change)) {
        const key = scopeKey(change)
        document = documents.get(key) ?? { ...change, documents: 0, chunks: 0, open: 0 }
        documents.set(key, document)
      }
      document.documents += change.documents
      document.chunks += change.chunks
      document.open += change.open
    }
    this.#changes.length = 0
    for (const sum of documents.values()) this.#statements.documents.run(sum)
    for (const sum of jobs.values()) this.#statements.jobs.run(sum)
  }
}

const isOfSame = (one: Scoped, other: Scoped): boolean =>
  one.project === other.project && one.team === other.team

const prepareStatements = (db: Database) => ({
  documents: db.prepare(`
    INSERT INTO document_tally (team, project, documents, chunks, open)
    VALUES (@team, @project, @documents, @chunks, @open)
    ON CONFLICT DO UPDATE SET documents = documents + excluded.documents, chunks = chunks + excluded.chunks,
      open = open + excluded.open`),
  jobs: db.prepare(`
    INSERT INTO job_tally (team, project, lane, state, jobs) VALUES (@team, @project, @lane, @state, @jobs)
    ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs`)
})
