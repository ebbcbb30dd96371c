/**
 * What every bus promises. Nothing below knows which one it runs on.
 *
 * A bus may deliver late, repeat and reorder; it may not lose what was not acknowledged while it lives, hand out what was
 * withdrawn as if it were new, or let a sender grow it without bound.
 */

import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Duration, Effect, Fiber, type Layer, Option, Schedule, Stream } from "effect"
import { Epoch, EventId } from "../../events/Ids.ts"
import {
  CodeFingerprint,
  type DocumentId,
  defaultScope,
  type Lane,
  Position,
  ProjectName,
  prepareJobId,
  Sequence,
  type StoredEvent,
  sha256
} from "../../events/index.ts"
import { acknowledge, Bus, type BusOptions, type PrepareOrder, type WorkResult } from "../../src/bus/Bus.ts"
import { claimOne } from "../support/claimOne.ts"
import { receiveOne } from "../support/receiveOne.ts"
import { documentNamed } from "../support/writeSide.ts"

export interface BusUnderTest {
  /** A new, empty bus. Its times are real: keep them short. */
  readonly layer: (options: BusOptions) => Layer.Layer<Bus, unknown>
  /** The shortest `ackWait` that it can keep. */
  readonly ackWait: Duration.Duration
}

export const code = CodeFingerprint.make("structure-0123456789ab")

export const orderFor = (name: string, attempt = 1): PrepareOrder => {
  const documentId: DocumentId = documentNamed(name)
  const raw = sha256(name)
  return {
    lane: "prepare",
    jobId: prepareJobId(1, documentId, 1, raw),
    attempt,
    scope: defaultScope,
    documentId,
    version: 1,
    raw,
    descriptor: sha256(`descriptor ${name}`),
    chunker: code
  }
}

export const vectorsFor = (vector: Float32Array): Extract<WorkResult, { readonly _tag: "Vectors" }> => ({
  _tag: "Vectors",
  batchId: "batch",
  scope: defaultScope,
  model: code,
  worker: "worker",
  jobs: [],
  vectors: [{ inputHash: sha256("input"), vector }],
  tokens: 3,
  elapsedMs: 4
})

const resultFor = (order: PrepareOrder): WorkResult => ({
  _tag: "Prepared",
  jobId: order.jobId,
  attempt: order.attempt,
  worker: "worker",
  descriptor: new Uint8Array([1]),
  text: new Uint8Array([2, 3]),
  manifest: new Uint8Array([4])
})

const eventAt = (position: number, project = "default"): StoredEvent => ({
  position: Position.make(position),
  id: EventId.make(`00000000-0000-5000-8000-${String(position).padStart(12, "0")}`),
  stream: "source-x",
  version: position,
  type: "SourceRemoved",
  schemaVersion: 1,
  team: "default",
  project: ProjectName.make(project),
  sequence: Sequence.make(position),
  data: { sourceId: "x" },
  metadata: {
    correlationId: "c",
    actor: "coordinator",
    epoch: Epoch.make(1),
    writer: 1,
    appendEnd: Position.make(position)
  },
  recordedAt: 0,
  hash: sha256(String(position))
})

const patience = Duration.seconds(10)
const pause = Schedule.spaced("50 millis")

