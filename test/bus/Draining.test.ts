/** What becomes of orders that a worker has in hand when it is told to stop. */

import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Bus, type BusService, type WorkOrder } from "../../src/bus/Bus.ts"
import * as Draining from "../../src/bus/Draining.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { orderFor } from "../conformance/bus.ts"
import { claimOne } from "../support/claimOne.ts"
import { receiveOne } from "../support/receiveOne.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, chunker, submitOf, writeSide } from "../support/writeSide.ts"

/** A Coordinator with nobody who works for it, and two buses of processes that may be told to stop. */
const office = Effect.gen(function* () {
  const bus = Context.get(yield* Layer.build(InProcessBus.layer()), Bus)
  const own = Layer.succeed(Bus, bus)
  const directory = yield* temporaryDirectory
  const context = yield* Layer.build(writeSide({ directory, workers: false, bus: own }))
  const { ask } = Context.get(context, Coordinator)
  yield* ask(addSource())
  const process = Effect.map(Layer.build(Layer.provide(Draining.layer, own)), (built) => ({
    bus: Context.get(built, Bus),
    drain: Context.get(built, Draining.Draining).drain
  }))
  return {
    bus,
    submit: (name: string) => ask(submitOf(name, `# ${name}\n\nA text.`)),
    attempts: Context.get(context, ReadModels).attempts,
    left: yield* process,
    right: yield* process
  }
})

const claimed = (bus: BusService, { attempt, jobId }: WorkOrder, worker: string) =>
  claimOne(bus, { lane: "prepare", jobId, attempt, worker, code: chunker.fingerprint })

/** Far below the 30 s after which a lease ends. */
const soon = "5 seconds"

describe("a worker that is told to stop", () => {
  it.scopedLive("takes nothing new and is waited for until it has finished what it has in hand", () =>
    Effect.gen(function* () {
      const { left, right, submit } = yield* office
      yield* submit("one")
      const one = yield* receiveOne(left.bus, "prepare")
      yield* claimed(left.bus, one.value, "left")
      yield* Effect.fork(receiveOne(left.bus, "prepare"))
      const drained = yield* Effect.fork(left.drain("20 seconds"))
      yield* Effect.sleep("20 millis")
      yield* submit("two")
      const two = yield* receiveOne(right.bus, "prepare").pipe(Effect.timeout(soon))
      assert.notStrictEqual(two.value.documentId, one.value.documentId)
      // It did not come by the one that stops.
      assert.strictEqual(two.value.attempt, 1)
      assert.strictEqual((yield* Fiber.poll(drained))._tag, "None")
      yield* one.ack
      assert.strictEqual(yield* Fiber.join(drained), 0)
    })
  )

  it.scopedLive(
    "gives back what it does not finish in time: another has it at once, and no attempt failed",
    () =>
      Effect.gen(function* () {
        const { attempts, left, right, submit } = yield* office
        yield* submit("one")
        const { value } = yield* receiveOne(left.bus, "prepare")
        assert.deepInclude(yield* claimed(left.bus, value, "left"), { _tag: "Granted" })
        assert.strictEqual(yield* left.drain("20 millis"), 1)
        const again = yield* receiveOne(right.bus, "prepare").pipe(Effect.timeout(soon))
        assert.deepInclude(again.value, { jobId: value.jobId, attempt: value.attempt + 1 })
        assert.deepInclude(yield* claimed(right.bus, again.value, "right"), { _tag: "Granted" })
        const [first] = yield* attempts(value.jobId)
        assert.deepInclude(first, { worker: "left", outcome: "paced" })
      })
  )

  it.scopedLive("waits for what it has in hand although a copy of the order came, and was acknowledged", () =>
    Effect.gen(function* () {
      const forgetful = InProcessBus.layer({ ackWait: Duration.millis(20), capacity: 8 })
      const built = yield* Layer.build(Layer.provide(Draining.layer, forgetful))
      const bus = Context.get(built, Bus)
      yield* bus.dispatch([orderFor("one")])
      const first = yield* receiveOne(bus, "prepare")
      yield* Effect.flatMap(receiveOne(bus, "prepare"), ({ ack }) => ack)
      const drained = yield* Effect.fork(Context.get(built, Draining.Draining).drain("20 seconds"))
      yield* Effect.sleep("50 millis")
      assert.strictEqual((yield* Fiber.poll(drained))._tag, "None")
      yield* first.ack
      assert.strictEqual(yield* Fiber.join(drained), 0)
    })
  )

  it.scopedLive("gives back an order that it had not claimed yet", () =>
    Effect.gen(function* () {
      const { left, right, submit } = yield* office
      yield* submit("one")
      const { value } = yield* receiveOne(left.bus, "prepare")
      assert.strictEqual(yield* left.drain("20 millis"), 1)
      const again = yield* receiveOne(right.bus, "prepare").pipe(Effect.timeout(soon))
      assert.strictEqual(again.value.jobId, value.jobId)
    })
  )

  it.scopedLive("gives back nothing that somebody else works on", () =>
    Effect.gen(function* () {
      const { bus, left, submit } = yield* office
      yield* submit("one")
      const { value } = yield* receiveOne(left.bus, "prepare")
      yield* claimed(left.bus, value, "left")
      const { attempt, jobId } = value
      yield* bus.report([{ _tag: "GivenBack", jobId, attempt, worker: "right" }])
      yield* bus.report([{ _tag: "GivenBack", jobId, attempt }])
      // Another command is answered after both were looked at.
      yield* submit("two")
      assert.deepInclude(yield* claimed(left.bus, value, "left"), { _tag: "Granted" })
    })
  )
})
