/** The server as it runs: the real actors over the real log, index and search, all of it in the thread of its caller. */
import { Duration, Effect, Layer } from "effect"
import * as CoordinatorBehaviour from "../../actors/Coordinator/Behaviour.ts"
import { Settings, usualSettings } from "../../actors/Coordinator/Settings.ts"
import type { Coordinator } from "../../actors/Coordinator.ts"
import * as Embedder from "../../actors/Embedder.ts"
import * as Promotion from "../../actors/Indexer/Promotion.ts"
import * as Indexer from "../../actors/Indexer.ts"
import type * as Preparer from "../../actors/Ingestor/Preparer.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import type { Spec } from "../../events/index.ts"
import type { Bus } from "../../src/bus/Bus.ts"
import { EmbeddingModel, type EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import { Failpoints, type FailpointsService } from "../../src/faults/Failpoints.ts"
import * as Projections from "../../src/index/Projections.ts"
import { Log } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import type { ReadModels } from "../../src/log/ReadModels.ts"
import * as SqliteContent from "../../src/log/SqliteContent.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import * as SqliteLogReader from "../../src/log/SqliteLogReader.ts"
import * as SqliteReadModels from "../../src/log/SqliteReadModels.ts"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"
import { indexContext } from "../../src/runtime/IndexContext.ts"
import { stateWitnesses } from "../../src/runtime/Witnesses.ts"
import * as HybridSearch from "../../src/search/HybridSearch.ts"
import type { Search } from "../../src/search/Search.ts"

export interface ServerOptions {
  readonly directory: string
  readonly spec: Spec
  readonly model: EmbeddingModelService
  readonly preparer: Layer.Layer<Preparer.Preparer>
  readonly bus: Layer.Layer<Bus>
  readonly failpoints: FailpointsService
}

export type Served =
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
    Effect.zipRight(
      Log,
      Effect.sync(() => openSnapshot(directory))
    ),
    (one) => Effect.sync(() => one.close())
  )

const log = (directory: string) => {
  const witnesses = Effect.sync(() => stateWitnesses(directory))
  return Layer.mergeAll(
    SqliteLogReader.layerWithWriter({ directory, witnesses }),
    SqliteReadModels.layer,
    SqliteContent.layer
  ).pipe(
    Layer.provideMerge(Layer.unwrapEffect(Effect.as(Log, ReadConnections.layer(directory)))),
    Layer.provideMerge(
      Layer.unwrapEffect(
        Effect.map(witnesses, (seen) => SqliteLog.layerInThread({ directory, witnesses: seen }))
      )
    )
  )
}

export const server = ({ bus, directory, failpoints, model, preparer, spec }: ServerOptions) => {
  const indexing = { directory, memoryMiB: 16, qdrant: undefined }
  const context = Effect.flatMap(snapshotOf(directory), (snapshot) =>
    indexContext(indexing, snapshot, failpoints)
  )
  return Layer.mergeAll(
    Promotion.layer,
    Ingestor.layer({ ...Ingestor.usualSettings, slots: 3, heartbeat: Duration.seconds(1) }),
    Embedder.layer({ ...Embedder.usualSettings, heartbeat: Duration.seconds(1) })
  ).pipe(
    Layer.provideMerge(Indexer.layer),
    Layer.provideMerge(
      // One snapshot for both: each opens connections and prepares statements, which is much of a short life.
      Layer.unwrapScoped(
        Effect.map(context, (one) =>
          Layer.merge(
            Projections.layer(one),
            HybridSearch.layer(one, { keptChunks: 1000, denseWeight: undefined })
          )
        )
      )
    ),
    Layer.provideMerge(CoordinatorBehaviour.layer),
    Layer.provideMerge(
      Layer.mergeAll(
        preparer,
        bus,
        Layer.succeed(EmbeddingModel, model),
        Layer.succeed(Settings, {
          ...usualSettings(spec),
          unclaimed: Duration.seconds(3),
          lease: Duration.seconds(3),
          lanes: { prepare: { window: 4, limitMs: 60_000 }, embed: { window: 24, limitMs: 60_000 } },
          open: 16
        }),
        Supervisor.layer
      )
    ),
    Layer.provideMerge(log(directory)),
    Layer.provide(Layer.succeed(Failpoints, failpoints))
  )
}
