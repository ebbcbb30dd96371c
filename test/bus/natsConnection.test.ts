/** The connection on a real server: credentials, TLS, losing it and finding it again. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Duration, Effect, Fiber, Redacted, Stream } from "effect"
import { nkeys } from "nats"
import type { NatsService, NatsState } from "../../src/bus/nats/Connection.ts"
import { mutualTls } from "../support/MutualTls.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"
import { operatorMode } from "../support/natsOperator.ts"

const timeout = Duration.seconds(2)
const decoder = new TextDecoder()

/** Answers every request on `echo`, in the background. */
const echoing = (nats: NatsService) =>
  Effect.zipRight(
    nats.subscribe("echo").pipe(
      Stream.runForEach((message) => nats.respond(message, message.data)),
      Effect.forkScoped
    ),
    Effect.sleep("50 millis")
  )
const becomes = (nats: NatsService, is: (state: NatsState) => boolean) =>
  nats.changes.pipe(Stream.filter(is), Stream.runHead, Effect.timeout("20 seconds"))
const whyNot = (url: string, more: Parameters<typeof connected>[1] = {}) =>
  Effect.map(Effect.flip(connected(url, more)), (error) => ({
    message: error.message,
    reason: error._tag === "NatsUnreachable" ? error.reason : error.setting
  }))

