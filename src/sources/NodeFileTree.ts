/**
 * The file tree of this machine. Files are examined and read by threads, one of which starts with the first of them;
 * directories are listed in Node's thread pool. The main thread only passes results on.
 */
import { type Dir, type Dirent, promises } from "node:fs"
import { Chunk, Effect, Either, Layer, Option, Scope, Stream } from "effect"
import { spawnAnew } from "../threads/Thread.ts"
import {
  codeOf,
  type Examined,
  examineAll,
  type FileCalls,
  type FileOperations,
  kindOf,
  nodeCalls,
  readAll,
  statAt
} from "./FileCalls.ts"
import {
  type DirectoryEntry,
  type FileKind,
  type FileStat,
  FileTree,
  FileTreeError,
  type FileTreeService
} from "./FileTree.ts"
import { append, asPrefix, ofBytes, ofLatin1, type RawPath, toBytes, toText } from "./RawPath.ts"
import { spreadOver } from "./Spread.ts"

/** Entries that a directory hands out at a time. */
const batchSize = 1024

/** Threads that start where files are slow to answer. */
const threads = 4

type Examine = FileTreeService["examine"]

export const layer: Layer.Layer<FileTree> = Layer.scoped(
  FileTree,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    // An interruption in the moment of the start would be remembered as its outcome.
    const started = Effect.map(
      Effect.cached(Effect.provideService(spawnAnew<FileOperations>("files", undefined), Scope.Scope, scope)),
      Effect.uninterruptible
    )
    const spread = spreadOver(yield* Effect.all(Array.from({ length: threads }, () => started)))
    return treeOn(
      (paths) =>
        spread(paths, (thread, some) =>
          Effect.flatMap(thread, ({ call }) => call("examine", some)).pipe(
            // A thread that ends under this is a bug.
            Effect.orDie,
            Effect.map((examined) => statsOf(some, examined))
          )
        ),
      (paths, maxBytes) =>
        spread(paths, (thread, some) =>
          Effect.orDie(Effect.flatMap(thread, ({ call }) => call("read", { paths: some, maxBytes })))
        )
    )
  })
)

/** In the caller's thread, with the calls of a test. */
export const layerInThread = (calls: FileCalls = nodeCalls): Layer.Layer<FileTree> =>
  Layer.sync(FileTree, () =>
    treeOn(
      (paths) => Effect.sync(() => statsOf(paths, examineAll(calls, paths))),
      (paths, maxBytes) => Effect.sync(() => readAll(calls, paths, maxBytes))
    )
  )

const statsOf = (paths: ReadonlyArray<RawPath>, examined: Examined) => {
  const codes = new Map(examined.codes)
  return paths.map((path, at): Either.Either<FileStat, FileTreeError> => {
    const code = codes.get(at)
    return code === undefined
      ? Either.right(statAt(examined, at))
      : Either.left(new FileTreeError({ operation: "examine", path: toText(path), code }))
  })
}

const treeOn = (examine: Examine, read: FileTreeService["read"]): FileTreeService =>
  FileTree.of({
    resolve: (path) =>
      Effect.tryPromise({
        try: () => promises.realpath(toBytes(path), { encoding: "buffer" }),
        catch: failure("resolve", path)
      }).pipe(Effect.map(ofBytes)),
    examine,
    list: (directory) => list(directory, examine),
    read
  })

const failure =
  (operation: FileTreeError["operation"], path: RawPath) =>
  (cause: unknown): FileTreeError =>
    new FileTreeError({ operation, path: toText(path), code: codeOf(cause) })

const list = (directory: RawPath, examine: Examine): Stream.Stream<DirectoryEntry, FileTreeError> =>
  Stream.acquireRelease(
    Effect.tryPromise({
      // latin1 keeps each byte of a name, valid UTF-8 or not.
      try: () => promises.opendir(toBytes(directory), { encoding: "latin1", bufferSize: batchSize }),
      catch: failure("list", directory)
    }),
    (opened) => Effect.ignore(Effect.tryPromise(() => opened.close()))
  ).pipe(Stream.flatMap((opened) => Stream.repeatEffectChunkOption(nextEntries(directory, opened, examine))))

const nextEntries = (
  directory: RawPath,
  opened: Dir,
  examine: Examine
): Effect.Effect<Chunk.Chunk<DirectoryEntry>, Option.Option<FileTreeError>> =>
  Effect.gen(function* () {
    const entries = yield* Effect.tryPromise({
      try: () => readEntries(opened),
      catch: (cause) => Option.some(failure("list", directory)(cause))
    })
    if (entries.length === 0) return yield* Effect.fail(Option.none())
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
    entries.push({ name: ofLatin1(entry.name), kind: listedKind(entry) })
  }
  return entries
}

/** Some file systems do not say in a listing what an entry is. */
const listedKind = (entry: Dirent): FileKind | undefined =>
  kindOf(entry) ??
  (entry.isFIFO() || entry.isSocket() || entry.isBlockDevice() || entry.isCharacterDevice()
    ? "special"
    : undefined)
