/** The thread in which generations are folded, applied, verified and dropped. */
import { Effect, Layer, ManagedRuntime } from "effect"
import { armed, Failpoints, inert } from "../../faults/Failpoints.ts"
import {
  layer,
  Projections,
  type ProjectionsError,
  type ProjectionsService
} from "../../index/Projections.ts"
import { crossing, type IndexerOperations, type IndexerThreadData } from "../../index/ThreadProjections.ts"
import { openSnapshot } from "../../log/SqliteSnapshot.ts"
import { indexContext } from "../../runtime/IndexContext.ts"
import { serve, threadData } from "../Thread.ts"

const data = threadData as IndexerThreadData
const failpoints = data.failpoints === "" ? inert : armed(data.failpoints)
const context = indexContext(data.directory, openSnapshot(data.directory), data.memoryMiB, failpoints)

const runtime = ManagedRuntime.make(
  layer(context).pipe(Layer.provideMerge(Layer.succeed(Failpoints, failpoints)))
)

const ask = <A>(what: (projections: ProjectionsService) => Effect.Effect<A, ProjectionsError>) =>
  runtime.runPromise(crossing(Effect.flatMap(Projections, what)))

const operations: IndexerOperations = {
  advance: (generation) => ask((projections) => projections.advance(generation)),
  status: (generation) => ask((projections) => projections.status(generation)),
  verify: ({ generation, options }) => ask((projections) => projections.verify(generation, options)),
  recompute: (generation) => ask((projections) => projections.recompute(generation)),
  maintain: (generation) => ask((projections) => projections.maintain(generation)),
  drop: (generation) => ask((projections) => projections.drop(generation)),
  clear: () => ask((projections) => projections.clear),
  reset: (generation) => ask((projections) => projections.reset(generation))
}

serve(operations)
