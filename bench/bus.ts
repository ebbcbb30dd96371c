/**
 * What does NATS cost beside the bus in process, for one order and its way back; and what do more workers bring where each
 * batch takes 30 ms of waiting?
 *
 *   node scripts/bench.js bus [--orders 1000]
 *
 * Starts a nats-server of its own. Prints a table and, as the last line, JSON.
 */

import { parseArgs } from "node:util"
import { Duration, Effect, Layer, Stream } from "effect"
import { CodeFingerprint, defaultScope, documentId, prepareJobId, sha256, sourceId } from "../events/index.ts"
import { Bus } from "../src/bus/Bus.ts"
import * as InProcessBus from "../src/bus/InProcessBus.ts"
import * as Connection from "../src/bus/nats/Connection.ts"
import * as NatsBus from "../src/bus/nats/NatsBus.ts"
import { natsServer } from "../test/support/NatsServer.ts"
import { optionsFor } from "../test/support/natsClient.ts"
import { receiveOne } from "../test/support/receiveOne.ts"

const { values } = parseArgs({
  options: { orders: { type: "string", default: "1000" } },
  allowPositionals: true
})
const orders = Number(values.orders)
const window = 32
const batch = Duration.millis(30)

const source = sourceId(defaultScope, "push", "bench")
const code = CodeFingerprint.make("structure-0123456789ab")
const orderOf = (run: string, n: number) => {
  const document = documentId(defaultScope, source, `${run}-${n}`)
  const raw = sha256(`${run}-${n}`)
  return {
    lane: "prepare" as const,
    jobId: prepareJobId(1, document, 1, raw),
    attempt: 1,
    scope: defaultScope,
    documentId: document,
    version: 1,
    raw,
    descriptor: raw,
    chunker: code
  }
}

/** Orders handed out in a window, each taken, claimed, worked on, reported, acknowledged and withdrawn. */
const throughput = (
  run: string,
  count: number,
  serving: Bus["Type"],
  workers: ReadonlyArray<Bus["Type"]>,
  work: Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const room = yield* Effect.makeSemaphore(window)
    yield* Effect.forkScoped(
      serving.serveClaims((requests) => Effect.succeed(requests.map(() => ({ _tag: "Granted" }))))
    )
    yield* Effect.sleep("100 millis")
    for (const [n, bus] of workers.entries())
      yield* Effect.forkScoped(
        Effect.forever(
          Effect.gen(function* () {
            const { ack, value } = yield* receiveOne(bus, "prepare")
            const { attempt, jobId, lane } = value
            const worker = `worker-${n}`
            yield* bus.claim([{ lane, jobId, attempt, worker, code }])
            yield* work
            yield* bus.report([{ _tag: "Skipped", jobId, attempt, worker, reason: "empty", detail: "" }])
            yield* ack
          })
        )
      )
    const began = performance.now()
    yield* Effect.forkScoped(
      Effect.forEach(
        Array.from({ length: count }, (_, n) => n),
        (n) => Effect.zipRight(room.take(1), serving.dispatch([orderOf(run, n)])),
        { discard: true }
      )
    )
    yield* serving.results.pipe(
      Stream.take(count),
      Stream.runForEach(({ ack, value }) =>
        Effect.zipRight(
          ack,
          value._tag === "Skipped"
            ? Effect.zipRight(serving.withdraw("prepare", value.jobId), room.release(1))
            : Effect.void
        )
      )
    )
    return performance.now() - began
  }).pipe(Effect.scoped)

const onNats = (url: string) =>
  Effect.flatMap(
    Layer.build(NatsBus.layer().pipe(Layer.provide(Connection.layer(optionsFor(url))))),
    (context) => Effect.provide(Bus, context)
  )

const main = Effect.gen(function* () {
  const memory = yield* Effect.flatMap(Layer.build(InProcessBus.layer()), (context) =>
    Effect.provide(Bus, context)
  )
  const inProcess = yield* throughput("memory", orders, memory, [memory], Effect.void)
  const { url } = yield* natsServer()
  const serving = yield* onNats(url)
  const overNats = yield* throughput("nats", orders, serving, [yield* onNats(url)], Effect.void)
  const slow = Effect.sleep(batch)
  const one = yield* Effect.scoped(
    Effect.flatMap(onNats(url), (bus) => throughput("one", 100, serving, [bus], slow))
  )
  const four = yield* Effect.scoped(
    Effect.flatMap(Effect.all([onNats(url), onNats(url), onNats(url), onNats(url)]), (buses) =>
      throughput("four", 400, serving, buses, slow)
    )
  )
  const report = {
    orders,
    inProcessMsPerOrder: inProcess / orders,
    natsMsPerOrder: overNats / orders,
    oneWorkerPerSecond: 100_000 / one,
    fourWorkersPerSecond: 400_000 / four,
    gain: (4 * one) / four
  }
  yield* Effect.sync(() => {
    console.table(report)
    console.log(JSON.stringify(report))
  })
}).pipe(Effect.scoped)

await Effect.runPromise(main)
