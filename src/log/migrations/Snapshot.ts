/**
 * A copy of a database as it was before a migration changes it, made by SQLite itself.
 */
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import SqliteDatabase from "better-sqlite3"
import { fileNames } from "../LogDatabase.ts"

/** Within the data directory. */
export const snapshotFolder = "before-migration"

/** `before-migration/<database>.<schema>.sqlite`. A copy that is there already is kept: it is the older one. */
export const snapshotBeforeMigration = (
  directory: string,
  database: "log" | "content",
  from: number
): void => {
  const folder = join(directory, snapshotFolder)
  const target = join(folder, `${database}.${from}.sqlite`)
  if (existsSync(target)) return
  mkdirSync(folder, { recursive: true })
  rmSync(`${target}.part`, { force: true })
  const db = new SqliteDatabase(join(directory, fileNames[database]), { readonly: true, fileMustExist: true })
  try {
    db.prepare("VACUUM INTO ?").run(`${target}.part`)
  } finally {
    db.close()
  }
  renameSync(`${target}.part`, target)
}
