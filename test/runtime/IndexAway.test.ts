/** When whoever typed a command is told that the index is away. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream, TestClock } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Indexer, type IndexerStatus } from "../../actors/Indexer.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { EngineUnavailable } from "../../src/index/Index.ts"
import { outage } from "../../src/runtime/Outage.ts"

const unavailable = new EngineUnavailable({
  engine: "qdrant",
  detail: "http://127.0.0.1:1: nothing listens there."
})

const statusWith = (problem: IndexerStatus["problem"]): IndexerStatus => ({
  generation: undefined,
  visible: 0,
  applied: 0,
  failures: problem === undefined ? 0 : 1,
  problem,
  held: undefined
})

const nothingDone = {
  open: 0,
  prepared: 0,
  committed: 0,
  parked: 0,
  vectorsComputed: 0,
  vectorsReused: 0,
  unclaimed: undefined,
  outage: undefined
}

/** Nothing is paused, and every provider answers. */
const waiting = (status: Effect.Effect<IndexerStatus>) =>
  Effect.gen(function* () {
    return yield* outage(yield* Providers, yield* Coordinator, yield* Indexer, Duration.minutes(5))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Layer.mock(Providers, { states: Effect.succeed([]) }),
        Layer.mock(Coordinator, {
          heldBy: Effect.succeed(undefined),
          progress: Stream.empty,
          counted: Effect.succeed(nothingDone)
        }),
        Layer.mock(Indexer, { status })
      )
    )
  )

describe("a command that waits for the index", () => {
  it.effect("is given up on once the index could not be brought further for ten seconds", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(waiting(Effect.succeed(statusWith(unavailable))))
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* TestClock.adjust("1 second")
      const said = yield* Fiber.join(fiber)
      assert.strictEqual(said._tag, "IndexAway")
      assert.include(said.message, "nothing listens there. What was accepted is in the log")
    })
  )

  it.effect("goes on where the index comes back in between", () =>
    Effect.gen(function* () {
      let asked = 0
      const status = Effect.sync(() => statusWith(++asked % 40 === 0 ? undefined : unavailable))
      const fiber = yield* Effect.fork(waiting(status))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* Fiber.interrupt(fiber)
    })
  )
})
