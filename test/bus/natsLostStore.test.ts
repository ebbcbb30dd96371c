/** Orders that a server or a taker lost come again at once, before anybody has to miss them. */

import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, Logger, LogLevel, Option, Schedule, type Scope } from "effect"
import { Bus, type BusService, type WorkOrder } from "../../src/bus/Bus.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import { usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { orderFor } from "../conformance/bus.ts"
import { claimOne } from "../support/claimOne.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { connected, optionsFor } from "../support/natsClient.ts"
import { receiveOne } from "../support/receiveOne.ts"

const busOn = ({ url }: NatsServer, ackWait = Duration.seconds(1)) =>
  Effect.map(
    Layer.build(
      NatsBus.layer({ ...usualStreamOptions, ackWait }).pipe(Layer.provide(Connection.layer(optionsFor(url))))
    ),
    (context) => Context.get(context, Bus)
  )

const onServer = (
  name: string,
  test: (bus: BusService, server: NatsServer) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  it.scopedLive(name, () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      yield* test(yield* busOn(server), server)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )

/** The jobs of so many orders, and of one more if it comes within half a second. */
const jobsFrom = (bus: BusService, count: number) =>
  Effect.gen(function* () {
    const next = Effect.tap(receiveOne(bus, "prepare"), ({ ack }) => ack)
    const some = yield* Effect.replicateEffect(next, count).pipe(Effect.timeout("15 seconds"))
    const more = yield* Effect.timeoutOption(next, "500 millis")
    return new Set([...some, ...Option.toArray(more)].map(({ value }) => value.jobId))
  })
const jobs = (...orders: ReadonlyArray<WorkOrder>) => new Set(orders.map(({ jobId }) => jobId))

describe("an order that came for a worker who had given up waiting", () => {
  it.scopedLive("goes back at once, to the next who asks", () =>
    Effect.gen(function* () {
      const bus = yield* busOn(yield* natsServer(), Duration.minutes(5))
      // Its request stands at the server for two seconds more.
      assert.isTrue(Option.isNone(yield* Effect.timeoutOption(receiveOne(bus, "prepare"), "100 millis")))
      const order = orderFor("one")
      yield* bus.dispatch([order])
      assert.deepStrictEqual(yield* jobsFrom(bus, 1), jobs(order))
    })
  )
})

describe("orders that nobody claimed come again, and no others", () => {
  onServer("when the server is back without its store", (sender, server) =>
    Effect.gen(function* () {
      const [waiting, claimed, withdrawn, unfit] = [
        orderFor("waiting"),
        orderFor("claimed"),
        orderFor("withdrawn"),
        orderFor("unfit")
      ] as const
      yield* Effect.forkScoped(
        sender.serveClaims((requests) =>
          Effect.succeed(
            requests.map(({ jobId }) =>
              jobId === claimed.jobId
                ? { _tag: "Granted" }
                : { _tag: "Refused", reason: "It needs other code.", unfit: true }
            )
          )
        )
      )
      const worker = yield* busOn(server)
      yield* sender.dispatch([waiting, claimed, withdrawn, unfit])
      for (const { attempt, chunker, jobId, lane } of [claimed, unfit])
        yield* Effect.retry(claimOne(worker, { lane, jobId, attempt, worker: "w", code: chunker }), {
          schedule: Schedule.spaced("50 millis"),
          times: 20
        })
      yield* sender.withdraw("prepare", withdrawn.jobId)
      yield* server.restart("lost")
      assert.deepStrictEqual(yield* jobsFrom(worker, 2), jobs(waiting, unfit))
    })
  )

  onServer("when their stream is deleted by hand", (sender, server) =>
    Effect.gen(function* () {
      const order = orderFor("one")
      yield* sender.dispatch([order])
      const operator = yield* connected(server.url)
      yield* Effect.promise(() => operator.manager.streams.delete("REPRISE_WORK_prepare"))
      assert.deepStrictEqual(yield* jobsFrom(sender, 1), jobs(order))
    })
  )

  onServer("but not twice where the server kept its store", (sender, server) =>
    Effect.gen(function* () {
      const order = orderFor("one")
      yield* sender.dispatch([order])
      yield* server.restart("kept")
      assert.deepStrictEqual(yield* jobsFrom(sender, 1), jobs(order))
      const operator = yield* connected(server.url)
      const { state } = yield* Effect.promise(() => operator.manager.streams.info("REPRISE_WORK_prepare"))
      assert.strictEqual(state.last_seq, 1)
    })
  )
})
