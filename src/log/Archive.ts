/**
 * A log as a whole: checked, exported, imported, backed up and restored. The work is synchronous and comes in small steps;
 * here it is driven so that the thread is free between them.
 */

import { renameSync, rmSync, statSync } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { hostname } from "node:os"
import { dirname } from "node:path"
import { StringDecoder } from "node:string_decoder"
import { Clock, Effect, Schema } from "effect"
import { Failpoints } from "../faults/Failpoints.ts"
import { DirectoryInvalid, DirectoryNewer } from "./DirectoryFormat.ts"
import { sync } from "./Folders.ts"
import { LogFailed, LogLocked } from "./Log.ts"
import {
  ArchiveMissing,
  ArchiveRefused,
  ArchiveUnwritable,
  RewrittenMeanwhile,
  SourceDamaged,
  TargetNotEmpty
} from "./LogArchive.ts"
import * as LogBackup from "./LogBackup.ts"
import { type ExportReport, exportLines } from "./LogExport.ts"
import { type ImportReport, LogImport } from "./LogImport.ts"
import { ContentDamaged } from "./LogSnapshot.ts"
import { type VerificationProgress, type VerificationReport, verifyDirectory } from "./LogVerification.ts"
import type { Holder } from "./WriterLock.ts"

/** Why nothing was exported, imported, backed up or restored. */
export const ArchiveError = Schema.Union(
  ArchiveMissing,
  ArchiveUnwritable,
  ArchiveRefused,
  TargetNotEmpty,
  SourceDamaged,
  RewrittenMeanwhile,
  DirectoryNewer,
  DirectoryInvalid,
  LogLocked,
  LogFailed
)
export type ArchiveError = typeof ArchiveError.Type

/** No line of an archive is longer (a body of 200 MB has 270 million characters in base64). */
const maxLineLength = 400_000_000

/** Recomputes and compares everything. Damage is the report's content, not an error. */
export const verify = Effect.fn("Archive.verify")(function* (
  directory: string,
  onProgress: (progress: VerificationProgress) => Effect.Effect<void> = () => Effect.void
): Effect.fn.Return<VerificationReport, ArchiveError> {
  const steps = yield* attempt("verify", () => verifyDirectory(directory))
  while (true) {
    const step = yield* attempt("verify", () => steps.next())
    if (step.done === true) return step.value
    yield* onProgress(step.value)
    yield* Effect.yieldNow()
  }
})

/** Writes the archive to a file, which appears (or is replaced) only when it is whole. */
export const exportTo = Effect.fn("Archive.export")(function* (
  directory: string,
  file: string
): Effect.fn.Return<ExportReport, ArchiveError> {
  const failpoints = yield* Failpoints
  return yield* promised("export", async () => {
    const part = `${file}.part`
    const out = await openPart(file, part)
    try {
      const report = await writeLines(out, exportLines(directory, failpoints))
      renameSync(part, file)
      sync(dirname(file))
      return report
    } catch (cause) {
      rmSync(part, { force: true })
      throw cause
    }
  })
})

/** Before anything of the log is read, so that a place that cannot take it is named at once. */
const openPart = async (file: string, part: string): Promise<FileHandle> => {
  try {
    if (statSync(file, { throwIfNoEntry: false })?.isDirectory() === true)
      throw new ArchiveUnwritable({ file, code: "EISDIR" })
    return await open(part, "w", 0o600)
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined
    throw isUnwritable(code) ? new ArchiveUnwritable({ file, code }) : cause
  }
}

const isUnwritable = Schema.is(ArchiveUnwritable.fields.code)

const writeLines = async (out: FileHandle, parts: Generator<string, ExportReport>): Promise<ExportReport> => {
  try {
    let next = parts.next()
    while (next.done !== true) {
      await out.writeFile(next.value)
      next = parts.next()
    }
    await out.sync()
    return next.value
  } finally {
    parts.return({ position: 0, hash: "", events: 0, blobs: 0, vectors: 0 })
    await out.close()
  }
}

/** Reads an archive into an empty or new directory. The same one again changes nothing. */
export const importFrom = Effect.fn("Archive.import")(function* (
  file: string,
  directory: string
): Effect.fn.Return<ImportReport, ArchiveError> {
  const failpoints = yield* Failpoints
  const holder = yield* thisProcess("reprise log import")
  return yield* promised("import", async () => {
    const archive = await openArchive(file)
    try {
      const target = new LogImport(directory, holder, failpoints)
      try {
        for await (const line of linesOf(archive)) target.line(line)
        return target.finish()
      } finally {
        target.abandon()
      }
    } finally {
      await archive.close()
    }
  })
})

/** Copies the directory's log and content to a new directory, beside a running writer; verified before it counts. */
export const backup = Effect.fn("Archive.backup")(function* (
  directory: string,
  target: string
): Effect.fn.Return<LogBackup.BackupReport, ArchiveError> {
  const failpoints = yield* Failpoints
  return yield* promised("back up", () => LogBackup.backup(directory, target, failpoints))
})

/** Puts a backup into a directory where no log stands. */
export const restore = Effect.fn("Archive.restore")(function* (
  source: string,
  directory: string
): Effect.fn.Return<LogBackup.BackupReport, ArchiveError> {
  const failpoints = yield* Failpoints
  const holder = yield* thisProcess("reprise log restore")
  return yield* attempt("restore", () => LogBackup.restore(source, directory, holder, failpoints))
})

const thisProcess = (command: string): Effect.Effect<Holder> =>
  Effect.map(Clock.currentTimeMillis, (now) => ({
    hostname: hostname(),
    pid: process.pid,
    started: new Date(now).toISOString(),
    command
  }))

/** Before anything is made in the directory that it is to be read into. */
const openArchive = async (file: string): Promise<FileHandle> => {
  const missing = (code: string) => new ArchiveMissing({ file, code })
  const archive = await open(file, "r").catch((cause: NodeJS.ErrnoException) => {
    throw missing(cause.code ?? "unknown")
  })
  if (!(await archive.stat()).isDirectory()) return archive
  await archive.close()
  throw missing("EISDIR")
}

async function* linesOf(archive: FileHandle): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8")
  let parts: Array<string> = []
  let length = 0
  for await (const chunk of archive.createReadStream({ highWaterMark: 1 << 20, autoClose: false })) {
    const pieces = decoder.write(chunk).split("\n")
    for (const [at, piece] of pieces.entries()) {
      parts.push(piece)
      length += piece.length
      if (length > maxLineLength)
        throw new ArchiveRefused({ line: 0, detail: "a line is longer than any line of an archive" })
      if (at < pieces.length - 1) {
        yield parts.join("")
        parts = []
        length = 0
      }
    }
  }
  const rest = parts.join("") + decoder.end()
  if (rest !== "") yield rest
}

const attempt = <A>(operation: string, work: () => A): Effect.Effect<A, ArchiveError> =>
  Effect.try({ try: work, catch: asArchiveError(operation) })

const promised = <A>(operation: string, work: () => Promise<A>): Effect.Effect<A, ArchiveError> =>
  Effect.tryPromise({ try: work, catch: asArchiveError(operation) })

const asArchiveError =
  (operation: string) =>
  (cause: unknown): ArchiveError => {
    if (Schema.is(ArchiveError)(cause)) return cause
    if (cause instanceof ContentDamaged) {
      return new SourceDamaged({ source: "The content", damages: [cause.message] })
    }
    return new LogFailed({ operation, cause })
  }
