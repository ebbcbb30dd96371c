/**
 * After an erasure: what is remembered of documents beside the log goes, and the files are written anew, so that no byte of
 * what was deleted is left in a free page, in the gaps of a page, in a write-ahead log, or in a copy from before a
 * migration, or of a restore or an import that was cut off.
 *
 * Writing a file anew takes as long as copying it, and the log takes no appends meanwhile.
 */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Database } from "better-sqlite3"
import { CodeFingerprint, DocumentId } from "../../events/Ids.ts"
import { buildJobId, Lane } from "../../events/Job.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { sync } from "./Folders.ts"
import { snapshotFolder } from "./migrations/Snapshot.ts"
import { rewritten } from "./Rewriting.ts"
import { unfinishedFolders } from "./SideFiles.ts"

export interface Purged {
  /** Rows of what a sync last saw, and of attempts at jobs. */
  readonly remembered: number
  /** Copies of whole databases. */
  readonly copies: number
}

/** A reader is waited for this long before it is said to be in the way. */
const waitMs = 5_000

export const purge = (
  log: Database,
  content: Database,
  documents: ReadonlyArray<string>,
  failpoints: FailpointsService
): Purged => {
  failpoints.hit("erase.content.before")
  const remembered = forget(log, documents)
  failpoints.hit("erase.content.after")
  for (const db of [content, log]) rewrite(db)
  failpoints.hit("erase.rewrite.after")
  return { remembered, copies: deleteCopies(dirname(log.name)) }
}

const forget = (log: Database, documents: ReadonlyArray<string>): number =>
  log
    .transaction(() => {
      const named = JSON.stringify(documents)
      // One pass over the jobs: those that are over are in no index of documents.
      const statements = [
        "DELETE FROM file_states WHERE document_id IN (SELECT value FROM json_each(?))",
        `DELETE FROM job_attempts WHERE job_id IN (
           SELECT job_id FROM jobs WHERE document_id IN (SELECT value FROM json_each(?)))`
      ]
      return statements.reduce(
        (rows, statement) => rows + log.prepare(statement).run(named).changes,
        forgetBuilds(log, named)
      )
    })
    .immediate()

interface Build {
  readonly document: string
  readonly version: number
  readonly chunker: string
  readonly model: string
}

/** A build has a row of its own only once it was parked: the ids of its jobs are made of what it was for. */
const forgetBuilds = (log: Database, named: string): number => {
  const builds = log.prepare<[string], Build>(`
    SELECT DISTINCT v.document_id AS document, v.version, spec ->> 'chunker' AS chunker, spec ->> 'model' AS model
    FROM versions v CROSS JOIN generations WHERE v.document_id IN (SELECT value FROM json_each(?))`)
  const epoch = Number(log.prepare("SELECT value FROM meta WHERE key = 'epoch'").pluck().get())
  const attempts = log.prepare<[string]>("DELETE FROM job_attempts WHERE job_id = ?")
  let rows = 0
  for (const { document, version, ...pair } of builds.all(named))
    for (let opened = 1; opened <= epoch; opened++)
      for (const lane of Lane.literals)
        rows += attempts.run(buildJobId(opened, lane, unchecked(document), version, pairOf(pair))).changes
  return rows
}

const unchecked = (document: string) => DocumentId.make(document, { disableValidation: true })
const pairOf = ({ chunker, model }: Pick<Build, "chunker" | "model">) => ({
  chunker: CodeFingerprint.make(chunker, { disableValidation: true }),
  model: CodeFingerprint.make(model, { disableValidation: true })
})

const rewrite = (db: Database): void => {
  db.pragma(`busy_timeout = ${waitMs}`)
  try {
    if (!rewritten(db))
      throw new Error(`a reader of ${db.name} holds back what was deleted. Run it again when that is over`)
  } finally {
    db.pragma("busy_timeout = 0")
  }
}

/** Nobody restores or imports while there is a writer: what stands in their folders was cut off. */
const deleteCopies = (directory: string): number => {
  let copies = 0
  for (const name of [snapshotFolder, ...Object.values(unfinishedFolders)]) {
    const folder = join(directory, name)
    if (!existsSync(folder)) continue
    copies += readdirSync(folder).length
    rmSync(folder, { recursive: true })
  }
  sync(directory)
  return copies
}
