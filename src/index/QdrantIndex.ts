/**
 * The engine on a Qdrant server: a collection per generation and epoch, shared by all projects.
 *
 * This layer only puts the parts together; see `qdrant/` for what a collection is called and holds, how a query stays
 * exact, and what a failing request means.
 */
import { Effect, Layer, type Scope, Stream } from "effect"
import { Failpoints, type FailpointsService } from "../faults/Failpoints.ts"
import {
  Engine,
  type EngineError,
  type EngineGeneration,
  type EngineService,
  type EngineUnavailable,
  type GenerationRef
} from "./Index.ts"
import { Collection, type CollectionSettings, markerRecord, type StoredMarker } from "./qdrant/Collection.ts"
import { CollectionPoints } from "./qdrant/CollectionPoints.ts"
import { search } from "./qdrant/CollectionQuery.ts"
import {
  type Connection,
  type ConnectionSettings,
  connect,
  mismatch,
  type Server
} from "./qdrant/Connection.ts"

export type QdrantSettings = ConnectionSettings & CollectionSettings

export const layer = (settings: QdrantSettings): Layer.Layer<Engine> =>
  Layer.scoped(
    Engine,
    Effect.flatMap(Failpoints, (failpoints) => make(settings, failpoints))
  )

/** Asks the server nothing yet. */
export const make = (
  settings: QdrantSettings,
  failpoints: FailpointsService
): Effect.Effect<EngineService, never, Scope.Scope> =>
  Effect.map(connect(settings), (connection) => engineOn(connection, settings, failpoints))

/** Whether the server is there, is a Qdrant, and is new enough. */
export const reach = (settings: QdrantSettings): Effect.Effect<Server, EngineUnavailable> =>
  Effect.scoped(Effect.flatMap(connect(settings), ({ server }) => server))

const engineOn = (
  connection: Connection,
  settings: CollectionSettings & { readonly exact: boolean },
  failpoints: FailpointsService
): EngineService => {
  const open = (
    ref: GenerationRef,
    admit: (collection: Collection) => Effect.Effect<void, EngineError>
  ): Effect.Effect<EngineGeneration, EngineError> =>
    Effect.gen(function* () {
      const server = yield* connection.server
      const collection = new Collection(connection, settings, ref)
      yield* admit(collection)
      return generationOn(collection, server, settings, failpoints)
    })
  return Engine.of({
    open: (ref) => open(ref, (collection) => collection.prepare),
    openReadOnly: (ref) => open(ref, (collection) => collection.check),
    drop: (ref) =>
      Effect.gen(function* () {
        failpoints.hit("generation.drop.before")
        yield* new Collection(connection, settings, ref).drop
        failpoints.hit("generation.drop.after")
      })
  })
}

const generationOn = (
  collection: Collection,
  { insertsOnly }: Server,
  { exact }: CollectionSettings,
  failpoints: FailpointsService
): EngineGeneration => {
  const points = new CollectionPoints(collection, insertsOnly, failpoints)
  const put = (marker: StoredMarker) => points.put({ points: [markerRecord(marker)] })
  /** Searches are told before points that they may find are changed; the next mark says that it is over. */
  const begin = Effect.gen(function* () {
    const stored = yield* collection.marker
    if (stored !== undefined && !stored.isMoving)
      yield* put({ ...stored, moves: stored.moves + 1, isMoving: true })
  })
  return {
    marker: Effect.map(
      collection.marker,
      (stored) =>
        stored && {
          logId: stored.logId,
          epoch: stored.epoch,
          checkpoint: stored.checkpoint,
          horizon: stored.horizon
        }
    ),
    mark: (marker) =>
      Effect.gen(function* () {
        failpoints.hit("index.marker.before")
        const moves = (yield* collection.marker)?.moves ?? 0
        yield* put({ ...marker, moves, isMoving: false })
        failpoints.hit("index.marker.after")
      }),
    rewind: (position) =>
      Effect.gen(function* () {
        const stored = yield* collection.marker
        if (stored === undefined) return yield* points.rewind(position)
        const { checkpoint, moves } = stored
        const lowered = { ...stored, checkpoint: Math.min(checkpoint, position), moves: moves + 1 }
        yield* put({ ...lowered, isMoving: true })
        yield* points.rewind(position)
        yield* put({ ...lowered, isMoving: false })
      }),
    insert: (added) => points.insert(added),
    end: (ended) => (ended.length === 0 ? Effect.void : Effect.zipRight(begin, points.end(ended))),
    query: (query) => {
      const { dimensions } = collection.ref.spec
      return query.dense !== undefined && query.dense.length !== dimensions
        ? mismatch("foreign", `it holds ${dimensions} dimensions, the query has ${query.dense.length}.`)
        : search(collection, query, exact)
    },
    scan: (at, scope) =>
      scope === undefined
        ? Stream.flatMap(points.projects(at), (project) => points.scan(at, project))
        : points.scan(at, scope),
    lookup: (scope, ids) => points.lookup(scope, ids),
    checkDerived: (at) => points.checkDerived(at),
    remove: (scope, ids) => points.remove(scope, ids),
    sweep: (horizon) => points.sweep(horizon),
    // The server's own upkeep writes its segments anew, when it thinks fit.
    compact: Effect.void,
    lead: collection.lead,
    maintain: Effect.succeed(false)
  }
}
