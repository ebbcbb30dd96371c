/** Noticing that a database is written anew (`Rewriting.ts`) while its rows are read by their numbers. */
import type { Database } from "better-sqlite3"
import { RewrittenMeanwhile } from "./LogArchive.ts"

/**
 * For whoever reads a database page by page by its rows' numbers, which an erasure gives anew: to be called after each
 * page, before it is used. Throws `RewrittenMeanwhile` where rows of it may have been skipped. (VACUUM raises the version of
 * the schema, and nothing else does while a database is in use.)
 */
export const rewriteWatch = (db: Database): (() => void) => {
  const version = db.prepare<[], number>("PRAGMA schema_version").pluck()
  const begun = version.get()
  return () => {
    if (version.get() !== begun) throw new RewrittenMeanwhile({ file: db.name })
  }
}
