/** When whoever typed a command is told that the index is away, or that the disk takes nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Option, Stream, TestClock } from "effect"
import { noteRefusal, refusalNow } from "../../actors/Coordinator/Office.ts"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Indexer, type IndexerStatus } from "../../actors/Indexer.ts"
import { Providers } from "../../src/embedding/Providers.ts"
import { EngineUnavailable } from "../../src/index/Index.ts"
import { LogFailed } from "../../src/log/Log.ts"
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
const waiting = (status: Effect.Effect<IndexerStatus>, coordinator: Partial<Coordinator["Type"]> = {}) =>
  Effect.gen(function* () {
    return yield* outage(yield* Providers, yield* Coordinator, yield* Indexer, Duration.minutes(5))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(
        Layer.mock(Providers, { states: Effect.succeed([]) }),
        Layer.mock(Coordinator, {
          heldBy: Effect.succeed(undefined),
          refused: Effect.succeed(undefined),
          progress: Stream.empty,
          counted: Effect.succeed(nothingDone),
          ...coordinator
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

describe("a command that waits for the log", () => {
  const failure = new LogFailed({ operation: "append", cause: "database or disk is full" })
  const failing = (forMs: number) => ({
    // Its memory is read again and again: nobody knows of the lanes meanwhile.
    heldBy: Effect.never,
    refused: Effect.succeed({ failure, forMs })
  })

  it.effect("is given up on once that has taken nothing for ten seconds, and says what the disk said", () =>
    Effect.gen(function* () {
      const early = yield* Effect.fork(waiting(Effect.succeed(statusWith(undefined)), failing(9_000)))
      const late = yield* Effect.fork(waiting(Effect.succeed(statusWith(undefined)), failing(10_000)))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Option.isNone(yield* Fiber.poll(early)))
      assert.strictEqual(yield* Fiber.join(late), failure)
    })
  )

  it.effect("hears of an index that is away beside that, too", () =>
    Effect.gen(function* () {
      const both = waiting(Effect.succeed(statusWith(unavailable)), { heldBy: Effect.never })
      const fiber = yield* Effect.fork(both)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "IndexAway")
    })
  )

  it("counts as failing for as long as it fails again and again", () => {
    const office: Parameters<typeof noteRefusal>[0] = { refused: undefined }
    for (const now of [1_000, 2_000, 6_000]) noteRefusal(office, failure, now)
    assert.strictEqual(refusalNow(office, 6_500)?.forMs, 5_500)
    assert.isUndefined(refusalNow(office, 11_000))
    noteRefusal(office, failure, 20_000)
    assert.strictEqual(refusalNow(office, 20_000)?.forMs, 0)
  })
})
