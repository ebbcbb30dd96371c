/**
 * One writer: an exclusive transaction on a small database of its own. The kernel releases it with the process, however
 * that ends; no pid is ever judged. Who holds it stands in a file beside it, because a locked database cannot be read.
 */
import { existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import SqliteDatabase from "better-sqlite3"
import { Either, Schema } from "effect"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { replaceFile } from "./HeadFile.ts"
import { LogLocked } from "./Log.ts"
import { fileNames } from "./LogDatabase.ts"

export const Holder = Schema.Struct({
  hostname: Schema.String,
  pid: Schema.Int,
  /** When it took the lock, as an ISO date. */
  started: Schema.String,
  command: Schema.String
})
export type Holder = typeof Holder.Type

const decodeHolder = Schema.decodeUnknownEither(Schema.parseJson(Holder))

/** Takes the lock or throws `LogLocked` at once. Answers how to release it. */
export const acquireLock = (
  directory: string,
  holder: Holder,
  failpoints: FailpointsService
): (() => void) => {
  failpoints.hit("lock.acquire.before")
  const holderPath = join(directory, fileNames.holder)
  const db = new SqliteDatabase(join(directory, fileNames.lock), { timeout: 0 })
  try {
    db.exec("BEGIN EXCLUSIVE")
    replaceFile(holderPath, JSON.stringify(holder), { sync: false })
    failpoints.hit("lock.acquire.after")
  } catch (cause) {
    // Left open, it would hold the lock for as long as this process lives, and nobody could let go of it.
    db.close()
    if (isBusy(cause)) throw new LogLocked({ directory, holder: describeHolder(holderPath) })
    throw cause
  }
  return () => {
    try {
      rmSync(holderPath, { force: true })
    } finally {
      db.close()
    }
  }
}

/** Who writes to the directory now, if anybody. A held lock database cannot be read, a free one can. */
export const lockedBy = (directory: string): string | undefined => {
  const path = join(directory, fileNames.lock)
  if (!existsSync(path)) return undefined
  const db = new SqliteDatabase(path, { readonly: true, timeout: 0 })
  try {
    db.prepare("SELECT count(*) FROM sqlite_master").get()
    return undefined
  } catch (cause) {
    if (isBusy(cause)) return describeHolder(join(directory, fileNames.holder))
    throw cause
  } finally {
    db.close()
  }
}

/** For people; the lock decides, never this file. */
export const describeHolder = (holderPath: string): string => {
  let text: string
  try {
    text = readFileSync(holderPath, "utf8")
  } catch {
    return "another process"
  }
  return Either.match(decodeHolder(text), {
    onLeft: () => "another process",
    onRight: ({ command, hostname, pid, started }) =>
      `${command} (pid ${pid} on ${hostname}, since ${started})`
  })
}

const isBusy = (cause: unknown): boolean =>
  cause instanceof SqliteDatabase.SqliteError && cause.code.startsWith("SQLITE_BUSY")
