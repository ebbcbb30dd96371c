/**
 * The embedded runtime: everything in one process, no server. It holds the data directory's lock for as long as it lives.
 */
import { existsSync } from "node:fs"
import { Context, Effect, Layer } from "effect"
import * as CoordinatorBehaviour from "../../actors/Coordinator/Behaviour.ts"
import * as CoordinatorSettings from "../../actors/Coordinator/Settings.ts"
import * as Embedder from "../../actors/Embedder.ts"
import * as Promotion from "../../actors/Indexer/Promotion.ts"
import * as Indexer from "../../actors/Indexer.ts"
import * as Preparer from "../../actors/Ingestor/Preparer.ts"
import * as Roots from "../../actors/Ingestor/Roots.ts"
import * as Sync from "../../actors/Ingestor/Sync.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { Lane } from "../../events/Job.ts"
import { EmbeddingModel, type EmbeddingModelService } from "../embedding/EmbeddingModel.ts"
import { Providers } from "../embedding/Providers.ts"
import { Failpoints } from "../faults/Failpoints.ts"
import type { GenerationRef } from "../index/Index.ts"
import * as Projections from "../index/Projections.ts"
import { IndexRecovery } from "../index/Recovery.ts"
import { standing } from "../index/Standing.ts"
import * as ThreadProjections from "../index/ThreadProjections.ts"
import type { Content } from "../log/Content.ts"
import { Log } from "../log/Log.ts"
import * as ReadConnections from "../log/ReadConnections.ts"
import { ReadModels } from "../log/ReadModels.ts"
import * as RecentContent from "../log/RecentContent.ts"
import * as SqliteContent from "../log/SqliteContent.ts"
import * as SqliteLog from "../log/SqliteLog.ts"
import * as SqliteLogReader from "../log/SqliteLogReader.ts"
import * as SqliteReadModels from "../log/SqliteReadModels.ts"
import { openSnapshot } from "../log/SqliteSnapshot.ts"
import * as FilesReader from "../sources/FilesReader.ts"
import * as NodeFileTree from "../sources/NodeFileTree.ts"
import { startEarly } from "../threads/Thread.ts"
import type { Configuration } from "./Config.ts"
import { configuredBus } from "./ConfiguredBus.ts"
import { configuredModel } from "./ConfiguredModel.ts"
import { configuredSpec } from "./ConfiguredSpec.ts"
import * as EventLoop from "./EventLoop.ts"
import {
  type IndexOptions,
  indexContext,
  indexDirectory,
  indexOptions,
  qdrantIndex,
  stateDirectory,
  statePath
} from "./IndexContext.ts"
import * as Push from "./Push.ts"
import * as Reading from "./Reading.ts"
import { upon } from "./Upon.ts"
import { stateWitnesses } from "./Witnesses.ts"
import * as Writing from "./Writing.ts"

export interface EmbeddedOptions {
  readonly configuration: Pick<Configuration, "settings" | "directory">
  /** What the process is, for whoever finds the directory locked. */
  readonly command: string
  readonly acceptRollback?: boolean
  /** Failpoints to arm in the threads, in the notation of `armed`. */
  readonly failpoints?: string
  /**
   * Unless false, writing, preparing and indexing each run in threads of their own, so that nothing blocks the caller's.
   * In the caller's thread everything happens in one order, and a test's clock reaches all of it.
   */
  readonly threads?: boolean
  /** Waits for a NATS server that is not there yet, instead of failing. */
  readonly wait?: boolean
  /** What is worked on in this process; all of it unless given. */
  readonly lanes?: ReadonlyArray<Lane>
  /** Of the program, named where its workers are. */
  readonly version?: string
  /** Embeds instead of what is configured. */
  readonly model?: EmbeddingModelService
}

/** The log with its readers; the read connections are opened once the writer has made the files. */
const logged = (options: EmbeddedOptions) =>
  Effect.gen(function* () {
    const { acceptRollback, command, configuration, failpoints, threads = true } = options
    const directory = configuration.directory.path
    const opening = {
      directory,
      command,
      witnesses: stateWitnesses(directory),
      ...(acceptRollback && { acceptRollback })
    }
    const written = yield* upon(
      Context.empty(),
      threads
        ? SqliteLog.layer({ ...opening, ...(failpoints && { failpoints }) })
        : SqliteLog.layerInThread(opening)
    )
    const connected = yield* upon(written, ReadConnections.layer(directory))
    const witnesses = Effect.sync(() => stateWitnesses(directory))
    const followed = yield* upon(connected, SqliteLogReader.layerWithWriter({ directory, witnesses }))
    const modelled = yield* upon(followed, SqliteReadModels.layer)
    const stored = yield* upon(modelled, SqliteContent.layer)
    return yield* upon(stored, RecentContent.layer)
  })

/** The parsers are loaded where they run. */
const preparerInThread = Effect.promise(() => import("../../actors/Ingestor/PreparerInThread.ts"))

