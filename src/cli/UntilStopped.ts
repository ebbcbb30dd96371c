/**
 * What `serve` and `worker` have in common: they run until they are told to stop, which a service manager does with SIGTERM
 * and expects 0 of, and a person with Ctrl-C.
 */
import { Deferred, Effect } from "effect"
import { Io } from "./Io.ts"

/**
 * Runs what does `ready` once it works, and ends by itself, in order, when it is told to stop after that. Told earlier, while
 * it still waits for what it stands on, it is interrupted.
 */
export const untilStopped = <E, R>(
  running: (ready: Effect.Effect<void>) => Effect.Effect<void, E, R>
): Effect.Effect<0 | 130, E, R | Io> =>
  Effect.gen(function* () {
    const { stop, terminated } = yield* Io
    let isReady = false
    const ready = Effect.sync(() => {
      isReady = true
    })
    const early = Effect.flatMap(Deferred.await(stop), () => (isReady ? Effect.never : Effect.void))
    yield* Effect.raceFirst(running(ready), early)
    return (yield* terminated) ? 0 : 130
  })
