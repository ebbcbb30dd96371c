/** A clock that runs, and that a test sets forward or back: for days that nobody sleeps through, and for jumps. */
import { Clock, Duration, Effect } from "effect"

export interface ShiftedClock {
  readonly clock: Clock.Clock
  /** Wall-clock time alone: sleeps and measured times stay as they are. */
  readonly forward: (by: Duration.DurationInput) => Effect.Effect<void>
  readonly back: (by: Duration.DurationInput) => Effect.Effect<void>
}

export const shiftedClock = (): ShiftedClock => {
  const real = Clock.make()
  let aheadMs = 0
  const unsafeCurrentTimeMillis = () => real.unsafeCurrentTimeMillis() + aheadMs
  const clock: Clock.Clock = {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    unsafeCurrentTimeMillis,
    currentTimeMillis: Effect.sync(unsafeCurrentTimeMillis),
    unsafeCurrentTimeNanos: () => real.unsafeCurrentTimeNanos(),
    currentTimeNanos: real.currentTimeNanos,
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
      })
  }
}