const preparer = ({ configuration, threads = true }: EmbeddedOptions) => {
  const { chunking, files } = configuration.settings
  const options = {
    chunkers: [chunking],
    limits: { maxBytes: files.maxBytes, maxChunks: Preparer.maxChunks }
  }
  return threads
    ? Effect.succeed(
        Preparer.layerInWorkers({ ...options, threads: files.jobs, timeout: Preparer.timeLimit })
      )
    : Effect.map(preparerInThread, ({ layer }) => layer(options))
}

const modelOf = ({ configuration: { settings }, model }: EmbeddedOptions) =>
  model === undefined
    ? configuredModel(settings)
    : Layer.merge(Layer.succeed(EmbeddingModel, model), Providers.layer)

/** A snapshot of its own for who reads synchronously, opened once the writer has made the files. */
const snapshotOf = (directory: string) =>
  Effect.acquireRelease(
    Effect.sync(() => openSnapshot(directory)),
    (one) => Effect.sync(() => one.close())
  )

const projections = ({ failpoints = "", threads = true }: EmbeddedOptions, index: IndexOptions) =>
  Effect.gen(function* () {
    const { directory } = index
    if (!threads) {
      const snapshot = yield* snapshotOf(directory)
      return Projections.layer(yield* indexContext(index, snapshot, yield* Failpoints))
    }
    const standings = standing({
      log: yield* Log,
      readModels: yield* ReadModels,
      indexDirectory: indexDirectory(directory),
      statePath: (ref: GenerationRef) => statePath(directory, ref)
    })
    return ThreadProjections.layer({ ...index, failpoints }, standings)
  })

/** The actors, each upon those that it asks. */
const acting = <A>(
  given: Context.Context<A | Log | ReadModels | Content | EmbeddingModel>,
  options: EmbeddedOptions,
  index: IndexOptions
) =>
  Effect.gen(function* () {
    const { settings } = options.configuration
    const { command: role, lanes = Lane.literals, wait = false } = options
    const version = options.version === undefined ? {} : { version: options.version }
    const supervised = yield* upon(given, Supervisor.layer)
    const connected = yield* upon(supervised, configuredBus(settings, { role, wait }))
    const reaching = yield* upon(connected, NodeFileTree.layer)
    const looking = yield* upon(reaching, FilesReader.layer({ maxFileBytes: settings.files.maxBytes }))
    const spec = configuredSpec(settings, Context.get(looking, EmbeddingModel))
    const deciding = Context.add(
      looking,
      CoordinatorSettings.Settings,
      CoordinatorSettings.usualSettings(spec)
    )
    const coordinated = yield* upon(deciding, CoordinatorBehaviour.layer)
    const projected = yield* upon(
      coordinated,
      yield* Effect.provide(projections(options, index), coordinated)
    )
    const indexing = Context.add(projected, IndexRecovery, settings.indexing.recovery)
    const indexed = yield* upon(indexing, Indexer.layer)
    const promoting = yield* upon(indexed, Promotion.layer)
    const syncing = yield* upon(promoting, Sync.layer({ heldShare: settings.files.removalThreshold }))
    const rooted = yield* upon(syncing, Roots.layer)
    if (lanes.includes("prepare")) {
      const slots = settings.files.jobs * 2
      const preparing = yield* upon(rooted, yield* preparer(options))
      yield* upon(preparing, Ingestor.layer({ ...Ingestor.usualSettings, ...version, slots }))
    }
    if (lanes.includes("embed"))
      yield* upon(rooted, Embedder.layer({ ...Embedder.usualSettings, ...version }))
    return rooted
  })

/** `Reader`, `Writer` and `Push` of a data directory, in this process. */
export const layer = (options: EmbeddedOptions) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const { directory, settings } = options.configuration
      const index = yield* reachableIndex(options.configuration)
      const { failpoints = "", threads = true } = options
      // Where a generation stands, it may have nothing to do.
      if (threads && !existsSync(stateDirectory(directory.path)))
        yield* startEarly([ThreadProjections.needed({ ...index, failpoints })])
      yield* upon(Context.empty(), EventLoop.layer)
      const modelled = yield* upon(yield* logged(options), modelOf(options))
      const acted = yield* acting(modelled, options, index)
      const searched = { index: { ...index, scansTogether: threads }, bus: settings.bus }
      const snapshot = yield* snapshotOf(directory.path)
      const read = yield* upon(
        acted,
        Reading.layer({ ...searched, denseWeight: settings.search.denseWeight }, snapshot)
      )
      const pushed = yield* upon(read, Push.layer)
      return yield* upon(pushed, Writing.layer(settings))
    })
  )

/** What is configured is what runs: a server that is not there at the start is an error, not a reason to do without. */
const reachableIndex = ({ directory, settings }: EmbeddedOptions["configuration"]) =>
  Effect.tap(indexOptions(directory.path, settings), ({ qdrant }) =>
    settings.index === "qdrant" && qdrant !== undefined
      ? Effect.flatMap(qdrantIndex, ({ reach }) => reach(qdrant))
      : Effect.void
  )
