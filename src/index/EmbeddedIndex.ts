/**
 * The embedded engine: SQLite files under a directory, one folder per generation and epoch, no server.
 *
 * This layer only names the folders and turns what the synchronous core throws into typed failures. It blocks its
 * thread: writers and searches run it in workers.
 */
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { Chunk, Effect, Layer, Option, type Scope, Stream } from "effect"
import type { ProjectScope } from "../../events/Ids.ts"
import { Failpoints, type FailpointsService, inert } from "../faults/Failpoints.ts"
import { sync } from "../log/Folders.ts"
import type { Access } from "./embedded/Database.ts"
import { type DerivedDifference, GenerationFiles } from "./embedded/GenerationFiles.ts"
import { type ScanKey, scanStart } from "./embedded/ProjectFile.ts"
import { SearchMemory } from "./embedded/SearchMemory.ts"
import {
  Engine,
  type EngineError,
  type EngineGeneration,
  EngineMismatch,
  type EngineService,
  EngineUnavailable,
  type GenerationRef,
  type Marker,
  type Point,
  type ReadBackPart,
  type ReadPart
} from "./Index.ts"
import { sharedReading } from "./SharedReading.ts"

export interface EmbeddedIndexOptions {
  /** `index/` of the data directory. Created with the first generation. */
  readonly directory: string
  /** For codes and payloads that stay in memory between searches; what is beyond is read for each. Default: 256. */
  readonly memoryMiB?: number
  /** Who searches much may have a second thread for the scan. Default: false. */
  readonly scansTogether?: boolean
}

/** The epoch is part of the name: what a process of an older epoch still writes lands elsewhere. */
export const generationFolder = (
  directory: string,
  ref: Pick<GenerationRef, "generation" | "epoch">
): string => join(directory, `${ref.generation}-e${ref.epoch}`)

export const layer = (options: EmbeddedIndexOptions): Layer.Layer<Engine> =>
  Layer.effect(
    Engine,
    Effect.map(Failpoints, (failpoints) => make(options, failpoints))
  )

export const make = (options: EmbeddedIndexOptions, failpoints: FailpointsService): EngineService => {
  const memory = new SearchMemory(options.memoryMiB ?? 256, options.scansTogether)
  const openAs =
    (access: Access) =>
    (ref: GenerationRef): Effect.Effect<EngineGeneration, EngineError, Scope.Scope> =>
      Effect.acquireRelease(
        attempt(() => {
          if (access === "write") clearDropped(options.directory)
          const folder = generationFolder(options.directory, ref)
          return GenerationFiles.open({ folder, ref, access, memory, failpoints })
        }),
        (files) => Effect.sync(() => files.close())
      ).pipe(Effect.map((files) => asGeneration(files, generationFolder(options.directory, ref), ref)))
  return Engine.of({
    open: openAs("write"),
    openReadOnly: openAs("read"),
    drop: (ref) => attempt(() => drop(options.directory, ref, failpoints)),
    hasFiles: (ref) => existsSync(generationFolder(options.directory, ref))
  })
}

/** Projects that are looked at in the caller's thread: a millisecond each. */
const mostVouched = 8

/**
 * The marker of a generation whose files hold just what it vouches for, no more and no less; `undefined` where that would
 * take long to say. Nothing is opened for writing. Throws as its reads do.
 */
export const vouched = (directory: string, ref: GenerationRef): Marker | undefined => {
  const folder = generationFolder(directory, ref)
  const memory = new SearchMemory(0)
  const files = GenerationFiles.open({ folder, ref, access: "read", memory, failpoints: inert })
  try {
    return files.vouched(mostVouched)
  } finally {
    files.close()
  }
}

