/**
 * Reads a file whole, in one consistent version, and only if it is the very file that was scanned: a regular file below
 * its root, reached without a link.
 *
 * What is checked is the opened descriptor, never the name: whatever is swapped after the check, nothing else is read.
 */
import { Effect, Either } from "effect"
import { type FileStat, type FileTreeError, type FileTreeService, meaning } from "./FileTree.ts"
import type { RawPath } from "./RawPath.ts"
import { type ItemBytes, ItemUnreadable, type Stamp } from "./SourceReader.ts"

/** A file that changes while it is read is tried this often. */
const attempts = 3
const pause = "20 millis"

export const stampOf = (stat: FileStat): Stamp => ({
  size: stat.size,
  mtimeNs: stat.mtimeNs,
  inode: stat.inode
})

/** Changed between two looks at it. Another try may find it at rest. */
const changed = new ItemUnreadable({
  code: "FileChanged",
  detail: "It changed each time while it was read. Sync again when it is at rest."
})

const unreadable = (error: FileTreeError): ItemUnreadable =>
  error.code === "ENOENT"
    ? new ItemUnreadable({ code: "FileVanished", detail: "It vanished before it was read." })
    : error.code === "ELOOP"
      ? new ItemUnreadable({
          code: "FileIsLink",
          detail: "It became a symbolic link; links are not followed."
        })
      : new ItemUnreadable({ code: error.code, detail: `It could not be read: ${meaning(error.code)}.` })

/** `path` is absolute and canonical. Files over `maxBytes` are refused before they are read. */
export const readFile = (
  tree: FileTreeService,
  path: RawPath,
  maxBytes: number
): Effect.Effect<ItemBytes, ItemUnreadable> =>
  Effect.gen(function* () {
    for (let attempt = 1; ; attempt += 1) {
      const version = yield* readOnce(tree, path, maxBytes).pipe(Effect.either)
      if (Either.isRight(version)) return version.right
      if (version.left !== changed || attempt === attempts) return yield* version.left
      yield* Effect.sleep(pause)
    }
  })

const readOnce = (
  tree: FileTreeService,
  path: RawPath,
  maxBytes: number
): Effect.Effect<ItemBytes, ItemUnreadable> =>
  Effect.gen(function* () {
    const seen = yield* examineOne(tree, path)
    yield* refuseUnlessRegular(seen, maxBytes)
    // Pseudo files say that they are empty and are not: what has no size has no content.
    if (seen.size === 0) return { bytes: new Uint8Array(0), stamp: stampOf(seen) }
    const file = yield* tree.open(path)
    const before = yield* file.stat
    yield* refuseUnlessRegular(before, maxBytes)
    if (before.inode !== seen.inode || before.device !== seen.device) return yield* changed
    if ((yield* file.location) !== path) {
      return yield* new ItemUnreadable({
        code: "FileElsewhere",
        detail:
          "A directory on the way to it became a symbolic link, or it was moved; links are not followed."
      })
    }
    // One byte more than its size shows whether it grew.
    const buffer = new Uint8Array(before.size + 1)
    let length = 0
    while (length < buffer.length) {
      const room = buffer.length - length
      const count = yield* file.read(buffer.subarray(length))
      length += count
      // A regular file gives all that it has; less is its end.
      if (count < room) break
    }
    const after = yield* file.stat
    if (length !== before.size || !sameVersion(before, after)) return yield* changed
    return { bytes: buffer.subarray(0, length), stamp: stampOf(after) }
  }).pipe(
    Effect.scoped,
    Effect.catchTag("FileTreeError", (error) => Effect.fail(unreadable(error)))
  )

const examineOne = (
  tree: FileTreeService,
  path: RawPath
): Effect.Effect<FileStat, FileTreeError | ItemUnreadable> =>
  Effect.flatMap(
    tree.examine([path]),
    ([stat]): Effect.Effect<FileStat, FileTreeError | ItemUnreadable> => stat ?? Effect.fail(changed)
  )

const refuseUnlessRegular = (stat: FileStat, maxBytes: number): Effect.Effect<void, ItemUnreadable> => {
  if (stat.kind !== "file") {
    return new ItemUnreadable({
      code: "FileNotRegular",
      detail: `It is a ${stat.kind === "special" ? "pipe, socket or device" : stat.kind}, not a regular file.`
    })
  }
  if (stat.size > maxBytes) return tooLarge(stat.size, maxBytes)
  return Effect.void
}

export const tooLarge = (size: number, maxBytes: number): ItemUnreadable =>
  new ItemUnreadable({
    code: "FileTooLarge",
    detail: `It has ${size} bytes; the limit is ${maxBytes}.`
  })

const sameVersion = (before: FileStat, after: FileStat): boolean =>
  before.size === after.size &&
  before.mtimeNs === after.mtimeNs &&
  before.ctimeNs === after.ctimeNs &&
  before.inode === after.inode
