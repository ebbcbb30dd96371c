/** Time that only rises: whoever sets the clock by ten years makes nothing last longer, or end before it began. */
import { Clock, Effect } from "effect"

/** By a clock that is at hand: no step of a fiber. */
export const monotonicOf = (clock: Clock.Clock): number =>
  Number(clock.unsafeCurrentTimeNanos() / 1_000n) / 1_000

/** Milliseconds since a moment of this process's own. */
export const monotonicMs: Effect.Effect<number> = Effect.map(
  Clock.currentTimeNanos,
  (nanos) => Number(nanos / 1_000n) / 1_000
)

/** Whole milliseconds from now on, each time that the answer is asked. */
export const stopwatch: Effect.Effect<Effect.Effect<number>> = Effect.map(monotonicMs, (began) =>
  Effect.map(monotonicMs, (now) => Math.round(now - began))
)
