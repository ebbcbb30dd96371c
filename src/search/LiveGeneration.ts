/**
 * The live generation as readers hold it open: engine and state, or the state alone where the engine does not serve.
 */
import { Effect, Exit, Scope } from "effect"
import type { GenerationState } from "../index/GenerationState.ts"
import {
  type OpenGeneration,
  openForReading,
  openStateForReading,
  type ProjectionContext
} from "../index/Projection.ts"
import type { GenerationRow } from "../log/ReadModels.ts"

/** As opened last; looked at again for every query, because files can go at any time. */
export const liveGeneration = Effect.fnUntraced(function* (context: ProjectionContext) {
  const lock = yield* Effect.makeSemaphore(1)
  let stateAlone:
    | { readonly key: string; readonly state: GenerationState; readonly scope: Scope.CloseableScope }
    | undefined
  let current:
    | { readonly key: string; readonly open: OpenGeneration; readonly scope: Scope.CloseableScope }
    | undefined
  const close = Effect.suspend(() => {
    const scopes = [current?.scope, stateAlone?.scope]
    current = undefined
    stateAlone = undefined
    return Effect.forEach(
      scopes,
      (scope) => (scope === undefined ? Effect.void : Scope.close(scope, Exit.void)),
      {
        discard: true
      }
    )
  })
  yield* Effect.addFinalizer(() => close)
  const open = (row: GenerationRow) =>
    Effect.gen(function* () {
      const key = `${row.generation} ${context.snapshot.head().epoch}`
      if (current?.key === key && current.open.state.isCurrent) return current.open
      yield* close
      const scope = yield* Scope.make()
      const opened = yield* openForReading(context, row).pipe(
        Scope.extend(scope),
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      current = { key, open: opened, scope }
      return opened
    })
  const openState = (row: GenerationRow) =>
    Effect.gen(function* () {
      const key = `${row.generation} ${context.snapshot.head().epoch}`
      if (stateAlone?.key === key && stateAlone.state.isCurrent) return stateAlone.state
      yield* close
      const scope = yield* Scope.make()
      const state = yield* openStateForReading(context, row).pipe(
        Scope.extend(scope),
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      stateAlone = { key, state, scope }
      return state
    })
  return {
    openState: (row: GenerationRow) => lock.withPermits(1)(openState(row)),
    open: (row: GenerationRow) => lock.withPermits(1)(open(row)),
    close: lock.withPermits(1)(close)
  }
})
