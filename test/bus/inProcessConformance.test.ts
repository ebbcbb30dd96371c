import { assert, describe, it } from "@effect/vitest"
import { Chunk, Duration, Effect, Fiber, Stream, TestClock } from "effect"
import { Bus, type Delivery, type WorkOrder } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { busConformance, orderFor, vectorsFor } from "../conformance/bus.ts"

busConformance("in process", { layer: InProcessBus.layer, ackWait: Duration.millis(500) })

describe("what was paid for, on the bus in process", () => {
  const vectors = vectorsFor(new Float32Array([1, 0]))

  it.effect("keeps who reports it waiting until it is acknowledged, however often it is delivered", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const reported = yield* Effect.fork(bus.report([vectors]))
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
      const reported = yield* Effect.fork(bus.report([vectors]))
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
      const worker = "worker"
      yield* bus.report([
        { _tag: "Failed", jobId, attempt, worker, code: "some", message: "Some reason.", retryable: true }
      ])
    }).pipe(Effect.provide(InProcessBus.layer()))
  )
})

describe("those who wait for orders, on the bus in process", () => {
  const jobsOf = (orders: ReadonlyArray<Delivery<WorkOrder>>) => orders.map(({ value }) => value.jobId)
  const orders = ["one", "two", "three"].map((name) => orderFor(name))
  const ids = orders.map(({ jobId }) => jobId)

  it.effect("take together what is sent together, the first of them as much as it wants", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const first = yield* Effect.fork(bus.receive("prepare", 2))
      const second = yield* Effect.fork(bus.receive("prepare", 2))
      const third = yield* Effect.fork(bus.receive("prepare", 2))
      yield* Effect.yieldNow()
      yield* bus.dispatch(orders)
      assert.deepStrictEqual(jobsOf(yield* Fiber.join(first)), ids.slice(0, 2))
      assert.deepStrictEqual(jobsOf(yield* Fiber.join(second)), ids.slice(2))
      yield* bus.dispatch([orderFor("four")])
      assert.strictEqual((yield* Fiber.join(third)).length, 1)
    }).pipe(Effect.provide(InProcessBus.layer()))
  )

  it.effect("take what somebody was woken for who is gone", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const first = yield* Effect.fork(bus.receive("prepare", 3))
      const second = yield* Effect.fork(bus.receive("prepare", 3))
      yield* Effect.yieldNow()
      yield* bus.dispatch(orders)
      yield* Fiber.interrupt(first)
      assert.deepStrictEqual(jobsOf(yield* Fiber.join(second)), ids)
    }).pipe(Effect.provide(InProcessBus.layer()))
  )

  it.effect("wait on where somebody was quicker", () =>
    Effect.gen(function* () {
      const bus = yield* Bus
      const waiting = yield* Effect.fork(bus.receive("prepare", 3))
      yield* Effect.yieldNow()
      yield* bus.dispatch(orders)
      assert.deepStrictEqual(jobsOf(yield* bus.receive("prepare", 3)), ids)
      yield* bus.dispatch([orderFor("four")])
      assert.strictEqual((yield* Fiber.join(waiting)).length, 1)
    }).pipe(Effect.provide(InProcessBus.layer()))
  )
})
