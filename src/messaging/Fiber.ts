/** A fiber of this room under the supervisor: restarted when it crashes, and seen in the tree like an actor. */
import { Effect, type Scope } from "effect"
import type { ActorState, ActorStatus } from "../../actors/Actor.ts"
import { supervised, usualPolicy } from "../../actors/Supervision.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { monotonicMs } from "../clock/Monotonic.ts"

/** What the fiber says of itself; `mark` moves whenever something was done. */
export type FiberLook = Pick<ActorStatus, "mailbox" | "processed" | "failed" | "lastError"> & {
  readonly mark: number
}

export const underSupervisor = <E, R>(
  name: string,
  run: Effect.Effect<unknown, E, R>,
  look: Effect.Effect<FiberLook>
): Effect.Effect<void, never, R | Supervisor | Scope.Scope> =>
  Effect.gen(function* () {
    const supervisor = yield* Supervisor
    let state: ActorState = "running"
    let restarts = 0
    let calmAt = yield* monotonicMs
    let last = -1
    yield* supervisor.register(
      Effect.zipWith(look, monotonicMs, ({ mark, ...seen }, now) => {
        if (seen.mailbox === 0 || mark !== last) calmAt = now
        last = mark
        return { name, state, restarts, ...seen, stalledMs: now - calmAt }
      })
    )
    yield* supervised(name, run, {
      policy: usualPolicy,
      onCrash: () =>
        Effect.sync(() => {
          state = "restarting"
        }),
      onRestart: Effect.sync(() => {
        state = "running"
        restarts++
      })
    }).pipe(
      Effect.catchAll((escalated) => {
        state = "failed"
        return supervisor.escalate(escalated)
      }),
      Effect.annotateLogs({ actor: name }),
      Effect.forkScoped
    )
  })
