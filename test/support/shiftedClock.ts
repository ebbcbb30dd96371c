/** A clock that runs, and that a test sets forward or back: for days that nobody sleeps through, and for jumps. */
import { Clock, Duration, Effect } from "effect"

export interface ShiftedClock {
  readonly clock: Clock.Clock
  /** Wall-clock time alone: sleeps and measured times stay as they are. */
  readonly forward: (by: Duration.DurationInput) => Effect.Effect<void>
  readonly back: (by: Duration.DurationInput) => Effect.Effect<void>
  /** The program stood still for so long: time went on, nothing else did. */
  readonly stoodStill: (by: Duration.DurationInput) => Effect.Effect<void>
}

export const shiftedClock = (): ShiftedClock => {
  const real = Clock.make()
  let aheadMs = 0
  let stoodStillMs = 0
  const unsafeCurrentTimeMillis = () => real.unsafeCurrentTimeMillis() + aheadMs + stoodStillMs
  const unsafeCurrentTimeNanos = () =>
    real.unsafeCurrentTimeNanos() + BigInt(Math.round(stoodStillMs)) * 1_000_000n
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis,
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    unsafeCurrentTimeNanos,
    currentTimeNanos: Effect.sync(unsafeCurrentTimeNanos),
    sleep: (duration) => real.sleep(duration)
  }
  return {
    clock,
    forward: (by) =>
      Effect.sync(() => {
        aheadMs += Duration.toMillis(by)
      }),
    back: (by) =>
      Effect.sync(() => {
        aheadMs -= Duration.toMillis(by)
      }),
    stoodStill: (by) =>
      Effect.sync(() => {
        stoodStillMs += Duration.toMillis(by)
      })
  }
}
