/**
 * The embedded runtime: everything in one process, no server. It holds the data directory's lock for as long as it lives.
 */
import { existsSync } from "node:fs"
import { Effect, Layer } from "effect"
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
import type { Settings } from "./Settings.ts"
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
const logLayer = (options: EmbeddedOptions) => {
  const { acceptRollback, command, configuration, failpoints, threads = true } = options
  const directory = configuration.directory.path
  const writer = Layer.unwrapEffect(
    Effect.sync(() => {
      const opening = {
        directory,
        command,
        witnesses: stateWitnesses(directory),
        ...(acceptRollback && { acceptRollback })
      }
      return threads
        ? SqliteLog.layer({ ...opening, ...(failpoints && { failpoints }) })
        : SqliteLog.layerInThread(opening)
    })
  )
  const connections = Layer.unwrapEffect(Effect.as(Log, ReadConnections.layer(directory)))
  const witnesses = Effect.sync(() => stateWitnesses(directory))
  return Layer.mergeAll(
    SqliteLogReader.layerWithWriter({ directory, witnesses }),
    SqliteReadModels.layer,
    SqliteContent.layer
  ).pipe(Layer.provideMerge(connections), Layer.provideMerge(writer))
}

const logWithRecent = (options: EmbeddedOptions) =>
  RecentContent.layer.pipe(Layer.provideMerge(logLayer(options)))

const coordinatorSettings = (settings: Settings) =>
  Layer.effect(
    CoordinatorSettings.Settings,
    Effect.map(EmbeddingModel, (model) => CoordinatorSettings.usualSettings(configuredSpec(settings, model)))
  )

/** The parsers are loaded where they run. */
const preparerInThread = Effect.promise(() => import("../../actors/Ingestor/PreparerInThread.ts"))

const preparer = ({ configuration, threads = true }: EmbeddedOptions) => {
  const { chunking, files } = configuration.settings
  const options = {
    chunkers: [chunking],
    limits: { maxBytes: files.maxBytes, maxChunks: Preparer.maxChunks }
  }
  return threads
    ? Preparer.layerInWorkers({ ...options, threads: files.jobs, timeout: Preparer.timeLimit })
    : Layer.unwrapEffect(Effect.map(preparerInThread, ({ layer }) => layer(options)))
}

const modelOf = ({ configuration: { settings }, model }: EmbeddedOptions) =>
  model === undefined
    ? configuredModel(settings)
    : Layer.merge(Layer.succeed(EmbeddingModel, model), Providers.layer)

/** A snapshot of its own for who reads synchronously, opened once the writer has made the files. */
const snapshotOf = (directory: string) =>
  Effect.acquireRelease(
    Effect.zipRight(
      Log,
      Effect.sync(() => openSnapshot(directory))
    ),
    (one) => Effect.sync(() => one.close())
  )

const projections = ({ failpoints = "", threads = true }: EmbeddedOptions, index: IndexOptions) =>
  threads
    ? Layer.unwrapEffect(
        Effect.zipWith(Log, ReadModels, (log, readModels) => {
          const { directory } = index
          const places = {
            indexDirectory: indexDirectory(directory),
            statePath: (ref: GenerationRef) => statePath(directory, ref)
          }
          return ThreadProjections.layer({ ...index, failpoints }, standing({ log, readModels, ...places }))
        })
      )
    : Layer.unwrapScoped(
        Effect.gen(function* () {
          const snapshot = yield* snapshotOf(index.directory)
          return Projections.layer(yield* indexContext(index, snapshot, yield* Failpoints))
        })
      )

const actors = (options: EmbeddedOptions, index: IndexOptions) => {
  const { settings } = options.configuration
  const { lanes = Lane.literals } = options
  const version = options.version === undefined ? {} : { version: options.version }
  const slots = settings.files.jobs * 2
  const ingestor = Ingestor.layer({ ...Ingestor.usualSettings, ...version, slots }).pipe(
    Layer.provide(preparer(options))
  )
  const files = FilesReader.layer({ maxFileBytes: settings.files.maxBytes }).pipe(
    Layer.provideMerge(NodeFileTree.layer)
  )
  const workers = Layer.merge(
    lanes.includes("prepare") ? ingestor : Layer.empty,
    lanes.includes("embed") ? Embedder.layer({ ...Embedder.usualSettings, ...version }) : Layer.empty
  )
  const sync = Layer.provideMerge(Roots.layer, Sync.layer({ heldShare: settings.files.removalThreshold }))
  return Layer.mergeAll(Promotion.layer, sync, workers).pipe(
    Layer.provideMerge(
      Layer.provide(Indexer.layer, Layer.succeed(IndexRecovery, settings.indexing.recovery))
    ),
    Layer.provideMerge(projections(options, index)),
    Layer.provideMerge(CoordinatorBehaviour.layer),
    Layer.provideMerge(coordinatorSettings(settings)),
    Layer.provideMerge(files),
    Layer.provideMerge(configuredBus(settings, { role: options.command, wait: options.wait ?? false })),
    Layer.provideMerge(Supervisor.layer)
  )
}

/** `Reader`, `Writer` and `Push` of a data directory, in this process. */
export const layer = (options: EmbeddedOptions) =>
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const index = yield* reachableIndex(options.configuration)
      const { failpoints = "", threads = true } = options
      // Where a generation stands, it may have nothing to do.
      const { directory } = options.configuration
      if (threads && !existsSync(stateDirectory(directory.path)))
        yield* startEarly([ThreadProjections.needed({ ...index, failpoints })])
      return layerOn(options, index)
    })
  )

/** What is configured is what runs: a server that is not there at the start is an error, not a reason to do without. */
const reachableIndex = ({ directory, settings }: EmbeddedOptions["configuration"]) =>
  Effect.tap(indexOptions(directory.path, settings), ({ qdrant }) =>
    settings.index === "qdrant" && qdrant !== undefined
      ? Effect.flatMap(qdrantIndex, ({ reach }) => reach(qdrant))
      : Effect.void
  )

const layerOn = (options: EmbeddedOptions, index: IndexOptions) => {
  const { settings, directory } = options.configuration
  const searched = { ...index, scansTogether: options.threads ?? true }
  const reading = Layer.unwrapScoped(
    Effect.map(snapshotOf(directory.path), (one) =>
      Reading.layer({ index: searched, denseWeight: settings.search.denseWeight, bus: settings.bus }, one)
    )
  )
  return Layer.merge(Writing.layer(settings), Push.layer).pipe(
    Layer.provideMerge(reading),
    Layer.provideMerge(actors(options, index)),
    Layer.provideMerge(modelOf(options)),
    Layer.provideMerge(logWithRecent(options)),
    Layer.provideMerge(EventLoop.layer)
  )
}