export const busConformance = (name: string, { ackWait, layer }: BusUnderTest): void => {
  const onBus = (
    title: string,
    test: (bus: Bus["Type"]) => Effect.Effect<void, unknown>,
    options: Partial<BusOptions> = {}
  ) =>
    it.scopedLive(title, () =>
      Effect.flatMap(Bus, test).pipe(
        Effect.provide(layer({ ackWait, capacity: 1024, ...options })),
        Effect.timeoutFail({ duration: patience, onTimeout: () => new Error("It took too long.") })
      )
    )
  const nothingFrom = (bus: Bus["Type"], lane: Lane, within: Duration.Duration) =>
    Effect.map(Effect.timeoutOption(receiveOne(bus, lane), within), Option.isNone)

  describe(`a bus: ${name}`, () => {
    onBus("hands an order to a worker, with everything that it says", (bus) =>
      Effect.gen(function* () {
        const order = orderFor("one")
        yield* bus.dispatch([order])
        const delivery = yield* receiveOne(bus, "prepare")
        assert.deepStrictEqual(delivery.value, order)
        yield* delivery.ack
      })
    )

    onBus("wakes a worker that was there first", (bus) =>
      Effect.gen(function* () {
        const waiting = yield* Effect.fork(receiveOne(bus, "prepare"))
        yield* Effect.sleep("20 millis")
        yield* bus.dispatch([orderFor("one")])
        assert.deepStrictEqual((yield* Fiber.join(waiting)).value, orderFor("one"))
      })
    )

    onBus("gives each waiting order to one worker", (bus) =>
      Effect.gen(function* () {
        const names = Array.from({ length: 20 }, (_, n) => `document-${n}`)
        yield* Effect.forEach(names, (one) => bus.dispatch([orderFor(one)]), { discard: true })
        const taken = yield* Effect.forEach(
          names,
          () => Effect.tap(receiveOne(bus, "prepare"), ({ ack }) => ack),
          { concurrency: 4 }
        )
        const ids = new Set(taken.map(({ value }) => value.jobId))
        assert.strictEqual(ids.size, names.length)
      })
    )

    onBus("keeps lanes apart", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        assert.isTrue(yield* nothingFrom(bus, "embed", Duration.millis(50)))
      })
    )

    onBus("does not double an order that still waits, but takes its next attempt", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        yield* bus.dispatch([orderFor("one")])
        yield* bus.dispatch([orderFor("one", 2)])
        const first = yield* Effect.tap(receiveOne(bus, "prepare"), ({ ack }) => ack)
        const second = yield* Effect.tap(receiveOne(bus, "prepare"), ({ ack }) => ack)
        assert.deepStrictEqual([first.value.attempt, second.value.attempt].toSorted(), [1, 2])
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.millis(50)))
      })
    )

    onBus(
      "hands out no more orders than a worker asks for, and each of several again that was not acknowledged",
      (bus) =>
        Effect.gen(function* () {
          for (const job of ["one", "two", "three"]) yield* bus.dispatch([orderFor(job)])
          const taken = [...(yield* bus.receive("prepare", 2))]
          assert.isAtMost(taken.length, 2)
          while (taken.length < 3) taken.push(...(yield* bus.receive("prepare", 2)))
          const jobs = ["one", "two", "three"].map((job) => orderFor(job).jobId).toSorted()
          assert.deepStrictEqual(taken.map(({ value }) => value.jobId).toSorted(), jobs)
          const [first] = taken
          if (first !== undefined) yield* first.ack
          const again: Array<string> = []
          while (again.length < 2) {
            for (const { ack, value } of yield* bus.receive("prepare", 2)) {
              again.push(value.jobId)
              yield* ack
            }
          }
          assert.deepStrictEqual([first?.value.jobId ?? "", ...again].toSorted(), jobs)
        })
    )

    onBus("N2: takes the same attempt again once it was acknowledged", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        yield* Effect.flatMap(receiveOne(bus, "prepare"), ({ ack }) => ack)
        // A server's dedupe window is the shortest that there is: 100 ms.
        yield* Effect.sleep("150 millis")
        yield* bus.dispatch([orderFor("one")])
        const again = yield* receiveOne(bus, "prepare")
        assert.strictEqual(again.value.attempt, 1)
      })
    )

    onBus("N2: takes the same attempt again a moment after it was acknowledged", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        yield* Effect.flatMap(receiveOne(bus, "prepare"), ({ ack }) => ack)
        yield* bus.dispatch([orderFor("one")])
        const again = yield* receiveOne(bus, "prepare")
        assert.strictEqual(again.value.attempt, 1)
      })
    )

    onBus("N1: delivers again what was not acknowledged in time", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        yield* receiveOne(bus, "prepare")
        const again = yield* receiveOne(bus, "prepare")
        assert.deepStrictEqual(again.value, orderFor("one"))
        yield* again.ack
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.times(ackWait, 2)))
      })
    )

    onBus("N5: does not deliver again while its worker shows progress", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        const delivery = yield* receiveOne(bus, "prepare")
        const beat = yield* delivery.inProgress.pipe(
          Effect.delay(Duration.millis(Duration.toMillis(ackWait) / 4)),
          Effect.forever,
          Effect.fork
        )
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.times(ackWait, 3)))
        yield* Fiber.interrupt(beat)
      })
    )

    onBus("N5: bears an acknowledgement that comes late, or twice", (bus) =>
      Effect.gen(function* () {
        yield* bus.dispatch([orderFor("one")])
        const late = yield* receiveOne(bus, "prepare")
        const again = yield* receiveOne(bus, "prepare")
        yield* again.ack
        yield* late.ack
        yield* late.ack
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.times(ackWait, 2)))
      })
    )

    onBus("N4: takes back what waits for a job that is over", (bus) =>
      Effect.gen(function* () {
        const order = orderFor("one")
        yield* bus.dispatch([order])
        yield* bus.dispatch([orderFor("two")])
        yield* bus.withdraw("prepare", order.jobId)
        const next = yield* receiveOne(bus, "prepare")
        assert.strictEqual(next.value.jobId, orderFor("two").jobId)
        yield* next.ack
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.millis(50)))
      })
    )

    onBus("N4: does not deliver again what was withdrawn while a worker had it", (bus) =>
      Effect.gen(function* () {
        const order = orderFor("one")
        yield* bus.dispatch([order])
        yield* receiveOne(bus, "prepare")
        yield* bus.withdraw("prepare", order.jobId)
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.times(ackWait, 2)))
      })
    )

    onBus("loses no order to a worker that gave up waiting", (bus) =>
      Effect.gen(function* () {
        assert.isTrue(yield* nothingFrom(bus, "prepare", Duration.millis(30)))
        yield* bus.dispatch([orderFor("one")])
        assert.deepStrictEqual((yield* receiveOne(bus, "prepare")).value, orderFor("one"))
      })
    )

    onBus("brings results to the Coordinator with their bytes, and again until acknowledged", (bus) =>
      Effect.gen(function* () {
        const result = resultFor(orderFor("one"))
        yield* bus.report([result])
        const seen = yield* bus.results.pipe(
          Stream.tap(({ ack, value }) => (value.worker === "other" ? ack : Effect.void)),
          Stream.take(2),
          Stream.runCollect
        )
        const values = Chunk.toReadonlyArray(seen).map(({ value }) => value)
        assert.deepStrictEqual(values, [result, result])
      })
    )

    onBus("carries vectors bit for bit", (bus) =>
      Effect.gen(function* () {
        const vector = new Float32Array([0.1, -0.2, 3e-40, 1])
        const reported = yield* Effect.fork(bus.report([vectorsFor(vector)]))
        const seen = yield* bus.results.pipe(
          Stream.tap(({ ack }) => ack),
          Stream.runHead
        )
        yield* Fiber.join(reported)
        const value = Option.map(seen, (delivery) => delivery.value)
        assert.isTrue(Option.isSome(value) && value.value._tag === "Vectors")
        if (Option.isSome(value) && value.value._tag === "Vectors") {
          assert.deepStrictEqual(value.value.vectors[0]?.vector, vector)
        }
      })
    )

    onBus("asks whoever serves claims, and hands on the answer", (bus) =>
      Effect.gen(function* () {
        const asked = yield* Deferred.make<string>()
        yield* Effect.fork(
          bus.serveClaims((requests) =>
            Effect.forEach(requests, ({ worker }) =>
              Effect.as(Deferred.succeed(asked, worker), { _tag: "Refused", reason: "It is over." } as const)
            )
          )
        )
        const { attempt, jobId, lane } = orderFor("one")
        const request = { lane, jobId, attempt, worker: "w-1", code }
        const claim = yield* Effect.retry(claimOne(bus, request), { times: 20, schedule: pause })
        assert.deepStrictEqual(claim, { _tag: "Refused", reason: "It is over." })
        assert.strictEqual(yield* Deferred.await(asked), "w-1")
      })
    )

    onBus("takes orders, claims and results several at a time, in their order", (bus) =>
      Effect.gen(function* () {
        const orders = ["one", "two", "three"].map((name) => orderFor(name))
        yield* Effect.fork(
          bus.serveClaims((requests) =>
            Effect.succeed(
              requests.map(({ jobId }) =>
                jobId === orders[1]?.jobId ? { _tag: "Refused", reason: "It is over." } : { _tag: "Granted" }
              )
            )
          )
        )
        yield* bus.dispatch(orders)
        const taken = yield* Effect.forEach(orders, () => receiveOne(bus, "prepare"))
        assert.deepStrictEqual(
          taken.map(({ value }) => value),
          orders
        )
        const requests = orders.map(({ attempt, jobId, lane }) => ({
          lane,
          jobId,
          attempt,
          worker: "w",
          code
        }))
        const claims = yield* Effect.retry(bus.claim(requests), { times: 20, schedule: pause })
        assert.deepStrictEqual(
          claims.map(({ _tag }) => _tag),
          ["Granted", "Refused", "Granted"]
        )
        yield* bus.report(orders.map(resultFor))
        yield* acknowledge(taken)
        const seen = yield* bus.results.pipe(
          Stream.tap(({ ack }) => ack),
          Stream.take(3),
          Stream.runCollect
        )
        assert.deepStrictEqual(
          Chunk.toReadonlyArray(seen).map(({ value }) => value),
          orders.map(resultFor)
        )
      })
    )

    onBus("says so where nobody answers claims", (bus) =>
      Effect.gen(function* () {
        const { attempt, jobId, lane } = orderFor("one")
        const refused = yield* Effect.flip(claimOne(bus, { lane, jobId, attempt, worker: "w-1", code }))
        assert.strictEqual(refused._tag, "BusUnavailable")
      })
    )

    onBus("sends events to those who listen, in order, narrowed to a project", (bus) =>
      Effect.gen(function* () {
        const listening = yield* bus
          .events({ team: "default", project: "default" })
          .pipe(Stream.take(2), Stream.runCollect, Effect.fork)
        yield* Effect.sleep("100 millis")
        for (const event of [eventAt(1), eventAt(2, "other"), eventAt(3)]) yield* bus.publish(event)
        const positions = Chunk.toReadonlyArray(yield* Fiber.join(listening)).map(({ position }) => position)
        assert.deepStrictEqual(positions, [1, 3])
      })
    )

    onBus("publishes events that nobody listens to without waiting", (bus) =>
      Effect.forEach(
        Array.from({ length: 50 }, (_, n) => eventAt(n + 1)),
        bus.publish,
        { discard: true }
      )
    )

    onBus(
      "makes a sender wait while a lane is full, and lets it go on when a worker takes one",
      (bus) =>
        Effect.gen(function* () {
          yield* bus.dispatch([orderFor("one")])
          yield* bus.dispatch([orderFor("two")])
          const sending = yield* Effect.fork(bus.dispatch([orderFor("three")]))
          yield* Effect.sleep("50 millis")
          assert.isTrue(Option.isNone(yield* Fiber.poll(sending)))
          yield* Effect.flatMap(receiveOne(bus, "prepare"), ({ ack }) => ack)
          yield* Fiber.join(sending)
        }),
      { capacity: 2 }
    )

    onBus(
      "lets a sender go on when what filled the lane is withdrawn",
      (bus) =>
        Effect.gen(function* () {
          const order = orderFor("one")
          yield* bus.dispatch([order])
          const sending = yield* Effect.fork(bus.dispatch([orderFor("two")]))
          yield* Effect.sleep("50 millis")
          yield* bus.withdraw("prepare", order.jobId)
          yield* Fiber.join(sending)
        }),
      { capacity: 1 }
    )

    onBus("tells its state", (bus) =>
      Effect.gen(function* () {
        assert.isTrue((yield* bus.state).connected)
      })
    )
  })
}
