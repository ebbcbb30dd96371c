/**
 * The head's witness beside the log: a hash chain cannot see that its own tail is lost.
 *
 * It is replaced after each COMMIT without an fsync of its own, so it may be older than the log, never newer. A reader
 * takes the file first and the log's snapshot second.
 */
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs"
import { Either, Schema } from "effect"
import { Digest, Position } from "../../events/Ids.ts"
import { type Head, LogBehindIndex } from "./Log.ts"

const HeadJson = Schema.parseJson(
  Schema.Struct({ logId: Schema.String, epoch: Schema.Int, position: Position, hash: Digest })
)
const decodeHead = Schema.decodeUnknownEither(HeadJson)

/** The witnessed head; `undefined` where the file is absent or a power cut left no content in it. */
export const readHeadFile = (path: string): Head | undefined => {
  let text: string
  try {
    text = readFileSync(path, "utf8")
  } catch {
    return undefined
  }
  return Either.getOrUndefined(decodeHead(text))
}

export const writeHeadFile = (path: string, head: Head): void =>
  replaceFile(
    path,
    JSON.stringify({ logId: head.logId, epoch: head.epoch, position: head.position, hash: head.hash }),
    { sync: false }
  )

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