describe("the connection to NATS", () => {
  it.scopedLive("sends, asks and answers", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      yield* echoing(nats)
      const answer = yield* nats.request("echo", "hello", { timeout })
      assert.strictEqual(decoder.decode(answer.data), "hello")
      const state = yield* nats.state
      assert.isTrue(state.connected)
    })
  )

  it.scopedLive("says where nobody answers, at once", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      const failed = yield* Effect.flip(nats.request("nobody.there", "hello", { timeout }))
      assert.strictEqual(failed.reason, "no-responders")
    })
  )

  it.scopedLive("fails at the start where no server is, and says what to do", () =>
    Effect.gen(function* () {
      const { message, reason } = yield* whyNot("nats://127.0.0.1:9")
      assert.strictEqual(reason, "unreachable")
      assert.match(message, /127\.0\.0\.1:9 cannot be reached: .* Is it running/)
    })
  )

  it.scopedLive("waits at the start for a server that comes later, where it is told to", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      yield* server.kill
      const waiting = yield* Effect.fork(connected(server.url, { wait: true }))
      yield* Effect.sleep("100 millis")
      assert.isTrue((yield* Fiber.poll(waiting))._tag === "None")
      yield* server.restart("kept")
      const nats = yield* Fiber.join(waiting)
      assert.isTrue((yield* nats.state).connected)
    })
  )

  it.scopedLive("does not use a server without JetStream", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({
        configuration: `accounts { PLAIN { users: [{ user: "a", password: "b" }] } }`
      })
      const refused = yield* whyNot(server.url, { user: "a", password: Redacted.make("b") })
      assert.strictEqual(refused.reason, "no-jetstream")
    })
  )

  it.scopedLive("is reconnected when the server is back, says so, and its subscriptions hold", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      yield* echoing(nats)
      yield* server.kill
      yield* becomes(nats, ({ connected }) => !connected)
      const refused = yield* Effect.flip(nats.publish("echo", "lost"))
      assert.strictEqual(refused.reason, "disconnected")
      yield* server.restart("kept")
      yield* becomes(nats, (state) => state.connected)
      const answer = yield* nats.request("echo", "again", { timeout })
      assert.strictEqual(decoder.decode(answer.data), "again")
    })
  )

  it.scopedLive("answers at inboxes only, not where a sender points", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      yield* echoing(nats)
      const seen = yield* Deferred.make<string>()
      yield* nats.subscribe("reprise.event.a.b.Forged").pipe(
        Stream.runForEach(({ data }) => Deferred.succeed(seen, decoder.decode(data))),
        Effect.forkScoped
      )
      yield* Effect.sleep("50 millis")
      yield* nats.publish("echo", "forged", { reply: "reprise.event.a.b.Forged" })
      yield* nats.request("echo", "after it", { timeout })
      yield* nats.publish("reprise.event.a.b.Forged", "the first to arrive")
      assert.strictEqual(yield* Deferred.await(seen), "the first to arrive")
    })
  )

  it.scopedLive("takes answers in the private inbox alone", () =>
    Effect.gen(function* () {
      const server = yield* natsServer({
        configuration: `authorization { users: [{ user: "u", password: "p", permissions: {
          publish: ">", subscribe: ["echo", "_INBOX_test.>"] } }] }`
      })
      const nats = yield* connected(server.url, { user: "u", password: Redacted.make("p") })
      yield* echoing(nats)
      const answer = yield* nats.request("echo", "hello", { timeout })
      assert.match(answer.subject, /^_INBOX_test\./)
    })
  )

  it.scopedLive("tells who waits for an answer that the connection was lost, before their time is over", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      yield* Effect.forkScoped(Stream.runDrain(nats.subscribe("silent")))
      yield* Effect.promise(() => nats.client.flush())
      const asking = yield* Effect.fork(
        Effect.flip(nats.request("silent", "anybody?", { timeout: Duration.seconds(15) }))
      )
      yield* Effect.sleep("100 millis")
      yield* server.kill
      const { reason } = yield* Fiber.join(asking)
      assert.strictEqual(reason, "disconnected")
    })
  )

  it.scopedLive("keeps at most as many unread messages as it was told, the newest", () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const nats = yield* connected(server.url)
      const gate = yield* Deferred.make<void>()
      const reading = yield* nats.subscribe("many", { capacity: 4 }).pipe(
        Stream.tap(() => Deferred.await(gate)),
        Stream.map(({ data }) => decoder.decode(data)),
        Stream.takeUntil((text) => text === "29"),
        Stream.runCollect,
        Effect.fork
      )
      yield* Effect.sleep("50 millis")
      for (let n = 0; n < 30; n++) yield* nats.publish("many", String(n))
      yield* Effect.promise(() => nats.client.flush())
      yield* Deferred.succeed(gate, undefined)
      const read = Chunk.toReadonlyArray(yield* Fiber.join(reading))
      assert.isBelow(read.length, 10)
      assert.strictEqual(read.at(-1), "29")
    })
  )

  describe("credentials", () => {
    it.scopedLive("user and password; wrong ones are refused at once, even where it would wait", () =>
      Effect.gen(function* () {
        const server = yield* natsServer({
          configuration: `authorization { user: "u", password: "right" }`
        })
        yield* connected(server.url, { user: "u", password: Redacted.make("right") })
        const refused = yield* whyNot(server.url, {
          user: "u",
          password: Redacted.make("wrong-one"),
          wait: true
        })
        assert.strictEqual(refused.reason, "refused")
        assert.notInclude(refused.message, "wrong-one")
      })
    )

    it.scopedLive("a token", () =>
      Effect.gen(function* () {
        const server = yield* natsServer({ configuration: `authorization { token: "t-o-k" }` })
        yield* connected(server.url, { token: Redacted.make("t-o-k") })
        assert.strictEqual((yield* whyNot(server.url)).reason, "refused")
      })
    )

    it.scopedLive("an NKey, and a seed that is none is not repeated", () =>
      Effect.gen(function* () {
        const pair = nkeys.createUser()
        const seed = new TextDecoder().decode(pair.getSeed())
        const server = yield* natsServer({
          configuration: `authorization { users: [{ nkey: "${pair.getPublicKey()}" }] }`
        })
        yield* connected(server.url, { nkeySeed: Redacted.make(seed) })
        const refused = yield* whyNot(server.url, { nkeySeed: Redacted.make("SUnotaseed") })
        assert.strictEqual(refused.reason, "nkeySeed")
        assert.notInclude(refused.message, "notaseed")
      })
    )

    it.scopedLive("a credentials file; one of another account is refused, one that is cut is named", () =>
      Effect.gen(function* () {
        const { configuration, credentials, foreignCredentials } = operatorMode()
        const server = yield* natsServer({ configuration })
        const file = (name: string, content: string) => {
          const path = join(server.directory, name)
          writeFileSync(path, content)
          return { credentials: path }
        }
        const nats = yield* connected(server.url, file("right.creds", credentials))
        yield* echoing(nats)
        const answer = yield* nats.request("echo", "hello", { timeout })
        assert.strictEqual(decoder.decode(answer.data), "hello")
        const foreign = yield* whyNot(server.url, file("foreign.creds", foreignCredentials))
        assert.strictEqual(foreign.reason, "refused")
        const cut = yield* whyNot(server.url, file("cut.creds", credentials.slice(0, 200)))
        assert.strictEqual(cut.reason, "credentials")
        assert.include(cut.message, "cut.creds")
      })
    )

    it.scopedLive("a credentials file that is missing is named", () =>
      Effect.gen(function* () {
        const server = yield* natsServer()
        const path = join(server.directory, "absent.creds")
        const refused = yield* whyNot(server.url, { credentials: path })
        assert.strictEqual(refused.reason, "credentials")
        assert.include(refused.message, "absent.creds")
      })
    )

    it.scopedLive("TLS with a private authority, and mutual TLS", () =>
      Effect.gen(function* () {
        const server = yield* Effect.flatMap(natsServer(), (server) => {
          const [cert, key] = [join(server.directory, "cert.pem"), join(server.directory, "key.pem")]
          writeFileSync(cert, mutualTls.cert)
          writeFileSync(key, mutualTls.key)
          return Effect.as(
            server.reload(
              `tls { cert_file: "${cert}", key_file: "${key}", ca_file: "${cert}", verify: true, timeout: 5 }`
            ),
            { ...server, cert, key }
          )
        })
        const { cert, key, url } = server
        yield* connected(url, { tlsCa: cert, tlsCert: cert, tlsKey: key })
        const absent = yield* whyNot(url, { tlsCa: cert, tlsCert: cert, tlsKey: `${key}.absent` })
        assert.strictEqual(absent.reason, "tlsKey")
        assert.include(absent.message, "key.pem.absent")
        assert.strictEqual((yield* whyNot(url)).reason, "tls")
      })
    )
  })
})
