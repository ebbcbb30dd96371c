/**
 * Copies of a data directory's log and content: made beside a running writer by SQLite's own backup, checked before they
 * count, and put back only where nothing stands.
 */
import { copyFileSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import type { FailpointsService } from "../faults/Failpoints.ts"
import {
  checkFormat,
  createDirectory,
  DirectoryInvalid,
  directoryFormat,
  makeDirectory
} from "./DirectoryFormat.ts"
import { sync } from "./Folders.ts"
import { readHeadFile, writeHeadFile, writeHeadOfCopy } from "./HeadFile.ts"
import { SourceDamaged, TargetNotEmpty } from "./LogArchive.ts"
import { fileNames, openForReading } from "./LogDatabase.ts"
import { type VerificationReport, verifyDirectory } from "./LogVerification.ts"
import { deleteSideFiles, unfinishedFolders } from "./SideFiles.ts"
import { openSnapshot } from "./SqliteSnapshot.ts"
import { acquireLock, type Holder } from "./WriterLock.ts"

const waitMs = 5000
/** Pages copied between two turns of the event loop. */
const pagesPerTurn = 500

export interface BackupReport {
  readonly position: number
  readonly hash: string
  readonly events: number
  readonly blobs: number
  readonly vectors: number
}

/**
 * Copies log and content of `directory` to a new directory `target`. Rejects with `TargetNotEmpty` where something stands
 * there, with `SourceDamaged` where the copy does not verify; either way nothing that was there before is touched.
 */
export const backup = async (
  directory: string,
  target: string,
  failpoints: FailpointsService
): Promise<BackupReport> => {
  checkFormat(directory)
  if (existsSync(target)) throw new TargetNotEmpty({ target, detail: "something of this name exists" })
  const part = `${target}.part`
  rmSync(part, { recursive: true, force: true })
  makeDirectory(part)
  try {
    failpoints.hit("backup.copy")
    // The log first: content that it names was synced before it, so the content's later copy holds all of it.
    await copyDatabase(join(directory, fileNames.log), join(part, fileNames.log))
    await copyDatabase(join(directory, fileNames.content), join(part, fileNames.content))
    writeFileSync(join(part, fileNames.format), `reprise ${directoryFormat}\n`)
    writeHeadFile(join(part, fileNames.head), headOf(part))
    failpoints.hit("backup.verify")
    const report = verified(part, directory)
    // Reading a copy in WAL mode leaves empty side files beside it.
    for (const name of readdirSync(part)) {
      if (/-(wal|shm)$/.test(name)) rmSync(join(part, name))
      else sync(join(part, name))
    }
    sync(part)
    failpoints.hit("backup.rename.before")
    renameSync(part, target)
    sync(dirname(target))
    failpoints.hit("backup.rename.after")
    return reportOf(report)
  } catch (cause) {
    rmSync(part, { recursive: true, force: true })
    throw cause
  }
}

/**
 * Puts a backup where no log stands. Throws `LogLocked` where somebody writes, `TargetNotEmpty` where a log stands,
 * `SourceDamaged` where the backup does not verify.
 */
export const restore = (
  source: string,
  directory: string,
  holder: Holder,
  failpoints: FailpointsService
): BackupReport => {
  if (checkFormat(source) === "absent") {
    throw new DirectoryInvalid({ directory: source, detail: "it holds no backup." })
  }
  checkFormat(directory)
  makeDirectory(directory)
  const release = acquireLock(directory, holder, failpoints)
  const part = partOf(directory)
  try {
    clearUnfinished(directory)
    const standing = [fileNames.log, fileNames.content].filter((name) => existsSync(join(directory, name)))
    if (standing.length > 0) {
      throw new TargetNotEmpty({ target: directory, detail: `it holds ${standing.join(" and ")} already` })
    }
    rmSync(part, { recursive: true, force: true })
    mkdirSync(part)
    for (const name of [fileNames.log, fileNames.content]) {
      copyFileSync(join(source, name), join(part, name))
      const wal = join(source, `${name}-wal`)
      if (existsSync(wal)) copyFileSync(wal, join(part, `${name}-wal`))
    }
    const witnessed = readHeadFile(join(source, fileNames.head))
    if (witnessed !== undefined) writeHeadFile(join(part, fileNames.head), witnessed)
    const report = verified(part, source)
    createDirectory(directory)
    // From here on the log that is still in the folder says that content without one is no more than what this began.
    sync(part)
    sync(directory)
    deleteSideFiles(directory)
    // The log last, when the content is there for good: without it the directory still counts as empty.
    for (const name of [fileNames.content, fileNames.log]) {
      for (const side of ["-wal", ""]) {
        const from = join(part, `${name}${side}`)
        if (!existsSync(from)) continue
        sync(from)
        renameSync(from, join(directory, `${name}${side}`))
      }
      sync(directory)
    }
    if (witnessed !== undefined) writeHeadOfCopy(join(directory, fileNames.head), witnessed)
    return reportOf(report)
  } finally {
    clearUnfinished(directory)
    rmSync(part, { recursive: true, force: true })
    release()
  }
}

const partOf = (directory: string): string => join(directory, unfinishedFolders.restore)

/**
 * Content that a restore put in place before it came to the log, which it still has then: it would stand in the way of the
 * next one. Any other content without a log is not ours to delete.
 */
const clearUnfinished = (directory: string): void => {
  if (!existsSync(join(partOf(directory), fileNames.log)) || existsSync(join(directory, fileNames.log)))
    return
  rmSync(join(directory, fileNames.content), { force: true })
  sync(directory)
  deleteSideFiles(directory)
}

/** One snapshot, however long the copy takes: the connection's own read transaction holds it. */
const copyDatabase = async (source: string, target: string): Promise<void> => {
  const db = openForReading(source, waitMs)
  try {
    db.exec("BEGIN")
    db.prepare("SELECT count(*) FROM meta").get()
    await db.backup(target, { progress: () => pagesPerTurn })
    db.exec("COMMIT")
  } finally {
    db.close()
  }
}

const headOf = (directory: string) => {
  const snapshot = openSnapshot(directory)
  try {
    return snapshot.head()
  } finally {
    snapshot.close()
  }
}

const verified = (directory: string, source: string): VerificationReport => {
  const steps = verifyDirectory(directory)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  const report = step.value
  if (report.damaged > 0) {
    throw new SourceDamaged({
      source,
      damages: report.damages.map(({ detail, kind, where }) => `${kind} ${where}: ${detail}`)
    })
  }
  return report
}

const reportOf = ({ blobs, events, hash, position, vectors }: VerificationReport): BackupReport => ({
  position,
  hash,
  events,
  blobs,
  vectors
})
