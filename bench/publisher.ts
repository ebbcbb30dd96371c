/**
 * How fast does the event publisher put the log into JetStream, and what does its window do?
 *
 *   node scripts/bench.js publisher [--events 20000] [--windows 1,16,64,128,256]
 *
 * Starts a nats-server of its own on a free loopback port. Prints a table and, as the last line, JSON: events a second,
 * from the log's first event to the last acknowledgement, reading the log and encoding included.
 */
import { parseArgs } from "node:util"
import { Clock, Duration, Effect, Layer } from "effect"
import { Supervisor } from "../actors/Supervisor.ts"
import { NatsConnection } from "../src/bus/nats/Connection.ts"
import { declarations, ensure, usualStreamOptions } from "../src/bus/nats/Streams.ts"
import { Log } from "../src/log/Log.ts"
import * as EventPublisher from "../src/messaging/EventPublisher.ts"
import { appendEvents, connected } from "../test/support/eventStream.ts"
import { natsServer } from "../test/support/NatsServer.ts"
import { temporaryDirectory } from "../test/support/temporaryDirectory.ts"
import { logRoom } from "../test/support/writeSide.ts"

const { values } = parseArgs({
  options: {
    events: { type: "string", default: "20000" },
    windows: { type: "string", default: "1,16,64,128,256" }
  },
  allowPositionals: true
})
const count = Number(values.events)
const windows = values.windows.split(",").map(Number)

/** From an empty stream to the last acknowledgement. */
const rate = (window: number) =>
  Effect.gen(function* () {
    const nats = yield* NatsConnection
    const { events } = declarations(usualStreamOptions)
    yield* Effect.promise(() => nats.manager.streams.delete(events.stream.name).catch(() => false))
    yield* ensure(nats, events)
    const { position } = yield* (yield* Log).head
    const started = yield* Clock.currentTimeMillis
    yield* Effect.scoped(
      Effect.provide(
        Effect.flatMap(EventPublisher.EventPublisher, ({ untilPublished }) => untilPublished(position)),
        EventPublisher.layer({
          ...EventPublisher.usualPublisher,
          window,
          timeout: Duration.seconds(30),
          ready: Effect.void
        }).pipe(Layer.provide(Supervisor.layer))
      )
    )
    const ended = yield* Clock.currentTimeMillis
    return { window, eventsPerSecond: Math.round(position / ((ended - started) / 1000)) }
  })

const bench = Effect.gen(function* () {
  const server = yield* natsServer()
  const directory = yield* temporaryDirectory
  const measured = yield* Effect.gen(function* () {
    yield* appendEvents(count, "event")
    return yield* Effect.forEach(windows, rate)
  }).pipe(Effect.provide(Layer.merge(logRoom(directory), connected(server))))
  console.log(`publisher: ${count} events`)
  console.log("  window   events/s")
  for (const { eventsPerSecond, window } of measured) {
    console.log(`  ${String(window).padStart(6)}   ${String(eventsPerSecond).padStart(8)}`)
  }
  console.log(JSON.stringify({ bench: "publisher", events: count, measured }))
})

await Effect.runPromise(Effect.scoped(bench))
