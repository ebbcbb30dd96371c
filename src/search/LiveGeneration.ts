/**
 * The live generation as readers hold it open: engine and state, or the state alone where the engine does not serve.
 */
import { Effect, ExecutionStrategy, Exit, Scope } from "effect"
import type { GenerationState } from "../index/GenerationState.ts"
import {
  type OpenGeneration,
  openForReading,
  openStateForReading,
  type ProjectionContext
} from "../index/Projection.ts"
import type { GenerationRow } from "../log/ReadModels.ts"
import { closeApart } from "../threads/Closing.ts"

/** Something opened, with those who read it: whoever takes its place, it stays open until the last of them is done. */
interface Held<A> {
  readonly key: string
  readonly value: A
  readonly scope: Scope.CloseableScope
  readers: number
}

/** As opened last; looked at again for every query, because files can go at any time. What is given stays open for its scope. */
export const liveGeneration = Effect.fnUntraced(function* (context: ProjectionContext) {
  const generation = yield* held(
    (open: OpenGeneration) => open.state.isCurrent,
    (row: GenerationRow) => openForReading(context, row)
  )
  const stateAlone = yield* held(
    (state: GenerationState) => state.isCurrent,
    (row: GenerationRow) => openStateForReading(context, row)
  )
  const lock = yield* Effect.makeSemaphore(1)
  const keyOf = (row: GenerationRow) => `${row.generation} ${context.snapshot.head().epoch}`
  return {
    openState: (row: GenerationRow) =>
      lock.withPermits(1)(Effect.zipLeft(stateAlone.open(keyOf(row), row), generation.replace)),
    open: (row: GenerationRow) =>
      lock.withPermits(1)(Effect.zipLeft(generation.open(keyOf(row), row), stateAlone.replace)),
    /** The next query opens anew. */
    close: lock.withPermits(1)(Effect.zipRight(generation.replace, stateAlone.replace))
  }
})

const held = Effect.fnUntraced(function* <A, E, R>(
  isCurrent: (value: A) => boolean,
  make: (row: GenerationRow) => Effect.Effect<A, E, R | Scope.Scope>
) {
  let current: Held<A> | undefined
  const all = yield* Scope.Scope
  const closeUnread = (one: Held<A>) =>
    one !== current && one.readers === 0 ? closeApart(one.scope) : Effect.void
  const replace = Effect.suspend(() => {
    const former = current
    current = undefined
    return former === undefined ? Effect.void : closeUnread(former)
  })
  const opened = Effect.fnUntraced(function* (key: string, row: GenerationRow) {
    if (current?.key === key && isCurrent(current.value)) return current
    yield* replace
    const scope = yield* Scope.fork(all, ExecutionStrategy.sequential)
    const value = yield* make(row).pipe(
      Scope.extend(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    current = { key, value, scope, readers: 0 }
    return current
  })
  const open = (key: string, row: GenerationRow) =>
    Effect.acquireRelease(
      Effect.tap(opened(key, row), (one) => {
        one.readers++
      }),
      (one) =>
        Effect.suspend(() => {
          one.readers--
          return closeUnread(one)
        })
    ).pipe(Effect.map(({ value }) => value))
  return { open, replace }
})
