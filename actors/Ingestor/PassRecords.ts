/** Records of passes that were answered before they were written: one at a time for each source. */
import { Deferred, Effect, type Fiber, type Scope } from "effect"
import type { SourceId } from "../../events/Ids.ts"

export interface PassRecords {
  /** Writes it while others go on; waits for the one before. A failure is told in the log: the next pass finds it missing. */
  readonly later: <E>(source: SourceId, record: Effect.Effect<unknown, E>) => Effect.Effect<void>
  /** Whether one of the source is not written yet. */
  readonly isOpen: (source: SourceId) => boolean
  /** Waits for the one of a source. */
  readonly of: (source: SourceId) => Effect.Effect<void>
  readonly all: Effect.Effect<void>
  /** For what a record needs: it outlives the pass. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<Fiber.RuntimeFiber<A, E>>
}

/** What is to be written then is written before the scope is closed. */
export const passRecords: Effect.Effect<PassRecords, never, Scope.Scope> = Effect.gen(function* () {
  const scope = yield* Effect.scope
  const open = new Map<SourceId, Deferred.Deferred<void>>()
  const of = (source: SourceId) =>
    Effect.suspend(() => {
      const record = open.get(source)
      return record === undefined ? Effect.void : Deferred.await(record)
    })
  const later = <E>(source: SourceId, record: Effect.Effect<unknown, E>) =>
    Effect.gen(function* () {
      yield* of(source)
      const written = yield* Deferred.make<void>()
      open.set(source, written)
      yield* record.pipe(
        Effect.catchAllCause((cause) =>
          Effect.logWarning("a pass without news was answered, and not recorded", cause)
        ),
        Effect.ensuring(
          Effect.suspend(() => {
            open.delete(source)
            return Deferred.succeed(written, undefined)
          })
        ),
        Effect.forkIn(scope),
        Effect.uninterruptible
      )
    })
  return {
    later,
    of,
    isOpen: (source) => open.has(source),
    all: Effect.suspend(() => Effect.forEach([...open.keys()], of, { discard: true })),
    fork: (effect) => Effect.forkIn(effect, scope)
  }
})
