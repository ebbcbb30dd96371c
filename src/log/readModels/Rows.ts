/**
 * Where documents and jobs have their rows. Their ids are random, and an index of them would have a page to change for
 * every event: a document is found through its stream, a job among those of its document, or by when it came.
 *
 * All of these are SQL expressions that answer a row, or NULL.
 */
import type { Database, Statement } from "better-sqlite3"

/** The position of the stream's first submission is the document's row. `stream`: an expression, as {@link streamOf}. */
export const rowOfStream = (stream: string): string => `(
  SELECT position FROM events WHERE stream = ${stream} AND type = 'DocumentSubmitted' ORDER BY version LIMIT 1)`

/** `document`: an expression for its id. */
export const rowOfDocument = (document: string): string => rowOfStream(`'document-' || ${document}`)

/**
 * Of an id of which nothing else is known: among the jobs of a block of positions at a time, from the newest on. `job`: an
 * expression for it.
 */
export const rowOfJob = (job: string): string => `(
  WITH RECURSIVE blocks (block) AS (
    SELECT max(queued_position) >> 10 FROM jobs UNION ALL SELECT block - 1 FROM blocks WHERE block > 0)
  SELECT queued_position FROM blocks CROSS JOIN jobs INDEXED BY jobs_id
  ON queued_position >> 10 = block AND job_id = ${job} LIMIT 1)`

/** Finds a document's row in the events of `log`. */
export const prepareRowOfDocument = (log: Database): Statement<[string], number | null> =>
  log.prepare<[string], number | null>(`SELECT ${rowOfDocument("?")}`).pluck()
