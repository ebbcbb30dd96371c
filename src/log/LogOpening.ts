/**
 * Opening a data directory for writing: format, lock, witnesses, epoch, writer, in this order.
 */
import { join } from "node:path"
import { Schema } from "effect"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { checkFormat, createDirectory, DirectoryInvalid, DirectoryNewer } from "./DirectoryFormat.ts"
import { behind, readHeadFile, type Witness } from "./HeadFile.ts"
import { LogBehindIndex, LogFailed, LogLocked } from "./Log.ts"
import { fileNames, isEmpty, openForReading } from "./LogDatabase.ts"
import { SchemaNewer } from "./migrations/Migrations.ts"
import { snapshotBeforeMigration } from "./migrations/Snapshot.ts"
import { recordLosses } from "./RollbackLosses.ts"
import { WriterCore } from "./WriterCore.ts"
import { acquireLock, type Holder } from "./WriterLock.ts"

/** Why a data directory could not be opened for writing. */
export const OpeningRefused = Schema.Union(
  LogLocked,
  LogBehindIndex,
  DirectoryNewer,
  DirectoryInvalid,
  LogFailed
)
export type OpeningRefused = typeof OpeningRefused.Type

export interface OpeningOptions {
  readonly directory: string
  readonly holder: Holder
  /** Taken by a log that is created by this opening. */
  readonly newLogId: string
  /** Witnesses of the head besides the head file: generation states, an outbox. */
  readonly witnesses: ReadonlyArray<Witness>
  /** Accept that events which a witness has seen are lost: opens a new epoch where there are such. */
  readonly acceptRollback: boolean
  readonly checkpointPages: number
  /** Milliseconds since 1970, for what the opening itself appends. */
  readonly now: number
}

export interface OpenedWriter {
  readonly core: WriterCore
  /** What an accepted rollback gave up; the epoch is a new one. */
  readonly rolledBack: LogBehindIndex | undefined
  /** Closes the databases, then releases the lock. */
  readonly close: () => void
}

/** Throws one of `OpeningRefused`. Nothing is written before the format is known and the lock is held. */
export const openWriter = (options: OpeningOptions, failpoints: FailpointsService): OpenedWriter => {
  const { directory } = options
  try {
    checkFormat(directory)
    createDirectory(directory)
    const release = acquireLock(directory, options.holder, failpoints)
    try {
      const { core, rolledBack } = openLocked(options, failpoints)
      return {
        core,
        rolledBack,
        close: () => {
          try {
            core.close()
          } finally {
            release()
          }
        }
      }
    } catch (cause) {
      release()
      throw cause
    }
  } catch (cause) {
    throw asOpeningRefused(directory, cause)
  }
}

const openLocked = (
  options: OpeningOptions,
  failpoints: FailpointsService
): { readonly core: WriterCore; readonly rolledBack: LogBehindIndex | undefined } => {
  const { directory } = options
  const path = (name: keyof typeof fileNames) => join(directory, fileNames[name])
  const orphaned = isEmpty(path("log")) ? logIdOf(path("content")) : undefined
  if (orphaned !== undefined) {
    throw new DirectoryInvalid({
      directory,
      detail: `its ${fileNames.content} belongs to the log ${orphaned}, but its ${fileNames.log} is gone or empty. Nothing was changed. Put that file back, or a whole backup (reprise log restore) or export (reprise log import) in a new directory.`
    })
  }
  const witnessed = readHeadFile(path("head"))
  const core = new WriterCore(
    {
      paths: { log: path("log"), content: path("content"), head: path("head"), lock: path("lock") },
      failpoints,
      snapshot: (database, from) => snapshotBeforeMigration(directory, database, from),
      checkpointPages: options.checkpointPages
    },
    options.newLogId
  )
  try {
    const { head } = core
    if (core.contentLogId !== head.logId) {
      throw new DirectoryInvalid({
        directory,
        detail: `its ${fileNames.content} belongs to the log ${core.contentLogId}, its ${fileNames.log} is ${head.logId}. Put the two files of one log together again.`
      })
    }
    const witnesses = [
      ...(witnessed === undefined ? [] : [{ name: "head file", head: witnessed }]),
      ...options.witnesses
    ]
    const lost = behind(head, (position) => core.hashAt(position), witnesses)
    if (lost !== undefined && !options.acceptRollback) throw lost
    core.begin(
      lost === undefined
        ? head.epoch
        : Math.max(head.epoch, ...witnesses.map((witness) => witness.head.epoch)) + 1
    )
    if (core.reconciledEpoch < core.head.epoch) recordLosses(core, options.now)
    return { core, rolledBack: lost }
  } catch (cause) {
    core.close()
    throw cause
  }
}

/** The log that a content file belongs to, where it says so. */
const logIdOf = (content: string): string | undefined => {
  if (isEmpty(content)) return undefined
  const db = openForReading(content, 0)
  try {
    const isMade = db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'meta'").get() !== undefined
    return isMade
      ? db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'log_id'").get()?.value
      : undefined
  } finally {
    db.close()
  }
}

const asOpeningRefused = (directory: string, cause: unknown): OpeningRefused => {
  if (Schema.is(OpeningRefused)(cause)) return cause
  if (cause instanceof SchemaNewer) {
    return new DirectoryNewer({ directory, found: cause.found, known: cause.known })
  }
  return new LogFailed({ operation: `open ${directory} for writing`, cause })
}
