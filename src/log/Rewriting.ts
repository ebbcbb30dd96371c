/** Writing a database anew, so that no byte of what was deleted is left in it. */
import type { Database } from "better-sqlite3"
import { sync } from "./Folders.ts"

/**
 * VACUUM, because SQLite leaves old cells in the gaps of pages even where deleted ones are overwritten; then the write-ahead
 * log is emptied. False where a reader holds that back.
 *
 * SQLite does not sync what it cut off: after a power cut the old log would be there again, with every byte that was in
 * it. (No lock hangs on that file, so that it may be opened and closed by others.)
 */
export const rewritten = (db: Database): boolean => {
  db.exec("VACUUM")
  if (db.prepare<[], { busy: number }>("PRAGMA wal_checkpoint(TRUNCATE)").get()?.busy !== 0) return false
  sync(`${db.name}-wal`)
  return true
}
