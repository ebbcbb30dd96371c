/** On a real server: whatever happens to the publisher, the server or the stream, subscribers get the log, in its order. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Random, Schema, type Scope } from "effect"
import { headers } from "nats"
import { defaultScope, eventId, ProjectScope, PublishedEvent } from "../../events/index.ts"
import { NatsConnection } from "../../src/bus/nats/Connection.ts"
import type { Content } from "../../src/log/Content.ts"
import { Log, type LogReader } from "../../src/log/Log.ts"
import type { ReadModels } from "../../src/log/ReadModels.ts"
import { EventPublisher } from "../../src/messaging/EventPublisher.ts"
import {
  appendEvents,
  caughtUp,
  comparison,
  connected,
  eventStream,
  messages,
  publisher
} from "../support/eventStream.ts"
import { appendOf, blobOf, submitted } from "../support/logEvents.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { logRoom } from "../support/writeSide.ts"

type Room = Log | LogReader | ReadModels | Content | NatsConnection

const onServer = (
  name: string,
  test: (server: NatsServer) => Effect.Effect<void, unknown, Room | Scope.Scope>
) =>
  it.scopedLive(name, () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const directory = yield* temporaryDirectory
      yield* Effect.provide(test(server), Layer.merge(logRoom(directory), connected(server)))
    })
  )

const decodeBody = Schema.decodeUnknownSync(Schema.parseJson(PublishedEvent))
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

/** Publishes until everything is there. */
const publishAll = Effect.scoped(Effect.provide(caughtUp, publisher()))

const assertComplete = Effect.map(comparison, ({ log, published }) => assert.deepStrictEqual(published, log))

/** Complete, and each event once: what expects the stream's last sequence cannot be stored a second time. */
const assertOnce = Effect.gen(function* () {
  yield* assertComplete
  const { log } = yield* comparison
  assert.strictEqual((yield* messages).length, log.length)
})

