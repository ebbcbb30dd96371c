/**
 * The tree of actors: what each of them is doing, whether work gets on, and what happens when one is given up.
 *
 * Health means progress, not a ping: an actor that has had something to do for longer than its window without doing
 * anything makes the whole not ready, and says why. An actor that was given up makes it unhealthy: the runtime ends.
 */
import { Context, Deferred, Duration, Effect, Layer } from "effect"
import type { ActorStatus } from "./Actor.ts"
import type { Escalated } from "./Supervision.ts"

export interface Health {
  /** Work gets on. */
  readonly ready: boolean
  /** Nothing was given up. */
  readonly healthy: boolean
  /** Why not, one line for each actor concerned. */
  readonly reasons: ReadonlyArray<string>
}

export interface SupervisorService {
  /** `stall`, where it has a patience of its own; infinite where somebody else judges whether it gets on. */
  readonly register: (status: Effect.Effect<ActorStatus>, stall?: Duration.Duration) => Effect.Effect<void>
  readonly escalate: (escalated: Escalated) => Effect.Effect<void>
  /** In the order of starting. */
  readonly actors: Effect.Effect<ReadonlyArray<ActorStatus>>
  readonly health: Effect.Effect<Health>
  /** Ends when an actor was given up: whoever runs the process ends it then. */
  readonly failure: Effect.Effect<never, Escalated>
}

export class Supervisor extends Context.Tag("reprise/actors/Supervisor")<Supervisor, SupervisorService>() {
  /** `stall` is how long something may wait without anything being done. */
  static readonly layerWith = (stall: Duration.Duration): Layer.Layer<Supervisor> =>
    Layer.effect(
      Supervisor,
      Effect.gen(function* () {
        const children: Array<Effect.Effect<Judged>> = []
        const failed = yield* Deferred.make<never, Escalated>()
        const all = Effect.suspend(() => Effect.all(children))
        return Supervisor.of({
          register: (status, patience = stall) =>
            Effect.sync(
              () => void children.push(Effect.map(status, (seen) => ({ ...seen, stall: patience })))
            ),
          escalate: (escalated) =>
            Effect.zipRight(
              Effect.logError("actor given up", escalated.message),
              Effect.asVoid(Deferred.fail(failed, escalated))
            ),
          actors: Effect.map(all, (judged) => judged.map(({ stall: _, ...status }) => status)),
          health: Effect.map(all, judge),
          failure: Deferred.await(failed)
        })
      })
    )

  static readonly layer: Layer.Layer<Supervisor> = Supervisor.layerWith(Duration.seconds(30))
}

interface Judged extends ActorStatus {
  readonly stall: Duration.Duration
}

const judge = (actors: ReadonlyArray<Judged>): Health => {
  const stuck = actors.filter(({ stall, stalledMs }) => stalledMs > Duration.toMillis(stall))
  const failed = actors.filter(({ state }) => state === "failed")
  const restarting = actors.filter(({ state }) => state === "restarting")
  return {
    ready: stuck.length === 0 && failed.length === 0 && restarting.length === 0,
    healthy: failed.length === 0,
    reasons: [
      ...failed.map(({ lastError, name }) => `${name}: given up, ${lastError ?? "unknown"}`),
      ...restarting.map(({ lastError, name }) => `${name}: restarting, ${lastError ?? "unknown"}`),
      ...stuck.map(
        ({ mailbox, name, stalledMs }) =>
          `${name}: ${mailbox} waiting, nothing done for ${Math.round(stalledMs / 1000)} s`
      )
    ]
  }
}
