/**
 * Restarts what crashes, and gives up where restarting does not help.
 *
 * Delay and budget follow the crashes of the last window, so that a quiet window forgives everything and a permanent
 * crash does not hammer for ever.
 */
import { Cause, Clock, Duration, Effect, Random, Schema } from "effect"

/** It crashed too often within the window. Whoever supervises decides; at the top the process ends. */
export class Escalated extends Schema.TaggedError<Escalated>()("Escalated", {
  actor: Schema.String,
  crashes: Schema.Int,
  cause: Schema.Defect
}) {
  override get message() {
    return `The ${this.actor} crashed ${this.crashes} times within its window and was given up: ${String(this.cause)}`
  }
}

export interface SupervisionPolicy {
  readonly window: Duration.Duration
  /** Crashes within the window that are answered by a restart; one more escalates. */
  readonly restarts: number
  readonly firstDelay: Duration.Duration
  readonly longestDelay: Duration.Duration
}

export const usualPolicy: SupervisionPolicy = {
  window: Duration.minutes(1),
  restarts: 8,
  firstDelay: Duration.millis(100),
  longestDelay: Duration.seconds(10)
}

/** Runs `behaviour` for ever. `onCrash` hears of each crash before the restart that follows. */
export const supervised = <E, R>(
  actor: string,
  behaviour: Effect.Effect<unknown, E, R>,
  options: {
    readonly policy: SupervisionPolicy
    readonly onCrash: (cause: Cause.Cause<E>) => Effect.Effect<void>
    readonly onRestart: Effect.Effect<void>
  }
): Effect.Effect<never, Escalated, R> =>
  Effect.gen(function* () {
    const { firstDelay, longestDelay, restarts, window } = options.policy
    let crashes: ReadonlyArray<number> = []
    while (true) {
      const exit = yield* Effect.exit(behaviour)
      const cause = exit._tag === "Failure" ? exit.cause : Cause.die(new Error("It ended, and must not."))
      if (Cause.isInterruptedOnly(cause)) return yield* Effect.interrupt
      yield* options.onCrash(cause)
      yield* Effect.logError("actor crashed", cause).pipe(Effect.annotateLogs({ actor }))
      const now = Number((yield* Clock.currentTimeNanos) / 1_000_000n)
      crashes = [...crashes.filter((at) => now - at < Duration.toMillis(window)), now]
      if (crashes.length > restarts) {
        return yield* new Escalated({ actor, crashes: crashes.length, cause: Cause.squash(cause) })
      }
      const jitter = yield* Random.nextRange(0.8, 1.2)
      const delay = Math.min(
        Duration.toMillis(firstDelay) * 2 ** (crashes.length - 1),
        Duration.toMillis(longestDelay)
      )
      // Whole milliseconds: a clock of a test keeps no fractions.
      yield* Effect.sleep(Duration.millis(Math.round(delay * jitter)))
      yield* options.onRestart
    }
  })
