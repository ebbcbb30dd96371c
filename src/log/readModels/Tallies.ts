/**
 * Counts that follow the read models, so that a status never scans them: what a group of appends changed is added up here
 * and written once, before its commit. (Triggers did the same row by row; they took half of the writer's time.)
 */
import type { Database } from "better-sqlite3"

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

type Change =
  | (Scoped & { readonly documents: number; readonly chunks: number; readonly open: number })
  | (CountedJob & { readonly jobs: number })

export class Tallies {
  readonly #statements: ReturnType<typeof prepareStatements>
  readonly #changes: Array<Change> = []

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
    const documents = new Map<string, Scoped & { documents: number; chunks: number; open: number }>()
    const jobs = new Map<string, CountedJob & { jobs: number }>()
    for (const change of this.#changes) {
      if ("jobs" in change) {
        const key = `${change.team}/${change.project}/${change.lane}/${change.state}`
        const sum = jobs.get(key)
        if (sum === undefined) jobs.set(key, { ...change })
        else sum.jobs += change.jobs
        continue
      }
      const key = `${change.team}/${change.project}`
      const sum = documents.get(key)
      if (sum === undefined) documents.set(key, { ...change })
      else {
        sum.documents += change.documents
        sum.chunks += change.chunks
        sum.open += change.open
      }
    }
    this.#changes.length = 0
    for (const sum of documents.values()) this.#statements.documents.run(sum)
    for (const sum of jobs.values()) this.#statements.jobs.run(sum)
  }
}

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
