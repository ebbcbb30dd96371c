/** How a write fails: which failures end a whole group, and what is said of one. */
import SqliteDatabase from "better-sqlite3"
import { FailpointFired } from "../faults/Failpoints.ts"
import type { WriteOutcome } from "./WriteGroup.ts"

export const failure = (operation: string, cause: unknown): WriteOutcome => ({
  _tag: "Failed",
  operation,
  reason: cause instanceof Error ? cause.message : String(cause)
})

/** What comes from the disk or a failpoint ends the whole group; what comes from one request's own content does not. */
export const endsTheGroup = (cause: unknown): boolean =>
  cause instanceof FailpointFired ||
  (cause instanceof SqliteDatabase.SqliteError && !cause.code.startsWith("SQLITE_CONSTRAINT"))
