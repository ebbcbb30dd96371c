/**
 * The head's witness beside the log: a hash chain cannot see that its own tail is lost.
 *
 * It is written after each COMMIT without an fsync of its own, so it may be older than the log, never newer. A reader
 * takes the file first and the log's snapshot second.
 *
 * The writer overwrites it in place: one sector, which a disk writes wholly or not at all. (A file that is renamed over
 * another makes the file system flush it, which took longer than all else beside the log's own fsync.) Whoever reads it in
 * that moment may see parts of both: `check` says so, and what does not fit it is no witness.
 */
import { closeSync, constants, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { Either, Schema } from "effect"
import { Digest, Position, sha256 } from "../../events/Ids.ts"
import { type Head, LogBehindIndex } from "./Log.ts"

const HeadJson = Schema.parseJson(
  Schema.Struct({
    /** Absent in what an earlier version wrote, which replaced the file as a whole. */
    check: Schema.optional(Schema.String),
    logId: Schema.String,
    epoch: Schema.Int,
    position: Position,
    hash: Digest
  })
)
const decodeHead = Schema.decodeUnknownEither(HeadJson)

/** The witnessed head; `undefined` where the file is absent, no whole one, or a power cut left no content in it. */
export const readHeadFile = (path: string): Head | undefined => {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch {
    return undefined
  }
  const read = Either.getOrUndefined(decodeHead(text))
  if (read === undefined) return undefined
  const { check, ...head } = read
  return check === undefined || check === checkOf(head) ? head : undefined
}

/** A file of its own, complete before it has its name. */
export const writeHeadFile = (path: string, head: Head): void =>
  replaceFile(path, sectorOf(head), { sync: false })

/**
 * As {@link writeHeadFile}, of a log that was put in place: where the file that stands there has seen more of this very log, or
 * another end of it, that stays a witness, and whoever opens the copy decides about what it lacks.
 */
export const writeHeadOfCopy = (path: string, head: Head): void => {
  const standing = readHeadFile(path)
  if (standing === undefined || !hasSeenMore(standing, head)) writeHeadFile(path, head)
}

const hasSeenMore = (seen: Head, { epoch, hash, logId, position }: Head): boolean =>
  seen.logId === logId &&
  (seen.epoch > epoch ||
    (seen.epoch === epoch &&
      (seen.position > position || (seen.position === position && seen.hash !== hash))))

/** The file that is there, or a new one where it was deleted. */
export const overwriteHeadFile = (path: string, head: Head): void => {
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT, 0o600)
  try {
    writeSync(descriptor, sectorOf(head), 0)
  } finally {
    closeSync(descriptor)
  }
}

/** Bytes of a sector, all of which are always written: a shorter head leaves nothing of a longer one. */
const sector = 512

const sectorOf = ({ epoch, hash, logId, position }: Head): string => {
  const head = { logId, epoch, position, hash }
  return `${JSON.stringify({ check: checkOf(head), ...head }).padEnd(sector - 1)}\n`
}

const checkOf = ({ epoch, hash, logId, position }: Head): string =>
  sha256(JSON.stringify([logId, epoch, position, hash])).slice(0, 16)

/** A file's content is the old or the new one, never a part. */
export const replaceFile = (path: string, text: string, options: { readonly sync: boolean }): void => {
  const part = `${path}.part`
  const descriptor = openSync(part, "w", 0o600)
  try {
    writeSync(descriptor, text)
    if (options.sync) fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
  renameSync(part, path)
}

/** Somebody outside the log who has seen its head. */
export interface Witness {
  readonly name: string
  readonly head: Head
}

/**
 * The first witness that has seen what the log does not hold. A witness of an earlier epoch proves nothing: an operator
 * accepted what it saw as lost.
 */
export const behind = (
  head: Head,
  hashAt: (position: number) => string | undefined,
  witnesses: ReadonlyArray<Witness>
): LogBehindIndex | undefined => {
  for (const { name, head: seen } of witnesses) {
    const known =
      seen.logId === head.logId &&
      (seen.epoch < head.epoch ||
        (seen.epoch === head.epoch &&
          seen.position <= head.position &&
          (seen.position === 0 || hashAt(seen.position) === seen.hash)))
    if (!known) {
      return new LogBehindIndex({
        witness: name,
        log: { position: head.position, hash: head.hash, epoch: head.epoch },
        seen: { position: seen.position, hash: seen.hash, epoch: seen.epoch }
      })
    }
  }
  return undefined
}
