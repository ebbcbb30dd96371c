/** The thread in which generations are folded, applied, verified and dropped. */
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { armed, Failpoints, inert } from "../../faults/Failpoints.ts"
import {
  layer,
  Projections,
  type ProjectionsError,
  type ProjectionsService
} from "../../index/Projections.ts"
import { type CrossingThreadData, crossing, type IndexerOperations } from "../../index/ThreadProjections.ts"
import { make as readAhead } from "../../index/ThreadReadAhead.ts"
import type { LogSnapshot } from "../../log/LogSnapshot.ts"
import { openSnapshot } from "../../log/SqliteSnapshot.ts"
import { indexContext } from "../../runtime/IndexContext.ts"
import { serve, threadData } from "../ThreadEntry.ts"

const data = threadData as CrossingThreadData
const failpoints = data.failpoints === "" ? inert : armed(data.failpoints)
const { qdrant } = data
const options = {
  ...data,
  qdrant: qdrant && {
    ...qdrant,
    apiKey: qdrant.apiKey === undefined ? undefined : Redacted.make(qdrant.apiKey)
  }
}

const open = (snapshot: LogSnapshot) => {
  const context = Effect.map(indexContext(options, snapshot, failpoints), (found) => ({
    ...found,
    readAhead: readAhead({ directory: data.directory })
  }))
  return ManagedRuntime.make(
    Layer.unwrapScoped(Effect.map(context, layer)).pipe(
      Layer.provideMerge(Layer.succeed(Failpoints, failpoints))
    )
  )
}

let opened: ReturnType<typeof open> | undefined

const ask = <A>(what: (projections: ProjectionsService) => Effect.Effect<A, ProjectionsError>) => {
  // With the first request: the thread may have been started before there was a log.
  opened ??= open(openSnapshot(data.directory))
  return opened.runPromise(crossing(Effect.flatMap(Projections, what)))
}

const operations: IndexerOperations = {
  advance: (generation) => ask((projections) => projections.advance(generation)),
  status: (generation) => ask((projections) => projections.status(generation)),
  verify: ({ generation, options }) => ask((projections) => projections.verify(generation, options)),
  sweep: ({ generation, options }) => ask((projections) => projections.sweep(generation, options)),
  eraseDocuments: ({ documents, generation }) =>
    ask((projections) => projections.eraseDocuments(generation, documents)),
  recompute: (generation) => ask((projections) => projections.recompute(generation)),
  maintain: (generation) => ask((projections) => projections.maintain(generation)),
  drop: (generation) => ask((projections) => projections.drop(generation)),
  clear: () => ask((projections) => projections.clear),
  reset: (generation) => ask((projections) => projections.reset(generation))
}

serve(operations)
