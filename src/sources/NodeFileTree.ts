/**
 * The file tree of this machine. Directories are walked and files examined and read by threads, one of which starts with
 * the first of them. The main thread only passes results on.
 */
import { promises } from "node:fs"
import { Chunk, Effect, Either, Fiber, Layer, Option, Scope, Stream } from "effect"
import { monotonicMs } from "../clock/Monotonic.ts"
import { spawnAnew, type Thread } from "../threads/Thread.ts"
import {
  type Examined,
  examineAll,
  type FileCalls,
  type FileOperations,
  nodeCalls,
  readAll,
  statAt
} from "./FileCalls.ts"
import { codeOf } from "./FileCodes.ts"
import { type ScanOptions, type ScanStep, scannedOf } from "./FilesScan.ts"
import { type FileStat, FileTree, FileTreeError, type FileTreeService } from "./FileTree.ts"
import { OpenScans, type ScanAsk } from "./OpenScans.ts"
import { join, ofBytes, type RawPath, toBytes, toText } from "./RawPath.ts"
import { type RootFailed, rootGone } from "./RootGone.ts"
import { type Scanned, SourceUnreadable } from "./SourceReader.ts"
import { isSlow, spreadOver } from "./Spread.ts"

/** Threads that start where files are slow to answer. */
const threads = 4

type Examine = FileTreeService["examine"]

/** How scans are gone on with, wherever they run. */
interface Scans {
  readonly next: (ask: ScanAsk) => Effect.Effect<ScanStep>
  readonly end: (scan: number) => Effect.Effect<void>
}

export const layer: Layer.Layer<FileTree> = Layer.scoped(
  FileTree,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    // An interruption in the moment of the start would be remembered as its outcome.
    const started = Effect.map(
      Effect.cached(Effect.provideService(spawnAnew<FileOperations>("files", undefined), Scope.Scope, scope)),
      Effect.uninterruptible
    )
    const first = yield* started
    const others = yield* Effect.all(Array.from({ length: threads - 1 }, () => started))
    const spread = spreadOver([first, ...others])
    // A thread that ends under a call is a bug.
    const asking = <A, E>(
      thread: Effect.Effect<Thread<FileOperations>>,
      ask: (thread: Thread<FileOperations>) => Effect.Effect<A, E>
    ) => Effect.orDie(Effect.flatMap(thread, ask))
    return treeOn(
      (paths) =>
        spread(paths, (thread, some) =>
          Effect.map(
            asking(thread, ({ call }) => call("examine", some)),
            ({ answer, tookMs }) => ({ answer: statsOf(some, answer), tookMs })
          )
        ),
      (paths, maxBytes) =>
        spread(paths, (thread, some) =>
          asking(thread, ({ call }) => call("read", { paths: some, maxBytes }))
        ),
      {
        next: (ask) => asking(first, ({ call }) => call("scan", ask)),
        end: (scan) => asking(first, ({ call }) => call("endScan", scan))
      }
    )
  })
)

/** In the caller's thread, with the calls of a test. */
export const layerInThread = (calls: FileCalls = nodeCalls): Layer.Layer<FileTree> =>
  Layer.sync(FileTree, () => {
    const scans = new OpenScans(calls)
    return treeOn(
      (paths) => Effect.sync(() => statsOf(paths, examineAll(calls, paths))),
      (paths, maxBytes) => Effect.sync(() => readAll(calls, paths, maxBytes)),
      {
        next: (ask) => Effect.sync(() => scans.next(ask)),
        end: (scan) => Effect.sync(() => scans.end(scan))
      }
    )
  })

const statsOf = (paths: ReadonlyArray<RawPath>, examined: Examined) => {
  const codes = new Map(examined.codes)
  return paths.map((path, at): Either.Either<FileStat, FileTreeError> => {
    const code = codes.get(at)
    return code === undefined
      ? Either.right(statAt(examined, at))
      : Either.left(new FileTreeError({ operation: "examine", path: toText(path), code }))
  })
}

const treeOn = (examine: Examine, read: FileTreeService["read"], scans: Scans): FileTreeService => {
  let last = 0
  return FileTree.of({
    resolve: (path) =>
      Effect.tryPromise({
        try: () => promises.realpath(toBytes(path), { encoding: "buffer" }),
        catch: (cause) => new FileTreeError({ operation: "resolve", path: toText(path), code: codeOf(cause) })
      }).pipe(Effect.map(ofBytes)),
    examine,
    scan: (options) => Stream.unwrap(Effect.sync(() => scanOn(scans, examine, ++last, options))),
    read
  })
}

/** The next page is made while one is looked at. */
const scanOn = (
  scans: Scans,
  examine: Examine,
  scan: number,
  options: ScanOptions
): Stream.Stream<Scanned, SourceUnreadable> => {
  let begun = false
  let ended = false
  // Where files are slow to answer, all threads examine them.
  let examines = true
  const failed = ({ code, detail }: RootFailed) =>
    Effect.fail(Option.some(new SourceUnreadable({ source: toText(options.root), code, detail })))
  const pull = Effect.gen(function* () {
    if (ended) return yield* Effect.fail(Option.none())
    const began = yield* monotonicMs
    const step = yield* scans.next({ scan, examines, ...(begun ? {} : { begin: options }) })
    begun = true
    ended = step._tag !== "Page" || step.isLast
    if (step._tag === "End") return yield* Effect.fail(Option.none())
    if (step._tag === "Failed") return yield* failed(step)
    if (step.lines !== undefined) {
      examines = !isSlow(step.met.length, (yield* monotonicMs) - began)
      return Chunk.unsafeFromArray(scannedOf(step))
    }
    const files = step.met.filter((one) => typeof one === "string")
    const { device } = step
    const paths = files.map((path) => join(options.root, path))
    const found = yield* examine(device === undefined ? paths : [...paths, options.root])
    const stats = found.map(Either.match({ onLeft: ({ code }) => code, onRight: (stat) => stat }))
    const gone = device === undefined ? undefined : rootGone(device, stats.pop() ?? "ENOENT")
    if (gone !== undefined) return yield* failed(gone)
    return Chunk.unsafeFromArray(scannedOf(step, stats))
  })
  return Stream.fromPull(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      yield* Effect.addFinalizer(() =>
        Effect.suspend(() => (begun && !ended ? scans.end(scan) : Effect.void))
      )
      let ahead: typeof pull | undefined
      return Effect.gen(function* () {
        const page = yield* ahead ?? pull
        ahead = ended ? undefined : Fiber.join(yield* Effect.forkIn(pull, scope))
        return page
      })
    })
  )
}
