/** The streams and consumers on a real server: made, left alone, brought up to date, or refused with a remedy. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { DiscardPolicy, RetentionPolicy } from "nats"
import { declarations, ensureStreams, usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { streamNames } from "../../src/bus/nats/Subjects.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"

const fresh = Effect.gen(function* () {
  const server = yield* natsServer()
  return yield* connected(server.url)
})

const inForce = (nats: Effect.Effect.Success<typeof fresh>) =>
  Effect.promise(async () => {
    const streams = await nats.manager.streams.list().next()
    const consumers = await Promise.all(
      streams.map(({ config }) => nats.manager.consumers.list(config.name).next())
    )
    return { streams, consumers: consumers.flat() }
  })

describe("the JetStream streams", () => {
  it.scopedLive("are made as declared, with their consumers", () =>
    Effect.gen(function* () {
      const nats = yield* fresh
      yield* ensureStreams(nats, usualStreamOptions)
      const { consumers, streams } = yield* inForce(nats)
      assert.deepStrictEqual(
        streams
          .map(({ config: { discard, name, retention, subjects } }) => [
            name,
            subjects[0],
            retention,
            discard
          ])
          .toSorted(),
        [
          ["REPRISE_ANSWERS", "reprise.answer.*.*.*", "limits", "old"],
          ["REPRISE_COMMANDS", "reprise.command.*.*.*", "workqueue", "new"],
          ["REPRISE_EVENTS", "reprise.event.>", "limits", "old"],
          ["REPRISE_RESULTS", "reprise.result.*.*", "workqueue", "new"],
          ["REPRISE_WORK_embed", "reprise.work.embed.*", "workqueue", "new"],
          ["REPRISE_WORK_prepare", "reprise.work.prepare.*", "workqueue", "new"]
        ]
      )
      for (const { config } of streams) assert.strictEqual(config.duplicate_window, 100_000_000, config.name)
      assert.deepStrictEqual(consumers.map(({ name, stream_name }) => `${stream_name} ${name}`).toSorted(), [
        "REPRISE_RESULTS coordinator",
        "REPRISE_WORK_embed workers",
        "REPRISE_WORK_prepare workers"
      ])
      for (const { config } of consumers) {
        assert.strictEqual(config.max_deliver, -1)
        assert.strictEqual(config.ack_wait, 30_000_000_000)
      }
    })
  )

  it.scopedLive("are left as they are by a second start, with what they hold", () =>
    Effect.gen(function* () {
      const nats = yield* fresh
      yield* ensureStreams(nats, usualStreamOptions)
      yield* Effect.promise(() => nats.jetstream.publish("reprise.work.prepare.x", "waits"))
      const before = yield* inForce(nats)
      yield* ensureStreams(nats, usualStreamOptions)
      const after = yield* inForce(nats)
      assert.deepStrictEqual(
        after.streams.map(({ config, created, state }) => ({ config, created, messages: state.messages })),
        before.streams.map(({ config, created, state }) => ({ config, created, messages: state.messages }))
      )
    })
  )

  it.scopedLive("take other limits and times at the next start, and keep what they hold", () =>
    Effect.gen(function* () {
      const nats = yield* fresh
      yield* ensureStreams(nats, usualStreamOptions)
      yield* Effect.promise(() => nats.jetstream.publish("reprise.work.prepare.x", "waits"))
      yield* ensureStreams(nats, {
        ...usualStreamOptions,
        ackWait: Duration.seconds(7),
        capacity: 99,
        inHand: 8,
        eventsMaxAge: Duration.days(3)
      })
      const work = yield* Effect.promise(() => nats.manager.streams.info("REPRISE_WORK_prepare"))
      assert.deepStrictEqual([work.config.max_msgs, work.state.messages], [99, 1])
      const events = yield* Effect.promise(() => nats.manager.streams.info("REPRISE_EVENTS"))
      assert.strictEqual(events.config.max_age, 3 * 86_400 * 1e9)
      const { config } = yield* Effect.promise(() =>
        nats.manager.consumers.info("REPRISE_WORK_prepare", "workers")
      )
      assert.deepStrictEqual([config.ack_wait, config.max_ack_pending], [7_000_000_000, 8])
    })
  )

  it.scopedLive("are made by several processes at once", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const clients = yield* Effect.all(Array.from({ length: 6 }, () => connected(server.url)))
      for (let round = 0; round < 10; round++) {
        yield* Effect.forEach(clients, (nats) => ensureStreams(nats, usualStreamOptions), {
          concurrency: "unbounded"
        })
        const [first] = clients
        if (first === undefined) return
        for (const name of Object.values(streamNames))
          yield* Effect.promise(() => first.manager.streams.delete(name))
        yield* Effect.sleep(Duration.millis(300))
      }
    })
  )

  it.scopedLive("are not taken where one of their names keeps messages in another way", () =>
    Effect.gen(function* () {
      const nats = yield* fresh
      const { stream } = declarations(usualStreamOptions).results
      yield* Effect.promise(() =>
        nats.manager.streams.add({
          ...stream,
          retention: RetentionPolicy.Limits,
          discard: DiscardPolicy.Old
        })
      )
      const refused = yield* Effect.flip(ensureStreams(nats, usualStreamOptions))
      assert.strictEqual(
        refused.message,
        "The JetStream stream REPRISE_RESULTS cannot be used: found retention limits, expected retention workqueue. A server cannot change it. If nothing else uses the stream, remove it (nats stream rm REPRISE_RESULTS) and start again: what waited in it is handed out anew."
      )
    })
  )

  it.scopedLive("are not made beside a foreign stream that holds their subjects", () =>
    Effect.gen(function* () {
      const nats = yield* fresh
      yield* Effect.promise(() => nats.manager.streams.add({ name: "MINE", subjects: ["reprise.work.>"] }))
      const refused = yield* Effect.flip(ensureStreams(nats, usualStreamOptions))
      assert.match(refused.message, /REPRISE_WORK_prepare cannot be used: found another stream/)
    })
  )
})
