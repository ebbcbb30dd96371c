/**
 * The file tree of this machine. Everything runs in Node's thread pool; the main thread only passes results on.
 */
import { type BigIntStats, constants, type Dir, type Dirent, lstat, promises } from "node:fs"
import { Chunk, Effect, Either, Layer, Option, Stream } from "effect"
import { type DirectoryEntry, type FileKind, type FileStat, FileTree, FileTreeError } from "./FileTree.ts"
import { append, asPrefix, ofBytes, ofLatin1, type RawPath, toBytes, toText } from "./RawPath.ts"

/** Calls of `lstat` under way at once. More only queue up in the thread pool. */
const concurrency = 16
/** Entries that a directory hands out at a time. */
const batchSize = 1024

export const layer: Layer.Layer<FileTree> = Layer.sync(FileTree, () =>
  FileTree.of({
    resolve: (path) =>
      Effect.tryPromise({
        try: () => promises.realpath(toBytes(path), { encoding: "buffer" }),
        catch: failure("resolve", path)
      }).pipe(Effect.map(ofBytes)),
    examine,
    list,
    open
  })
)

const failure =
  (operation: FileTreeError["operation"], path: RawPath) =>
  (cause: unknown): FileTreeError =>
    new FileTreeError({ operation, path: toText(path), code: codeOf(cause) })

const codeOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : String(cause)

const examine = (
  paths: ReadonlyArray<RawPath>
): Effect.Effect<ReadonlyArray<Either.Either<FileStat, FileTreeError>>> =>
  Effect.async((resume) => {
    if (paths.length === 0) return resume(Effect.succeed([]))
    const stats: Array<Either.Either<FileStat, FileTreeError>> = new Array(paths.length)
    let begun = 0
    let ended = 0
    const next = (): void => {
      const at = begun
      const path = paths[at]
      if (path === undefined) return
      begun += 1
      lstat(toBytes(path), { bigint: true }, (error, stat) => {
        stats[at] = error === null ? Either.right(statOf(stat)) : Either.left(failure("examine", path)(error))
        ended += 1
        if (ended === paths.length) resume(Effect.succeed(stats))
        else next()
      })
    }
    for (let slot = 0; slot < concurrency; slot += 1) next()
  })

const kindOf = (of: Dirent | BigIntStats): FileKind | undefined => {
  if (of.isFile()) return "file"
  if (of.isDirectory()) return "directory"
  if (of.isSymbolicLink()) return "link"
  if (of.isFIFO() || of.isSocket() || of.isBlockDevice() || of.isCharacterDevice()) return "special"
  return undefined
}

const statOf = (stat: BigIntStats): FileStat => ({
  kind: kindOf(stat) ?? "special",
  size: Number(stat.size),
  mtimeNs: stat.mtimeNs,
  ctimeNs: stat.ctimeNs,
  inode: stat.ino,
  device: stat.dev
})

const list = (directory: RawPath): Stream.Stream<DirectoryEntry, FileTreeError> =>
  Stream.acquireRelease(
    Effect.tryPromise({
      // latin1 keeps each byte of a name, valid UTF-8 or not.
      try: () => promises.opendir(toBytes(directory), { encoding: "latin1", bufferSize: batchSize }),
      catch: failure("list", directory)
    }),
    (opened) => Effect.ignore(Effect.tryPromise(() => opened.close()))
  ).pipe(Stream.flatMap((opened) => Stream.repeatEffectChunkOption(nextEntries(directory, opened))))

const nextEntries = (
  directory: RawPath,
  opened: Dir
): Effect.Effect<Chunk.Chunk<DirectoryEntry>, Option.Option<FileTreeError>> =>
  Effect.gen(function* () {
    const entries = yield* Effect.tryPromise({
      try: () => readEntries(opened),
      catch: (cause) => Option.some(failure("list", directory)(cause))
    })
    if (entries.length === 0) return yield* Effect.fail(Option.none())
    // Some file systems do not say in a listing what an entry is.
    const unknown = entries.filter((entry) => entry.kind === undefined)
    const stats = yield* examine(unknown.map((entry) => append(asPrefix(directory), entry.name)))
    const kinds = new Map(
      unknown.map((entry, at) => {
        const stat = stats[at]
        return [entry.name, stat !== undefined && Either.isRight(stat) ? stat.right.kind : "special"] as const
      })
    )
    return Chunk.unsafeFromArray(
      entries.map(({ name, kind }) => ({ name, kind: kind ?? kinds.get(name) ?? "special" }))
    )
  })

const readEntries = async (opened: Dir) => {
  const entries: Array<{ readonly name: RawPath; readonly kind: FileKind | undefined }> = []
  while (entries.length < batchSize) {
    const entry = await opened.read()
    if (entry === null) break
    entries.push({ name: ofLatin1(entry.name), kind: kindOf(entry) })
  }
  return entries
}

const open = (path: RawPath) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: () =>
        promises.open(toBytes(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK),
      catch: failure("open", path)
    }),
    (handle) => Effect.ignore(Effect.tryPromise(() => handle.close()))
  ).pipe(
    Effect.map((handle) => ({
      stat: Effect.tryPromise({
        try: () => handle.stat({ bigint: true }),
        catch: failure("examine", path)
      }).pipe(Effect.map(statOf)),
      read: (into: Uint8Array) =>
        Effect.tryPromise({
          try: () => handle.read(into, 0, into.length, null),
          catch: failure("read", path)
        }).pipe(Effect.map(({ bytesRead }) => bytesRead)),
      // Linux knows where a descriptor leads, whatever was renamed since; elsewhere the path is resolved again.
      location: Effect.tryPromise({
        try: () => promises.readlink(`/proc/self/fd/${handle.fd}`, { encoding: "buffer" }),
        catch: failure("resolve", path)
      }).pipe(
        Effect.orElse(() =>
          Effect.tryPromise({
            try: () => promises.realpath(toBytes(path), { encoding: "buffer" }),
            catch: failure("resolve", path)
          })
        ),
        Effect.map(ofBytes)
      )
    }))
  )
