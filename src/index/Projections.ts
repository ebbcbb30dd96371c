/**
 * The generations that this process keeps: opened on demand, applied, verified, dropped. What the Indexer drives, in its
 * own thread or in its caller's.
 */
import { existsSync } from "node:fs"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import type { DocumentId, GenerationId } from "../../events/Ids.ts"
import type { GenerationRow } from "../log/ReadModels.ts"
import { closeApart } from "../threads/Closing.ts"
import type { ThreadFailed } from "../threads/Thread.ts"
import { eraseDocuments } from "./Erasure.ts"
import type { EngineError, GenerationRef } from "./Index.ts"
import { EngineMismatch } from "./Index.ts"
import {
  type Applied,
  openProjection,
  type Projection,
  type ProjectionContext,
  type ProjectionError,
  type ProjectionStatus,
  refOf,
  statusOf
} from "./Projection.ts"
import { recompute } from "./Recompute.ts"
import { type SweepOptions, type Swept, sweep } from "./Sweep.ts"
import { type VerifyOptions, verify } from "./Verify.ts"
import type { Recomputed, VerifyReport } from "./VerifyReport.ts"

export type ProjectionsError = ProjectionError | ThreadFailed

export interface ProjectionsService {
  /**
   * How far a generation is applied, where its files show without much ado that nobody has to bring them into step first.
   * `undefined` says nothing: an advance finds out.
   */
  readonly standing: (generation: GenerationId) => Effect.Effect<number | undefined>
  /** An advance is foreseen: what it takes to begin one is begun. */
  readonly ready: Effect.Effect<void>
  /** Folds and applies one bounded batch. An engine that was deleted or restored meanwhile is refilled first. */
  readonly advance: (generation: GenerationId) => Effect.Effect<Applied, ProjectionsError>
  readonly status: (generation: GenerationId) => Effect.Effect<ProjectionStatus, ProjectionsError>
  readonly verify: (
    generation: GenerationId,
    options: VerifyOptions
  ) => Effect.Effect<VerifyReport, ProjectionsError>
  /** Folds the log anew beside the state, and compares the two. */
  readonly recompute: (generation: GenerationId) => Effect.Effect<Recomputed, ProjectionsError>
  /** A step of background upkeep; true while there is more to do. */
  readonly maintain: (generation: GenerationId) => Effect.Effect<boolean, ProjectionsError>
  /** Forgets the points of an unretired generation that ended where nobody can ask any more. */
  readonly sweep: (generation: GenerationId, options: SweepOptions) => Effect.Effect<Swept, ProjectionsError>
  /** Erases what ended of these documents from a generation. Answers how many points were removed. */
  readonly eraseDocuments: (
    generation: GenerationId,
    documents: ReadonlyArray<DocumentId>
  ) => Effect.Effect<number, ProjectionsError>
  /** Deletes engine and state of a retired generation. */
  readonly drop: (generation: GenerationId) => Effect.Effect<void, ProjectionsError>
  /** Deletes what a crash between a promotion and its drop left, and what earlier epochs left. Answers how many. */
  readonly clear: Effect.Effect<number, ProjectionsError>
  /** Deletes engine and state of an unretired one, so that the next advance folds it anew. */
  readonly reset: (generation: GenerationId) => Effect.Effect<void, ProjectionsError>
}

export class Projections extends Context.Tag("reprise/index/Projections")<
  Projections,
  ProjectionsService
>() {}

/**
 * Generations of which a crash between a promotion and its drop, or an earlier epoch, left something. A drop deletes the state last:
 * where it is gone the rest is, too, unless somebody deleted it by hand. That much is seen of files that are here.
 */
export const leftOver = (
  rows: ReadonlyArray<GenerationRow>,
  head: { readonly logId: string; readonly epoch: number },
  isLeft: (ref: GenerationRef) => boolean
): ReadonlyArray<GenerationRef> =>
  rows.flatMap((row) => {
    const ref = refOf(row, head)
    return Array.from({ length: head.epoch }, (_, at) => ({ ...ref, epoch: at + 1 })).filter(
      (one) => (row.state === "retired" || one.epoch < head.epoch) && isLeft(one)
    )
  })

