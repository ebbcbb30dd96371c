import { assert, describe, it } from "@effect/vitest"
import { Chunk, Duration, Effect, Fiber, Stream, TestClock } from "effect"
import { Bus } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { busConformance, orderFor, vectorsFor } from "../conformance/bus.ts"

busConformance("in process", { layer: InProcessBus.layer, ackWait: Duration.millis(500) })

describe("what was paid for, on the bus in process", () => {
  const vectors = vectorsFor(new Float32Array([1, 0]))

  it.effect("keeps who reports it waiting until it is acknowledged, however often it is delivered", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const reported = yield* Effect.fork(bus.report(vectors))
      const taken = yield* Effect.fork(bus.results.pipe(Stream.take(2), Stream.runCollect))
      yield* TestClock.adjust(InProcessBus.usualOptions.ackWait)
      const deliveries = Chunk.toReadonlyArray(yield* Fiber.join(taken))
      assert.isNull(reported.unsafePoll())
      for (const { ack } of deliveries.slice(1)) yield* ack
      yield* Fiber.join(reported)
    }).pipe(Effect.provide(InProcessBus.layer()))
  )

  it.effect("is delivered although who reported it is gone", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const reported = yield* Effect.fork(bus.report(vectors))
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(reported)
      const [delivery] = yield* bus.results.pipe(Stream.take(1), Stream.runCollect)
      assert.deepStrictEqual(delivery?.value, vectors)
    }).pipe(Effect.provide(InProcessBus.layer()))
  )

  it.effect("is all that is waited for", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const { attempt, jobId } = orderFor("one")
      yield* bus.report({
        _tag: "Failed",
        jobId,
        attempt,
        worker: "worker",
        code: "some",
        message: "Some reason.",
        retryable: true
      })
    }).pipe(Effect.provide(InProcessBus.layer()))
  )
})
