/**
 * After an erasure: what is remembered of documents beside the log goes, and the files are written anew, so that no byte of
 * what was deleted is left in a free page, in the gaps of a page, in a write-ahead log, or in a copy from before a
 * migration.
 *
 * Writing a file anew takes as long as copying it, and the log takes no appends meanwhile.
 */
import { existsSync, readdirSync, rmSync } from "node:fs"
import { dirname, join } from "node:path"
import type { Database } from "better-sqlite3"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { sync } from "./Folders.ts"
import { snapshotFolder } from "./migrations/Snapshot.ts"
import { rewritten } from "./Rewriting.ts"

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
      return statements.reduce((rows, statement) => rows + log.prepare(statement).run(named).changes, 0)
    })
    .immediate()

const rewrite = (db: Database): void => {
  db.pragma(`busy_timeout = ${waitMs}`)
  try {
    if (!rewritten(db))
      throw new Error(`a reader of ${db.name} holds back what was deleted. Run it again when that is over`)
  } finally {
    db.pragma("busy_timeout = 0")
  }
}

const deleteCopies = (directory: string): number => {
  const folder = join(directory, snapshotFolder)
  const copies = existsSync(folder) ? readdirSync(folder).length : 0
  rmSync(folder, { recursive: true, force: true })
  sync(directory)
  return copies
}