/** In the caller's thread. Asks are made one at a time: the Indexer alone asks. */
export const make = (
  context: ProjectionContext & { readonly deleteState: (path: string) => void }
): Effect.Effect<ProjectionsService, never, Scope.Scope> =>
  Effect.gen(function* () {
    const open = new Map<
      GenerationId,
      { readonly projection: Projection; readonly scope: Scope.CloseableScope }
    >()
    const lock = yield* Effect.makeSemaphore(1)

    const rowOf = (generation: GenerationId) =>
      Effect.suspend(() => {
        const row = context.snapshot.generations().find((one) => one.generation === generation)
        return row === undefined
          ? new EngineMismatch({
              engine: "configured",
              reason: "absent",
              detail: `the log knows no generation ${generation}`
            })
          : Effect.succeed(row)
      })

    const close = (generation: GenerationId) =>
      Effect.suspend(() => {
        const known = open.get(generation)
        open.delete(generation)
        return known === undefined ? Effect.void : closeApart(known.scope)
      })

    const opened = (generation: GenerationId) =>
      Effect.gen(function* () {
        const known = open.get(generation)
        if (known !== undefined) return known.projection
        const row = yield* rowOf(generation)
        // Whoever still asks for it would make its files anew, and nobody would delete them before the next start.
        if (row.state === "retired" && !existsSync(context.statePath(refOf(row, context.snapshot.head()))))
          return yield* new EngineMismatch({
            engine: "configured",
            reason: "absent",
            detail: `generation ${generation} is retired, and its files are deleted`
          })
        const scope = yield* Scope.make()
        const projection = yield* openProjection(context, row).pipe(
          Scope.extend(scope),
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
        open.set(generation, { projection, scope })
        return projection
      })

    /** What was found deleted or restored is opened once more: opening brings it into step. */
    const using = <A, E>(generation: GenerationId, use: (projection: Projection) => Effect.Effect<A, E>) => {
      const once = Effect.flatMap(opened(generation), use).pipe(Effect.tapErrorCause(() => close(generation)))
      return lock.withPermits(1)(
        Effect.catchIf(
          once,
          (error): error is Extract<E | EngineError, EngineMismatch> => error instanceof EngineMismatch,
          () => once
        )
      )
    }

    /** As {@link using}, of what is committed. */
    const usingSettled = <A, E>(
      generation: GenerationId,
      use: (projection: Projection) => Effect.Effect<A, E>
    ) => using(generation, (projection) => Effect.zipRight(projection.settle, use(projection)))

    const clear = lock.withPermits(1)(
      Effect.gen(function* () {
        const left = leftOver(
          context.snapshot.generations(),
          context.snapshot.head(),
          (ref) => existsSync(context.statePath(ref)) || (context.engine.hasFiles?.(ref) ?? false)
        )
        for (const ref of left) {
          yield* close(ref.generation)
          yield* context.engine.drop(ref)
          context.deleteState(context.statePath(ref))
        }
        return left.length
      })
    )

    const erase = (generation: GenerationId) =>
      lock.withPermits(1)(
        Effect.gen(function* () {
          const ref = refOf(yield* rowOf(generation), context.snapshot.head())
          yield* close(generation)
          yield* context.engine.drop(ref)
          context.deleteState(context.statePath(ref))
        })
      )

    yield* Effect.addFinalizer(() => Effect.forEach([...open.keys()], close, { discard: true }))

    return Projections.of({
      // Here nothing is spared by it.
      standing: () => Effect.succeed(undefined),
      ready: Effect.void,
      advance: (generation) => using(generation, (projection) => projection.advance),
      status: (generation) => using(generation, ({ state }) => Effect.sync(() => statusOf(state))),
      verify: (generation, options) => usingSettled(generation, (projection) => verify(projection, options)),
      recompute: (generation) => usingSettled(generation, (projection) => recompute(context, projection)),
      sweep: (generation, options) =>
        usingSettled(generation, (projection) =>
          Effect.flatMap(rowOf(generation), (row) => sweep(row, projection, options))
        ),
      eraseDocuments: (generation, documents) =>
        usingSettled(generation, (projection) => eraseDocuments(projection, documents)),
      maintain: (generation) => using(generation, ({ engine }) => engine.maintain),
      drop: erase,
      clear,
      reset: erase
    })
  })

export const layer = (
  context: ProjectionContext & { readonly deleteState: (path: string) => void }
): Layer.Layer<Projections> => Layer.scoped(Projections, make(context))
