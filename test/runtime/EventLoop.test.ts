/** Fibers leave room for the rest of the process. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import * as EventLoop from "../../src/runtime/EventLoop.ts"

const rounds = 100

/** At work for a millisecond, then whoever else is ready. */
const busy = Effect.suspend(() => {
  const until = performance.now() + 1
  while (performance.now() < until);
  return Effect.yieldNow()
})

describe("the event loop", () => {
  it.live("has its turn while fibers go on among themselves", () =>
    Effect.gen(function* () {
      let done = 0
      let doneAtTimer: number | undefined
      const timer = setTimeout(() => {
        doneAtTimer = done
      })
      yield* Effect.all(
        Array.from({ length: 4 }, () =>
          Effect.repeatN(
            Effect.tap(busy, () => Effect.sync(() => done++)),
            rounds / 4 - 1
          )
        ),
        { concurrency: "unbounded" }
      )
      clearTimeout(timer)
      assert.strictEqual(done, rounds)
      assert.isBelow(doneAtTimer ?? rounds, rounds / 2)
    }).pipe(Effect.provide(EventLoop.layer))
  )

  it.live(
    "has its turn where many fibers were woken at once, which run in the order in which they were",
    () =>
      Effect.gen(function* () {
        const woken = yield* Deferred.make<void>()
        const done: Array<number> = []
        const fibers = yield* Effect.forEach(Array.from({ length: rounds }).keys(), (at) =>
          Effect.fork(
            Effect.zipRight(
              Deferred.await(woken),
              Effect.tap(busy, () => Effect.sync(() => done.push(at)))
            )
          )
        )
        yield* Effect.sleep(10)
        let doneAtTimer: number | undefined
        setTimeout(() => {
          doneAtTimer = done.length
        })
        yield* Deferred.succeed(woken, undefined)
        yield* Fiber.joinAll(fibers)
        assert.isBelow(doneAtTimer ?? rounds, rounds / 2)
        assert.deepStrictEqual(
          done,
          Array.from({ length: rounds }).map((_, at) => at)
        )
      }).pipe(Effect.provide(EventLoop.layer))
  )
})
