/**
 * The file tree of this machine. Files are examined and read by a thread that starts with the first of them, directories
 * listed in Node's thread pool; the main thread only passes results on.
 */
import { type Dir, type Dirent, promises } from "node:fs"
import { Chunk, Effect, Either, Layer, Option, Scope, Stream } from "effect"
import { spawnAnew, type Thread, type ThreadFailed } from "../threads/Thread.ts"
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
  FileTree,
  FileTreeError,
  type FileTreeService
} from "./FileTree.ts"
import { append, asPrefix, ofBytes, ofLatin1, type RawPath, toBytes, toText } from "./RawPath.ts"

/** Entries that a directory hands out at a time. */
const batchSize = 1024

/** What is done to files, here or in a thread. A thread that ends under them is a bug, and a defect. */
interface Files {
  readonly examine: (paths: ReadonlyArray<RawPath>) => Effect.Effect<Examined>
  readonly read: FileTreeService["read"]
}

export const layer: Layer.Layer<FileTree> = Layer.scoped(
  FileTree,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const started = yield* Effect.cached(
      Effect.provideService(spawnAnew<FileOperations>("files", undefined), Scope.Scope, scope)
    )
    const asking = <A>(
      ask: (thread: Thread<FileOperations>) => Effect.Effect<A, ThreadFailed>
    ): Effect.Effect<A> => Effect.orDie(Effect.flatMap(started, ask))
    return treeOn({
      examine: (paths) => asking((thread) => thread.call("examine", paths)),
      read: (paths, maxBytes) => asking((thread) => thread.call("read", { paths, maxBytes }))
    })
  })
)

/** In the caller's thread, with the calls of a test. */
export const layerInThread = (calls: FileCalls = nodeCalls): Layer.Layer<FileTree> =>
  Layer.sync(FileTree, () =>
    treeOn({
      examine: (paths) => Effect.sync(() => examineAll(calls, paths)),
      read: (paths, maxBytes) => Effect.sync(() => readAll(calls, paths, maxBytes))
    })
  )

const treeOn = (files: Files): FileTreeService => {
  const examine: FileTreeService["examine"] = (paths) =>
    paths.length === 0
      ? Effect.succeed([])
      : Effect.map(files.examine(paths), (examined) => {
          const codes = new Map(examined.codes)
          return paths.map((path, at) => {
            const code = codes.get(at)
            return code === undefined
              ? Either.right(statAt(examined, at))
              : Either.left(new FileTreeError({ operation: "examine", path: toText(path), code }))
          })
        })
  return FileTree.of({
    resolve: (path) =>
      Effect.tryPromise({
        try: () => promises.realpath(toBytes(path), { encoding: "buffer" }),
        catch: failure("resolve", path)
      }).pipe(Effect.map(ofBytes)),
    examine,
    list: (directory) => list(directory, examine),
    read: (paths, maxBytes) => (paths.length === 0 ? Effect.succeed([]) : files.read(paths, maxBytes))
  })
}

const failure =
  (operation: FileTreeError["operation"], path: RawPath) =>
  (cause: unknown): FileTreeError =>
    new FileTreeError({ operation, path: toText(path), code: codeOf(cause) })

const list = (
  directory: RawPath,
  examine: FileTreeService["examine"]
): Stream.Stream<DirectoryEntry, FileTreeError> =>
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
  examine: FileTreeService["examine"]
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