describe("the event publisher", () => {
  onServer("publishes every event in the log's order, with its place in the project and no other", () =>
    Effect.gen(function* () {
      yield* appendEvents(120, "before")
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* appendEvents(30, "while", other)
          yield* appendEvents(30, "after")
          yield* caughtUp
        }),
        publisher()
      )
      yield* assertComplete
      const all = yield* messages
      assert.strictEqual(all.length, 180)
      const [first] = all
      assert.strictEqual(first?.subject, "reprise.event.default.default.DocumentSubmitted")
      assert.strictEqual(all[125]?.subject, "reprise.event.other.quiet.DocumentSubmitted")
      assert.strictEqual(all[125]?.header.get("Reprise-Sequence"), "6")
      assert.strictEqual(all[125]?.header.get("Reprise-Epoch"), "1")
      assert.strictEqual(first?.header.get("ce-id"), first?.header.get("Nats-Msg-Id"))
      assert.strictEqual(first?.header.get("ce-type"), "DocumentSubmitted")
      const body = decodeBody(text(all[125]?.data ?? new Uint8Array()))
      assert.strictEqual(body.sequence, 6)
      assert.strictEqual(body.team, "other")
      const leaks = all.filter(({ data }) => /"(position|appendEnd|hash)"/.test(text(data)))
      assert.deepStrictEqual(leaks, [])
    })
  )

  onServer("sends what the descriptor says along, unless it is configured otherwise or erased", () =>
    Effect.gen(function* () {
      const described = blobOf(
        JSON.stringify({
          externalId: "a",
          uri: "file:///a",
          mediaType: "text/plain",
          metadata: { kind: "note" }
        })
      )
      const log = yield* Log
      const event = submitted("a")
      yield* log.write({
        blobs: [described],
        appends: [appendOf("submit-a", "a", [{ ...event, descriptor: described.digest }])]
      })
      yield* appendEvents(1, "erased")
      yield* publishAll
      yield* appendEvents(1, "plain")
      yield* Effect.scoped(Effect.provide(caughtUp, publisher({ descriptors: false })))
      const bodies = (yield* messages).map(({ data }) => decodeBody(text(data)))
      assert.deepStrictEqual(
        bodies.map(({ descriptor, omitted }) => [descriptor?.metadata["kind"], omitted]),
        [
          ["note", undefined],
          [undefined, "erased"],
          [undefined, "configured"]
        ]
      )
    })
  )

  onServer("killed again and again, it goes on where the stream ends", () =>
    Effect.gen(function* () {
      const random = Random.make("publisher kills")
      const { position } = yield* (yield* Log).head
      assert.strictEqual(position, 0)
      for (let round = 0; round < 20; round++) {
        yield* appendEvents(100, `round-${round}`)
        const fiber = yield* Effect.fork(publishAll)
        yield* Effect.sleep(Duration.millis(yield* random.nextIntBetween(0, 120)))
        yield* Fiber.interrupt(fiber)
      }
      yield* publishAll
      yield* assertOnce
    })
  )

  onServer("outlives a server that is killed with its store kept", (server) =>
    Effect.provide(
      Effect.gen(function* () {
        for (let round = 0; round < 3; round++) {
          yield* appendEvents(400, `round-${round}`)
          yield* server.restart("kept")
        }
        yield* appendEvents(10, "last")
        yield* caughtUp
        yield* assertComplete
      }),
      publisher()
    )
  )

  onServer("publishes everything again to a server that lost its store", (server) =>
    Effect.provide(
      Effect.gen(function* () {
        yield* appendEvents(300, "before")
        yield* caughtUp
        yield* server.restart("lost")
        yield* appendEvents(50, "after")
        const nats = yield* NatsConnection
        // What was published before counts as published until the loss is noticed.
        yield* caughtUp
        yield* Effect.promise(() => nats.manager.streams.info("REPRISE_EVENTS"))
        yield* assertComplete
      }),
      publisher()
    )
  )

  onServer("loses nothing to messages of others in the midst of its own", () =>
    Effect.gen(function* () {
      yield* eventStream()
      const nats = yield* NatsConnection
      const inject = Effect.forever(
        Effect.zipRight(
          Effect.promise(() => nats.jetstream.publish("reprise.event.default.default.SyncStarted", "{}")),
          Effect.sleep("3 millis")
        )
      )
      const injecting = yield* Effect.fork(inject)
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* appendEvents(400, "among")
          // Now and then a window finds room; so that it ends, the others fall silent.
          yield* Effect.sleep("1500 millis")
          yield* Fiber.interrupt(injecting)
          yield* caughtUp
          const { messages: sent, searches } = yield* (yield* EventPublisher).status
          assert.isAbove(searches, 1)
          assert.isAtLeast(sent, 400)
        }),
        publisher()
      )
      yield* assertComplete
      assert.isAbove((yield* messages).length, 400)
    })
  )

  onServer("takes a message for its own only if the log has it at that very place", () =>
    Effect.gen(function* () {
      yield* appendEvents(10, "real")
      yield* publishAll
      const nats = yield* NatsConnection
      const [copied] = (yield* messages).slice(-1)
      const forged = (change: Readonly<Record<string, string>>, subject = copied?.subject ?? "") => {
        const all = headers()
        for (const key of copied?.header.keys() ?? []) {
          if (!key.startsWith("Nats-Expected")) all.set(key, copied?.header.get(key) ?? "")
        }
        for (const [key, value] of Object.entries(change)) all.set(key, value)
        return Effect.zipRight(
          Effect.sleep("120 millis"),
          Effect.promise(() => nats.jetstream.publish(subject, "{}", { headers: all }))
        )
      }
      yield* appendEvents(10, "more")
      yield* forged({ "ce-source": "urn:reprise:log:another" })
      yield* forged({ "Reprise-Sequence": "15" })
      yield* forged({ "Reprise-Sequence": "1e9" })
      yield* forged({ "Nats-Msg-Id": "something else" })
      yield* forged({}, "reprise.event.other.project.DocumentSubmitted")
      yield* forged({}, "reprise.event.default.default.SyncStarted")
      // The last one decides, where it is believed: five events would be left out.
      yield* forged({ "Reprise-Sequence": "15", "Nats-Msg-Id": "of nothing in the log" })
      yield* publishAll
      const { log } = yield* comparison
      const genuine = (yield* messages)
        .filter(({ data }) => data.length > 2)
        .map(({ header }) => header.get("Nats-Msg-Id"))
      assert.deepStrictEqual(genuine, log)
    })
  )

  onServer("does not take `duplicate` for success", () =>
    Effect.provide(
      Effect.gen(function* () {
        yield* appendEvents(1, "first")
        yield* caughtUp
        const nats = yield* NatsConnection
        const all = headers()
        all.set("Nats-Msg-Id", eventId(1, defaultScope, "submit-repeated-0", 0))
        const ack = yield* Effect.promise(() =>
          nats.jetstream.publish("reprise.event.default.default.SyncStarted", "{}", { headers: all })
        )
        // Within the window in which the server takes this id for a repeated one.
        yield* appendEvents(1, "repeated")
        const { log } = yield* comparison
        assert.strictEqual(log[1], all.get("Nats-Msg-Id"))
        yield* caughtUp
        const { searches } = yield* (yield* EventPublisher).status
        assert.isAbove(searches, 1)
        const genuine = (yield* messages).filter(({ data }) => data.length > 2)
        assert.deepStrictEqual(
          genuine.map(({ header }) => header.get("Nats-Msg-Id")),
          log
        )
        assert.strictEqual(ack.duplicate, false)
      }),
      publisher()
    )
  )

  onServer("two at once do not harm each other", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(Effect.zip(publishAllOf(800), publishAllOf(800), { concurrent: true }))
      yield* appendEvents(800, "both")
      yield* Fiber.join(fiber)
      yield* assertOnce
    })
  )

  onServer("begins at the first event that the stream would still hold, where it holds none of ours", () =>
    Effect.gen(function* () {
      yield* eventStream(Duration.seconds(2))
      yield* appendEvents(60, "old")
      yield* Effect.sleep("2500 millis")
      yield* appendEvents(60, "young")
      yield* Effect.scoped(Effect.provide(caughtUp, publisher({ ready: Effect.void })))
      const { log, published } = yield* comparison
      assert.deepStrictEqual(published, log.slice(60))
    })
  )

  onServer("says how far it is behind, and why, while the server does not answer", (server) =>
    Effect.provide(
      Effect.gen(function* () {
        const { status } = yield* EventPublisher
        yield* appendEvents(20, "before")
        yield* caughtUp
        assert.deepInclude(yield* status, { lag: 0, messages: 20, problem: undefined })
        yield* server.freeze
        // A process that is stopped may still answer what it has in hand.
        for (let n = 0; (yield* status).problem === undefined; n++) {
          yield* appendEvents(1, `meanwhile-${n}`)
          yield* Effect.sleep("50 millis")
        }
        assert.isAbove((yield* status).lag, 0)
        yield* server.thaw
        yield* caughtUp
        assert.deepInclude(yield* status, { lag: 0, problem: undefined })
        yield* assertComplete
      }),
      publisher()
    )
  )
})

const other = Schema.decodeSync(ProjectScope)({ team: "other", project: "quiet" })

const publishAllOf = (position: number) =>
  Effect.scoped(
    Effect.provide(
      Effect.flatMap(EventPublisher, ({ untilPublished }) => untilPublished(position)),
      publisher()
    )
  )
