/**
 * Reads files whole, each in one consistent version. One that changes while it is read is tried again.
 */
import { Effect, Either } from "effect"
import { Digest } from "../../events/Ids.ts"
import { type FileRead, type FileStat, type FileTreeService, meaning } from "./FileTree.ts"
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

/** In the order of `paths`, which are absolute and canonical. Files over `maxBytes` are refused before they are read. */
export const readFiles = (
  tree: FileTreeService,
  paths: ReadonlyArray<RawPath>,
  maxBytes: number
): Effect.Effect<ReadonlyArray<Either.Either<ItemBytes, ItemUnreadable>>> =>
  Effect.gen(function* () {
    const reads = [...(yield* tree.read(paths, maxBytes))]
    for (let attempt = 1; attempt < attempts; attempt += 1) {
      const restless = reads.flatMap((read, at) => (read._tag === "Changed" ? [at] : []))
      if (restless.length === 0) break
      yield* Effect.sleep(pause)
      const again = yield* tree.read(
        restless.flatMap((at) => paths[at] ?? []),
        maxBytes
      )
      for (const [index, at] of restless.entries()) reads[at] = again[index] ?? { _tag: "Changed" }
    }
    return reads.map((read) => itemOf(read, maxBytes))
  })

export const readFile = (
  tree: FileTreeService,
  path: RawPath,
  maxBytes: number
): Effect.Effect<ItemBytes, ItemUnreadable> =>
  Effect.flatMap(
    readFiles(tree, [path], maxBytes),
    ([read]): Effect.Effect<ItemBytes, ItemUnreadable> => read ?? unreadable("FileChanged", changing)
  )

const changing = "It changed each time while it was read. Sync again when it is at rest."

const itemOf = (read: FileRead, maxBytes: number): Either.Either<ItemBytes, ItemUnreadable> => {
  switch (read._tag) {
    case "Read": {
      const { bytes, digest, stamp } = read
      return Either.right({ bytes, raw: Digest.make(digest, { disableValidation: true }), stamp })
    }
    case "Changed":
      return Either.left(unreadable("FileChanged", changing))
    case "NotRegular": {
      const kind = read.kind === "special" ? "pipe, socket or device" : read.kind
      return Either.left(unreadable("FileNotRegular", `It is a ${kind}, not a regular file.`))
    }
    case "TooLarge":
      return Either.left(unreadable("FileTooLarge", `It has ${read.size} bytes; the limit is ${maxBytes}.`))
    case "Elsewhere":
      return Either.left(
        unreadable(
          "FileElsewhere",
          "A directory on the way to it became a symbolic link, or it was moved; links are not followed."
        )
      )
    case "Failed":
      return Either.left(failed(read.code))
  }
}

const unreadable = (code: string, detail: string) => new ItemUnreadable({ code, detail })

const failed = (code: string): ItemUnreadable =>
  code === "ENOENT"
    ? unreadable("FileVanished", "It vanished before it was read.")
    : code === "ELOOP"
      ? unreadable("FileIsLink", "It became a symbolic link; links are not followed.")
      : unreadable(code, `It could not be read: ${meaning(code)}.`)
