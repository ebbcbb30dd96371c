/** Fibers leave room for the rest of the process. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
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
})
