/** The server as it runs: the real actors over the real log, index and search, all of it in the thread of its caller. */
import { Context, Duration, Effect, type Layer } from "effect"
import * as CoordinatorBehaviour from "../../actors/Coordinator/Behaviour.ts"
import { Settings, usualSettings } from "../../actors/Coordinator/Settings.ts"
import type { Coordinator } from "../../actors/Coordinator.ts"
import * as Embedder from "../../actors/Embedder.ts"
import * as Promotion from "../../actors/Indexer/Promotion.ts"
import * as Indexer from "../../actors/Indexer.ts"
import type { Preparer } from "../../actors/Ingestor/Preparer.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import type { Spec } from "../../events/index.ts"
import type { Bus } from "../../src/bus/Bus.ts"
import { EmbeddingModel, type EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import { Failpoints, type FailpointsService } from "../../src/faults/Failpoints.ts"
import * as Projections from "../../src/index/Projections.ts"
import type { Content } from "../../src/log/Content.ts"
import type { Log } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import type { ReadModels } from "../../src/log/ReadModels.ts"
import * as SqliteContent from "../../src/log/SqliteContent.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import * as SqliteLogReader from "../../src/log/SqliteLogReader.ts"
import * as SqliteReadModels from "../../src/log/SqliteReadModels.ts"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"
import { indexContext } from "../../src/runtime/IndexContext.ts"
import { upon } from "../../src/runtime/Upon.ts"
import { stateWitnesses } from "../../src/runtime/Witnesses.ts"
import * as HybridSearch from "../../src/search/HybridSearch.ts"
import type { Search } from "../../src/search/Search.ts"

export interface ServerOptions {
  readonly directory: string
  readonly spec: Spec
  readonly model: EmbeddingModelService
  readonly preparer: Layer.Layer<Preparer>
  readonly bus: Layer.Layer<Bus>
  readonly failpoints: FailpointsService
}

export type Served =
  | Content
  | Coordinator
  | Indexer.Indexer
  | Projections.Projections
  | Promotion.Promotion
  | Search
  | ReadModels
  | Supervisor
  | Log

const snapshotOf = (directory: string) =>
  Effect.acquireRelease(
    Effect.sync(() => openSnapshot(directory)),
    (one) => Effect.sync(() => one.close())
  )

/** From the log up, in the order of the runtime's own layers. */
export const server = ({ bus, directory, failpoints, model, preparer, spec }: ServerOptions) =>
  Effect.gen(function* () {
    const settings = {
      ...usualSettings(spec),
      unclaimed: Duration.seconds(3),
      lease: Duration.seconds(3),
      lanes: { prepare: { window: 4, limitMs: 60_000 }, embed: { window: 24, limitMs: 60_000 } },
      open: 16
    }
    const outside = Context.make(Failpoints, failpoints).pipe(
      Context.add(EmbeddingModel, model),
      Context.add(Settings, settings)
    )
    const witnesses = Effect.sync(() => stateWitnesses(directory))
    const written = yield* upon(
      outside,
      SqliteLog.layerInThread({ directory, witnesses: stateWitnesses(directory) })
    )
    const connected = yield* upon(written, ReadConnections.layer(directory))
    const logged = yield* upon(connected, SqliteLogReader.layerWithWriter({ directory, witnesses }))
    const modelled = yield* upon(logged, SqliteReadModels.layer)
    const stored = yield* upon(modelled, SqliteContent.layer)
    const prepared = yield* upon(yield* upon(yield* upon(stored, preparer), bus), Supervisor.layer)
    const coordinated = yield* upon(prepared, CoordinatorBehaviour.layer)
    // One snapshot for both: each opens connections and prepares statements, which is much of a short life.
    const snapshot = yield* snapshotOf(directory)
    const indexing = { directory, memoryMiB: 16, qdrant: undefined }
    const context = yield* indexContext(indexing, snapshot, failpoints)
    const projected = yield* upon(coordinated, Projections.layer(context))
    const searched = yield* upon(
      projected,
      HybridSearch.layer(context, { keptChunks: 1000, denseWeight: undefined })
    )
    const indexed = yield* upon(searched, Indexer.layer)
    const promoted = yield* upon(indexed, Promotion.layer)
    const ingesting = { ...Ingestor.usualSettings, slots: 3, heartbeat: Duration.seconds(1) }
    const ingested = yield* upon(promoted, Ingestor.layer(ingesting))
    const embedding = { ...Embedder.usualSettings, heartbeat: Duration.seconds(1) }
    const whole: Context.Context<Served> = yield* upon(ingested, Embedder.layer(embedding))
    return whole
  })
