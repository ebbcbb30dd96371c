/**
 * The embedded runtime: everything in one process, no server. It holds the data directory's lock for as long as it lives.
 */
import { Duration, Effect, Layer } from "effect"
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
import * as InProcessBus from "../bus/InProcessBus.ts"
import { EmbeddingModel } from "../embedding/EmbeddingModel.ts"
import { Providers } from "../embedding/Providers.ts"
import * as ThreadProjections from "../index/ThreadProjections.ts"
import { Log } from "../log/Log.ts"
import * as ReadConnections from "../log/ReadConnections.ts"
import { ReadModels } from "../log/ReadModels.ts"
import * as SqliteContent from "../log/SqliteContent.ts"
import * as SqliteLog from "../log/SqliteLog.ts"
import * as SqliteLogReader from "../log/SqliteLogReader.ts"
import * as SqliteReadModels from "../log/SqliteReadModels.ts"
import { openSnapshot } from "../log/SqliteSnapshot.ts"
import * as FilesReader from "../sources/FilesReader.ts"
import * as NodeFileTree from "../sources/NodeFileTree.ts"
import { analyzerFor } from "./Analyzers.ts"
import type { Configuration } from "./Config.ts"
import { configuredSpec } from "./ConfiguredSpec.ts"
import { modelLayer } from "./Models.ts"
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
}

/** The log with its readers; the read connections are opened once the writer has made the files. */
const logLayer = ({ acceptRollback, command, configuration, failpoints }: EmbeddedOptions) => {
  const directory = configuration.directory.path
  const writer = Layer.unwrapEffect(
    Effect.sync(() =>
      SqliteLog.layer({
        directory,
        command,
        witnesses: stateWitnesses(directory),
        ...(acceptRollback && { acceptRollback }),
        ...(failpoints && { failpoints })
      })
    )
  )
  const connections = Layer.unwrapEffect(Effect.as(Log, ReadConnections.layer(directory)))
  const witnesses = Effect.sync(() => stateWitnesses(directory))
  return Layer.mergeAll(
    SqliteLogReader.layerWithWriter({ directory, witnesses }),
    SqliteReadModels.layer,
    SqliteContent.layer
  ).pipe(Layer.provideMerge(connections), Layer.provideMerge(writer))
}

/** The configured model. What generations remember of it spares asking its provider for the dimensions. */
export const configuredModel = (settings: Settings) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const readModels = yield* ReadModels
      const known = (yield* readModels.generations).map(({ spec }) => ({
        model: spec.model,
        dimensions: spec.dimensions
      }))
      return modelLayer(settings.embedding, analyzerFor(settings.language), known)
    })
  ).pipe(Layer.provideMerge(Providers.layer))

const coordinatorSettings = (settings: Settings) =>
  Layer.effect(
    CoordinatorSettings.Settings,
    Effect.map(EmbeddingModel, (model) => CoordinatorSettings.usualSettings(configuredSpec(settings, model)))
  )

const actors = (options: EmbeddedOptions) => {
  const { settings, directory } = options.configuration
  const limits = { maxBytes: settings.files.maxBytes, maxChunks: 50_000 }
  const preparer = Preparer.layerInWorkers({
    chunkers: [settings.chunking],
    limits,
    threads: settings.files.jobs,
    timeout: Duration.minutes(2)
  })
  const ingestor = Ingestor.layer({ ...Ingestor.usualSettings, slots: settings.files.jobs * 2 }).pipe(
    Layer.provide(preparer)
  )
  const projections = Layer.unwrapEffect(
    Effect.as(
      Log,
      ThreadProjections.layer({
        directory: directory.path,
        memoryMiB: settings.search.memoryMiB,
        failpoints: options.failpoints ?? ""
      })
    )
  )
  const files = FilesReader.layer({ maxFileBytes: settings.files.maxBytes }).pipe(
    Layer.provideMerge(NodeFileTree.layer)
  )
  const workers = Layer.merge(ingestor, Embedder.layer())
  const sync = Layer.provideMerge(Roots.layer, Sync.layer({ heldShare: settings.files.removalThreshold }))
  return Layer.mergeAll(Promotion.layer, sync, workers).pipe(
    Layer.provideMerge(Indexer.layer),
    Layer.provideMerge(projections),
    Layer.provideMerge(CoordinatorBehaviour.layer),
    Layer.provideMerge(coordinatorSettings(settings)),
    Layer.provideMerge(files),
    Layer.provideMerge(InProcessBus.layer()),
    Layer.provideMerge(Supervisor.layer)
  )
}

/** `Reader` and `Writer` of a data directory, in this process. */
export const layer = (options: EmbeddedOptions) => {
  const { settings, directory } = options.configuration
  const snapshot = Effect.acquireRelease(
    Effect.zipRight(
      Log,
      Effect.sync(() => openSnapshot(directory.path))
    ),
    (one) => Effect.sync(() => one.close())
  )
  const reading = Layer.unwrapScoped(
    Effect.map(snapshot, (one) =>
      Reading.layer(
        {
          directory: directory.path,
          searchMemoryMiB: settings.search.memoryMiB,
          denseWeight: settings.search.denseWeight
        },
        one
      )
    )
  )
  return Writing.layer(settings).pipe(
    Layer.provideMerge(reading),
    Layer.provideMerge(actors(options)),
    Layer.provideMerge(configuredModel(settings)),
    Layer.provideMerge(logLayer(options))
  )
}
