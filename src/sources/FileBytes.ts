/**
 * Reads files whole, each in one consistent version. One that changes while it is read is tried again.
 */
import { Duration, Effect, Either } from "effect"
import { Digest } from "../../events/Ids.ts"
import { readAttempts, readPauseMs, whyUnreadable } from "./FileCodes.ts"
import type { FileRead, FileTreeService } from "./FileTree.ts"
import type { RawPath } from "./RawPath.ts"
import { type ItemBytes, ItemUnreadable } from "./SourceReader.ts"

/** In the order of `paths`, which are absolute and canonical. Files over `maxBytes` are refused before they are read. */
export const readFiles = (
  tree: FileTreeService,
  paths: ReadonlyArray<RawPath>,
  maxBytes: number
): Effect.Effect<ReadonlyArray<Either.Either<ItemBytes, ItemUnreadable>>> =>
  Effect.gen(function* () {
    const reads = [...(yield* tree.read(paths, maxBytes))]
    for (let attempt = 1; attempt < readAttempts; attempt += 1) {
      const restless = reads.flatMap((read, at) => (read._tag === "Changed" ? [at] : []))
      if (restless.length === 0) break
      yield* Effect.sleep(Duration.millis(readPauseMs))
      const again = yield* tree.read(
        restless.flatMap((at) => paths[at] ?? []),
        maxBytes
      )
      for (const [index, at] of restless.entries()) reads[at] = again[index] ?? { _tag: "Changed" }
    }
    return reads.map((read) => itemOf(read, maxBytes))
  })

const itemOf = (read: FileRead, maxBytes: number): Either.Either<ItemBytes, ItemUnreadable> => {
  if (read._tag !== "Read") return Either.left(new ItemUnreadable(whyUnreadable(read, maxBytes)))
  const { bytes, digest, stamp } = read
  return Either.right({ bytes, raw: Digest.make(digest, { disableValidation: true }), stamp })
}
