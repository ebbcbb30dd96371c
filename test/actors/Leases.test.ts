/** Whether a worker keeps its right to an order for as long as it works on it, and no longer. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, LogLevel, Stream } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import type { Lane } from "../../events/Job.ts"
import { Bus, BusUnavailable } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  addSource,
  chunker,
  slowModel,
  submitOf,
  type WriteSideOptions,
  writeSide
} from "../support/writeSide.ts"

/** Refuses the first result of each kind. */
const refusing = Layer.effect(
  Bus,
  Effect.map(Bus, (bus) => {
    const refused = new Set<string>()
    return Bus.of({
      ...bus,
      report: (results) => {
        const fresh = results.filter(({ _tag }) => !refused.has(_tag))
        if (fresh.length === 0) return bus.report(results)
        for (const { _tag } of fresh) refused.add(_tag)
        return Effect.fail(new BusUnavailable({ bus: "test", detail: "It is away." }))
      }
    })
  })
).pipe(Layer.provide(InProcessBus.layer({ ackWait: Duration.seconds(30), capacity: 64 })))

const settings = { lease: Duration.seconds(1), firstRetry: Duration.millis(5) }
const embedder = { heartbeat: Duration.millis(50) }

const oneDocument = (options: Omit<WriteSideOptions, "directory">) =>
  Effect.gen(function* () {
    const directory = yield* temporaryDirectory
    const context = yield* Layer.build(writeSide({ directory, settings, embedder, ...options }))
    const { ask, counted, idle } = Context.get(context, Coordinator)
    yield* ask(addSource())
    yield* ask(submitOf("one", "# One\n\nA text."))
    yield* Effect.timeout(idle, "20 seconds")
    return (yield* counted).committed
  }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

describe("the lease of an order", () => {
  it.scopedLive("ends where the bus did not take the result: the order is worked on again", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* oneDocument({ bus: refusing }), 1)
    })
  )

  it.scopedLive("lasts for as long as a batch is under way", () =>
    Effect.gen(function* () {
      const { model: slow, sent } = slowModel("3 seconds")
      assert.strictEqual(yield* oneDocument({ model: slow }), 1)
      assert.strictEqual(sent(), 1)
    })
  )
})

describe("an order that comes again while it is worked on", () => {
  it.scopedLive("is not worked on twice", () =>
    Effect.gen(function* () {
      const { model: slow, sent } = slowModel("600 millis")
      const forgetful = InProcessBus.layer({ ackWait: Duration.millis(100), capacity: 64 })
      const silent = { heartbeat: Duration.minutes(1) }
      const patient = { ...settings, lease: Duration.seconds(30) }
      assert.strictEqual(
        yield* oneDocument({ model: slow, bus: forgetful, embedder: silent, settings: patient }),
        1
      )
      assert.strictEqual(sent(), 1)
    })
  )
})

describe("an order that nobody claims", () => {
  it.scopedLive("names its lane to whoever waits, until a worker takes it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const impatient = { ...settings, unclaimed: Duration.millis(100) }
      const context = yield* Layer.build(writeSide({ directory, settings: impatient, workers: false }))
      const { ask, progress } = Context.get(context, Coordinator)
      const { claim, receive } = Context.get(context, Bus)
      const until = (lane: Lane | undefined) =>
        progress.pipe(
          Stream.filter(({ open, unclaimed }) => open === 1 && unclaimed === lane),
          Stream.runHead,
          Effect.timeout("20 seconds")
        )
      yield* ask(addSource())
      yield* ask(submitOf("one", "# One\n\nA text."))
      yield* until("prepare")
      const [delivery] = yield* receive("prepare", 1)
      if (delivery === undefined) return assert.fail("no order")
      const { attempt, jobId } = delivery.value
      yield* claim([{ lane: "prepare", jobId, attempt, worker: "late", code: chunker.fingerprint }])
      yield* until(undefined)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