const asGeneration = (files: GenerationFiles, folder: string, ref: GenerationRef): EngineGeneration => ({
  marker: attempt(() => files.marker()),
  rewind: (position) => attempt(() => files.rewind(position)),
  insert: (points) => attempt(() => files.insert(points)),
  end: (ended) => attempt(() => files.end(ended)),
  unseen: (isUnseen) => attempt(() => files.unseen(isUnseen)),
  mark: (marker) => attempt(() => files.mark(marker)),
  query: (query) => attempt(() => files.query(query)),
  scan: (at, scope) =>
    scope === undefined
      ? Stream.fromIterableEffect(attempt(() => files.projects(at))).pipe(
          Stream.flatMap((project) => scan(files, at, project))
        )
      : scan(files, at, scope),
  lookup: (scope, ids) => attempt(() => files.lookup(scope, ids)),
  checkDerived: (at) =>
    Effect.flatMap(
      attempt(() => files.projects(at)),
      (projects) =>
        Effect.map(
          Effect.forEach(projects, (project) => checkDerived(files, at, project)),
          (differences) => differences.flat()
        )
    ),
  readBack: (at, scope, elsewhere) =>
    Stream.unwrap(
      Effect.map(
        attempt(() => files.readBackParts(at, scope)),
        (starts) =>
          sharedReading(
            starts.map((from, place) => ({ folder, ref, at, scope, from, to: starts[place + 1] })),
            (part) => attempt(() => partOf(files, part)),
            elsewhere?.part
          ).pipe(Stream.map(({ points }) => points))
      )
    ),
  remove: (scope, ids) => attempt(() => files.remove(scope, ids)),
  sweep: (horizon) => attempt(() => files.sweep(horizon)),
  compact: attempt(() => files.compact()),
  lead: Effect.void,
  maintain: attempt(() => files.maintain())
})

const partOf = (files: GenerationFiles, { at, from, scope, to }: ReadBackPart): ReadPart => {
  const read = files.readBack(at, scope, from)
  return { points: read?.isSound === true && read.next === to ? read.points : undefined }
}

/** For whoever reads in another thread. Throws as its reads do; nothing stays open. */
export const readPart = (part: ReadBackPart): ReadPart => {
  const { folder, ref } = part
  const memory = new SearchMemory(0)
  const files = GenerationFiles.open({ folder, ref, access: "read", memory, failpoints: inert })
  try {
    return partOf(files, part)
  } finally {
    files.close()
  }
}

/** Points that a scan holds in memory at a time. */
const scanPage = 256

const scan = (files: GenerationFiles, at: number, scope: ProjectScope): Stream.Stream<Point, EngineError> =>
  Stream.paginateChunkEffect(scanStart, (key: ScanKey) =>
    attempt(() => {
      const { points, next } = files.scanPage(at, scope, key, scanPage)
      return [Chunk.unsafeFromArray([...points]), Option.fromNullable(next)] as const
    })
  )

/** A segment at a time, so that others get their turn. */
const checkDerived = (files: GenerationFiles, at: number, scope: ProjectScope) =>
  Effect.gen(function* () {
    const found: Array<DerivedDifference> = []
    for (let from: number | undefined = 0; from !== undefined; ) {
      const start: number = from
      const { differences, next } = yield* attempt(() => files.checkDerived(at, scope, start))
      found.push(...differences)
      from = next
      yield* Effect.yieldNow()
    }
    return found
  })

const attempt = <A>(run: () => A): Effect.Effect<A, EngineError> =>
  Effect.suspend(() => {
    try {
      return Effect.succeed(run())
    } catch (cause) {
      return cause instanceof EngineMismatch || cause instanceof EngineUnavailable
        ? Effect.fail(cause)
        : Effect.die(cause)
    }
  })

const droppedSuffix = ".dropped"

/**
 * Gone under its name at once, in pieces later: a reader finds a generation whole or absent. For good when this returns: its
 * state is deleted next, and where both are gone nobody looks for the rest.
 */
const drop = (directory: string, ref: GenerationRef, failpoints: FailpointsService): void => {
  const folder = generationFolder(directory, ref)
  failpoints.hit("generation.drop.before")
  clearDropped(directory)
  if (existsSync(folder)) renameSync(folder, folder + droppedSuffix)
  failpoints.hit("generation.drop.after")
  clearDropped(directory)
}

/** What an interrupted drop left. */
const clearDropped = (directory: string): void => {
  if (!existsSync(directory)) return
  for (const name of readdirSync(directory))
    if (name.endsWith(droppedSuffix)) rmSync(join(directory, name), { recursive: true, force: true })
  sync(directory)
}
