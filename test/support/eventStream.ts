/** The stream of published events, read message by message, and compared with the log. */
import { Array as Arrays, Chunk, Duration, Effect, Layer, Stream } from "effect"
import type { StoredMsg } from "nats"
import { Supervisor } from "../../actors/Supervisor.ts"
import { defaultScope, type ProjectScope } from "../../events/index.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import { declarations, ensure, usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { Log, LogReader } from "../../src/log/Log.ts"
import * as EventPublisher from "../../src/messaging/EventPublisher.ts"
import { appendOf, submitted } from "./logEvents.ts"
import type { NatsServer } from "./NatsServer.ts"

export const connected = (server: NatsServer, name = "test") =>
  Connection.layer({
    servers: [server.url],
    name,
    inboxPrefix: `_INBOX.${name}`,
    wait: false
  })

/** Makes the event stream; a test may give it an age. */
export const eventStream = (eventsMaxAge = Duration.zero) =>
  Effect.flatMap(Connection.NatsConnection, (nats) =>
    ensure(nats, declarations({ ...usualStreamOptions, eventsMaxAge }).events)
  )

export const publisher = (more: Partial<EventPublisher.PublisherOptions> = {}) =>
  Layer.unwrapEffect(
    Effect.map(Connection.NatsConnection, (nats) =>
      EventPublisher.layer({
        ...EventPublisher.usualPublisher,
        window: 16,
        timeout: Duration.seconds(1),
        ready: Effect.provideService(eventStream(), Connection.NatsConnection, nats),
        ...more
      })
    )
  ).pipe(Layer.provide(Supervisor.layer))

/** Appends `count` events, in appends of up to 50, in the scope. */
export const appendEvents = (count: number, name: string, scope: ProjectScope = defaultScope) =>
  Effect.gen(function* () {
    const log = yield* Log
    const each = Array.from({ length: count }, (_, n) => `${name}-${n}`)
    for (const names of Arrays.chunksOf(each, 50)) {
      yield* log.write({
        appends: names.map((one) => ({ ...appendOf(`submit-${one}`, one, [submitted(one)]), ...scope }))
      })
    }
  })

export const logIds = Effect.flatMap(LogReader, (reader) =>
  Effect.map(Stream.runCollect(Stream.map(reader.read(0), ({ id }) => String(id))), Chunk.toReadonlyArray)
)

/** Everything that the stream holds, in its order. */
export const messages = Effect.gen(function* () {
  const { manager } = yield* Connection.NatsConnection
  const { state } = yield* Effect.promise(() => manager.streams.info("REPRISE_EVENTS"))
  const all: Array<StoredMsg> = []
  for (let from = Math.max(1, state.first_seq); from <= state.last_seq; from += 100) {
    const sequences = Array.from({ length: Math.min(100, state.last_seq - from + 1) }, (_, at) => from + at)
    all.push(
      ...(yield* Effect.promise(() =>
        Promise.all(sequences.map((seq) => manager.streams.getMessage("REPRISE_EVENTS", { seq })))
      ))
    )
  }
  return all
})

/** Ids of events as a subscriber keeps them: each once, in the order of their first copies; foreign messages aside. */
export const publishedIds = (logId: string) =>
  Effect.map(messages, (all) => [
    ...new Set(
      all
        .filter(({ header }) => header.get("ce-source") === `urn:reprise:log:${logId}`)
        .map(({ header }) => header.get("Nats-Msg-Id"))
    )
  ])

/** Waits until all of the log is in the stream. */
export const caughtUp = Effect.gen(function* () {
  const { position } = yield* (yield* Log).head
  yield* (yield* EventPublisher.EventPublisher).untilPublished(position)
})

/** The order is the log's, and nothing is missing. */
export const comparison = Effect.gen(function* () {
  const { logId } = yield* (yield* Log).head
  return { published: yield* publishedIds(logId), log: yield* logIds }
})
