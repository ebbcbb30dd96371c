/**
 * What a server is asked to do and has not ended yet. An operation outlives the connection that asked for it: a client
 * that goes away ends it early, in order, as Ctrl-C does in a process of its own.
 */
import { Deferred, Duration, Effect, Fiber, FiberSet, type Scope } from "effect"
import { ServerGone } from "./Protocol.ts"

export interface Operations {
  /** `run` hears through its argument that it is to end early: nothing new is begun, what is under way is finished. */
  readonly finishing: <A, E>(
    id: string,
    run: (stop: Deferred.Deferred<void>) => Effect.Effect<A, E>
  ) => Effect.Effect<A, E | ServerGone>
  /** Resumable work, which may be broken off anywhere: it ends with who asked for it, and when the server drains. */
  readonly breakable: <A, E>(run: Effect.Effect<A, E>) => Effect.Effect<A, E | ServerGone>
  readonly stop: (id: string) => Effect.Effect<void>
  /** Takes nothing more, ends what runs early, and waits for it. */
  readonly drain: Effect.Effect<void>
}

/** How long a drain waits for operations to end. What is left then is rolled back or carried on at the next start. */
export const drainLimit = Duration.seconds(25)

export const makeOperations: Effect.Effect<Operations, never, Scope.Scope> = Effect.gen(function* () {
  const running = yield* FiberSet.make<unknown, unknown>()
  const stops = new Map<string, Deferred.Deferred<void>>()
  const draining = yield* Deferred.make<never, ServerGone>()
  let open = true

  const refused = Effect.suspend(() => new ServerGone({ reason: "stopping", detail: "" }))

  return {
    finishing: (id, run) =>
      Effect.gen(function* () {
        if (!open) return yield* refused
        const stop = yield* Deferred.make<void>()
        const key = stops.has(id) ? `${id}/${stops.size}` : id
        stops.set(key, stop)
        const fiber = yield* FiberSet.run(
          running,
          Effect.ensuring(
            run(stop),
            Effect.sync(() => stops.delete(key))
          )
        )
        return yield* Effect.onInterrupt(Fiber.join(fiber), () => Deferred.succeed(stop, undefined))
      }),
    breakable: (run) =>
      Effect.suspend(() => (open ? Effect.raceFirst(run, Deferred.await(draining)) : refused)),
    stop: (id) =>
      Effect.suspend(() => {
        const stop = stops.get(id)
        return stop === undefined ? Effect.void : Effect.asVoid(Deferred.succeed(stop, undefined))
      }),
    drain: Effect.gen(function* () {
      open = false
      yield* Deferred.fail(draining, new ServerGone({ reason: "lost", detail: "it was told to stop" }))
      yield* Effect.forEach([...stops.values()], (stop) => Deferred.succeed(stop, undefined), {
        discard: true
      })
      yield* FiberSet.awaitEmpty(running).pipe(Effect.timeoutOption(drainLimit))
    })
  }
})
