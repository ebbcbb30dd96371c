/**
 * The projections in a thread of their own: asks go in as messages, typed failures come back as what they are.
 */
import { Effect, Either, Layer, Redacted, Schema } from "effect"
import type { DocumentId, GenerationId } from "../../events/Ids.ts"
import { UnknownEvent } from "../../events/Upcasters.ts"
import { spawnAnew } from "../threads/Thread.ts"
import type { Needed } from "../threads/Workers.ts"
import { EngineMismatch, EngineUnavailable } from "./Index.ts"
import type { Applied, ProjectionStatus } from "./Projection.ts"
import { type ProjectionError, ProjectionStopped } from "./Projection.ts"
import { Projections, type ProjectionsError, type ProjectionsService } from "./Projections.ts"
import type { QdrantSettings } from "./QdrantIndex.ts"
import type { Recovery } from "./Recovery.ts"
import type { Standing } from "./Standing.ts"
import type { SweepOptions, Swept } from "./Sweep.ts"
import type { VerifyOptions } from "./Verify.ts"
import type { Recomputed, VerifyReport } from "./VerifyReport.ts"

/** What the thread is started with. */
export interface IndexerThreadData {
  readonly directory: string
  /** Bound of what the embedded engine keeps in memory, MiB. */
  readonly memoryMiB: number
  readonly recovery?: Recovery
  readonly qdrant: QdrantSettings | undefined
  /** Failpoints to arm, in the notation of `armed`. */
  readonly failpoints: string
}

const Failure = Schema.Union(EngineMismatch, EngineUnavailable, ProjectionStopped, UnknownEvent)
type Failure = typeof Failure.Encoded

/** An answer as it crosses: structured clone keeps no classes. */
export type Crossing<A> = { readonly ok: A } | { readonly failure: Failure }

export type IndexerOperations = {
  readonly advance: (generation: GenerationId) => Promise<Crossing<Applied>>
  readonly status: (generation: GenerationId) => Promise<Crossing<ProjectionStatus>>
  readonly verify: (ask: {
    readonly generation: GenerationId
    readonly options: VerifyOptions
  }) => Promise<Crossing<VerifyReport>>
  readonly recompute: (generation: GenerationId) => Promise<Crossing<Recomputed>>
  readonly sweep: (ask: {
    readonly generation: GenerationId
    readonly options: SweepOptions
  }) => Promise<Crossing<Swept>>
  readonly eraseDocuments: (ask: {
    readonly generation: GenerationId
    readonly documents: ReadonlyArray<DocumentId>
  }) => Promise<Crossing<number>>
  readonly maintain: (generation: GenerationId) => Promise<Crossing<boolean>>
  readonly drop: (generation: GenerationId) => Promise<Crossing<void>>
  readonly clear: (argument: undefined) => Promise<Crossing<number>>
  readonly reset: (generation: GenerationId) => Promise<Crossing<void>>
}

const encodeFailure = Schema.encodeSync(Failure)
const decodeFailure = Schema.decodeSync(Failure)

/** In the thread: an ask's effect as what crosses. There are no threads below this one. */
export const crossing = <A, R>(
  effect: Effect.Effect<A, ProjectionsError, R>
): Effect.Effect<Crossing<A>, never, R> =>
  Effect.map(
    Effect.either(Effect.catchTag(effect, "ThreadFailed", (failed) => Effect.die(failed))),
    Either.match({
      onLeft: (failure): Crossing<A> => ({ failure: encodeFailure(failure) }),
      onRight: (ok): Crossing<A> => ({ ok })
    })
  )

const arrived = <A>(crossed: Crossing<A>): Effect.Effect<A, ProjectionError> =>
  "ok" in crossed ? Effect.succeed(crossed.ok) : Effect.fail(decodeFailure(crossed.failure))

/** As it crosses: structured clone keeps no classes, and the key stays within the process. */
export type CrossingThreadData = Omit<IndexerThreadData, "qdrant"> & {
  readonly qdrant: (Omit<QdrantSettings, "apiKey"> & { readonly apiKey: string | undefined }) | undefined
}

const crossingData = ({ qdrant, ...data }: IndexerThreadData): CrossingThreadData => ({
  ...data,
  qdrant: qdrant && {
    ...qdrant,
    apiKey: qdrant.apiKey === undefined ? undefined : Redacted.value(qdrant.apiKey)
  }
})

/** What the thread is started with, for whoever starts it before it is asked for. */
export const needed = (data: IndexerThreadData): Needed => ({ name: "indexer", data: crossingData(data) })

/** The thread starts with the first request that `standing` does not make unnecessary. */
export const layer = (data: IndexerThreadData, standing: Standing): Layer.Layer<Projections> =>
  Layer.scoped(
    Projections,
    Effect.map(spawnAnew<IndexerOperations>("indexer", crossingData(data)), (thread): ProjectionsService => {
      const ask =
        <Name extends "advance" | "status" | "recompute" | "maintain" | "drop" | "reset">(name: Name) =>
        (generation: GenerationId) =>
          thread.call(name, generation)
      const clear = Effect.flatMap(thread.call("clear", undefined), arrived)
      return {
        standing: standing.checkpoint,
        ready: thread.ready,
        advance: (generation) => Effect.flatMap(ask("advance")(generation), arrived),
        status: (generation) => Effect.flatMap(ask("status")(generation), arrived),
        verify: (generation, options) =>
          Effect.flatMap(thread.call("verify", { generation, options }), arrived),
        sweep: (generation, options) =>
          Effect.flatMap(thread.call("sweep", { generation, options }), arrived),
        eraseDocuments: (generation, documents) =>
          Effect.flatMap(thread.call("eraseDocuments", { generation, documents }), arrived),
        recompute: (generation) => Effect.flatMap(ask("recompute")(generation), arrived),
        maintain: (generation) => Effect.flatMap(ask("maintain")(generation), arrived),
        drop: (generation) => Effect.flatMap(ask("drop")(generation), arrived),
        clear: Effect.flatMap(standing.isLeftOver, (isLeft) => (isLeft ? clear : Effect.succeed(0))),
        reset: (generation) => Effect.flatMap(ask("reset")(generation), arrived)
      }
    })
  )
