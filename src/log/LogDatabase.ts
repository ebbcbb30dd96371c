/**
 * Opening the database files of a data directory. A writing connection is only handed out once it is known to be durable.
 */
import { accessSync, constants, copyFileSync, existsSync, mkdtempSync, rmSync, statSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import SqliteDatabase, { type Database } from "better-sqlite3"

/** Ids are spread over the indexes of the read models: with SQLite's 2 MiB their pages are read again and again. */
const cacheKiB = 16 * 1024

/**
 * Opens for writing: WAL and `synchronous=FULL`, both asserted. (A WAL file that is opened again falls back to NORMAL in
 * this build of SQLite, and a power cut then loses acknowledged writes.) Checkpoints are the writer's to call.
 */
export const openForWriting = (path: string, pageSize = 4096): Database => {
  const db = new SqliteDatabase(path, { timeout: 0 })
  try {
    db.pragma(`page_size = ${pageSize}`)
    const journal = db.pragma("journal_mode = WAL", { simple: true })
    db.pragma("synchronous = FULL")
    db.pragma("wal_autocheckpoint = 0")
    db.pragma(`cache_size = -${cacheKiB}`)
    db.pragma("trusted_schema = OFF")
    const synchronous = synchronousOf(db)
    if (journal !== "wal" || synchronous !== 2) {
      throw new Error(
        `${path} is open with journal_mode ${String(journal)} and synchronous ${synchronous}, not wal and 2 (FULL): acknowledged writes would not be durable.`
      )
    }
    return db
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** Opens for reading beside a writer. `waitMs` bounds how long a read may block its thread for a lock. */
export const openForReading = (path: string, waitMs: number): Database => {
  const db = new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: waitMs })
  db.pragma("trusted_schema = OFF")
  return db
}

export const synchronousOf = (db: Database): number => Number(db.pragma("synchronous", { simple: true }))

/**
 * How many pages stand in the WAL, and how many of them are in the database as well. `PASSIVE` moves what no reader holds
 * back; `NOOP` only looks. A WAL that is wholly moved is written again from its beginning.
 */
export const walPages = (
  db: Database,
  mode: "NOOP" | "PASSIVE"
): { readonly written: number; readonly moved: number } => {
  const prepared = checkpoints.get(db) ?? {
    NOOP: prepareCheckpoint(db, "NOOP"),
    PASSIVE: prepareCheckpoint(db, "PASSIVE")
  }
  checkpoints.set(db, prepared)
  const row = prepared[mode].get()
  return { written: row?.log ?? 0, moved: row?.checkpointed ?? 0 }
}

const prepareCheckpoint = (db: Database, mode: string) =>
  db.prepare<[], { log: number; checkpointed: number }>(`PRAGMA wal_checkpoint(${mode})`)

/** Asked after every group. */
const checkpoints = new WeakMap<
  Database,
  { readonly [mode in "NOOP" | "PASSIVE"]: ReturnType<typeof prepareCheckpoint> }
>()

/** Which file a name stands for. Asked of the file system: a live database is never opened by anything but SQLite. */
export const fileIdentity = (path: string): string => {
  const found = statSync(path, { throwIfNoEntry: false })
  return found === undefined ? "absent" : `${found.dev}:${found.ino}`
}

/** Which files these names stand for now. */
export const identitiesOf = (paths: ReadonlyArray<string>): ReadonlyMap<string, string> =>
  new Map(paths.map((path) => [path, fileIdentity(path)]))

/** Throws where one of them is another file by now. */
export const assertSameFiles = (identities: ReadonlyMap<string, string>): void => {
  for (const [path, identity] of identities) {
    if (fileIdentity(path) !== identity) {
      throw new Error(`${path} was replaced or deleted while it was open. Stop this process and restore it.`)
    }
  }
}

/** Whether there is no database at all: an emptied file is none, SQLite would begin a new one in it. */
export const isEmpty = (path: string): boolean => (statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0

/** The files of a data directory that belong to the log. */
export const fileNames = {
  log: "log.sqlite",
  content: "content.sqlite",
  lock: "lock.sqlite",
  holder: "holder",
  head: "head",
  format: "format"
} as const

/**
 * Where to read a database from, and how to let go of it.
 *
 * A database in WAL mode is read through shared memory beside it, which must be writable. In a directory that is not, and
 * without a `-wal`, nobody writes: a private copy says the same.
 */
export const readable = (path: string): { readonly path: string; readonly release: () => void } => {
  if (existsSync(`${path}-wal`) || existsSync(`${path}-shm`) || writable(dirname(path))) {
    return { path, release: () => {} }
  }
  const folder = mkdtempSync(join(tmpdir(), "reprise-read-"))
  const release = () => rmSync(folder, { recursive: true, force: true })
  try {
    const copy = join(folder, "copy.sqlite")
    copyFileSync(path, copy)
    return { path: copy, release }
  } catch (cause) {
    release()
    throw cause
  }
}

const writable = (directory: string): boolean => {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}
