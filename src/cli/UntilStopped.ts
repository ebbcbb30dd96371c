/**
 * Commands and what tells them to stop: a person's Ctrl-C, or SIGTERM, as a service manager sends it.
 */
import { Deferred, Effect, Exit } from "effect"
import type { ExitCode } from "./Exit.ts"
import { Io } from "./Io.ts"

/**
 * Runs what does `ready` once it works, and ends by itself, in order, when it is told to stop after that. Told earlier, while
 * it still waits for what it stands on, it is interrupted, and `early` is what became of it.
 */
export const orEarlier = <A, E, R>(
  running: (ready: Effect.Effect<void>) => Effect.Effect<A, E, R>,
  early: A
): Effect.Effect<A, E, R | Io> =>
  Effect.gen(function* () {
    const { stop } = yield* Io
    let isReady = false
    const ready = Effect.sync(() => {
      isReady = true
    })
    const stopped = Effect.flatMap(Deferred.await(stop), () =>
      isReady ? Effect.never : Effect.succeed(early)
    )
    return yield* Effect.raceFirst(running(ready), stopped)
  })

/** As `serve` and `worker` run: SIGTERM is how they end as a rule, and 0 is expected of them then. */
export const untilStopped = <E, R>(
  running: (ready: Effect.Effect<void>) => Effect.Effect<void, E, R>
): Effect.Effect<0 | 130, E, R | Io> =>
  Effect.gen(function* () {
    yield* orEarlier(running, undefined)
    const { terminated } = yield* Io
    return (yield* terminated) ? 0 : 130
  })

/** At the first Ctrl-C it is interrupted; what it holds is released in order before this answers. */
export const interruptible = <E, R>(run: Effect.Effect<ExitCode, E, R>): Effect.Effect<ExitCode, E, R | Io> =>
  Effect.gen(function* () {
    const { stop } = yield* Io
    const ended = yield* Effect.raceFirst(
      Effect.exit(run),
      Effect.as(Deferred.await(stop), Exit.succeed<ExitCode>(130))
    )
    return yield* ended
  })
