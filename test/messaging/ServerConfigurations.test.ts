/** The server configurations that docs/nats.md offers, on a real server: what is allowed works, and what is not does not. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import type { Msg, NatsConnection } from "nats"
import { NatsConnection as Connection, type NatsService } from "../../src/bus/nats/Connection.ts"
import { ask, messagingRuntime, plainClient } from "../support/messagingRuntime.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** As shipped, but for the address and the store, which are the test's, and with passwords given. */
const configuration = (name: string): string =>
  readFileSync(join(import.meta.dirname, "..", "..", "docs", "nats", name), "utf8")
    .replace(/^listen:.*$/m, "")
    .replace(/^jetstream \{[^}]*\}$/m, "")
    .replaceAll(/\$([A-Z_]*PASSWORD)/g, (_, variable: string) => `"secret of ${variable}"`)

const client = (server: NatsServer, user: string, variable: string) =>
  plainClient(server, { user, pass: `secret of ${variable}` })

/** Reprise on the server, as its own user. */
const withReprise = (
  name: string,
  test: (server: NatsServer, nats: NatsService) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Effect.gen(function* () {
    const server = yield* natsServer({ configuration: configuration(name) })
    const directory = yield* temporaryDirectory
    const password = Redacted.make("secret of REPRISE_NATS_PASSWORD")
    yield* Effect.flatMap(Connection, (nats) => test(server, nats)).pipe(
      Effect.provide(messagingRuntime(server, directory, { connection: { user: "reprise", password } }))
    )
  })

/** What a request leads to: the answer's text, or why there is none. */
const outcomeOf = (attempt: Promise<Msg>) =>
  Effect.promise(() =>
    attempt.then(
      (message) => message.string(),
      (cause: unknown) => (cause instanceof Error ? cause.message : String(cause))
    )
  )
const listen = (connection: NatsConnection, subject: string) => {
  const heard: Array<string> = []
  connection.subscribe(subject, {
    callback: (error, message) => {
      if (error === null) heard.push(message.subject)
    }
  })
  return heard
}
const until = (met: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (met() ? Effect.void : Effect.zipRight(Effect.sleep("20 millis"), until(met)))).pipe(
    Effect.timeout("15 seconds"),
    Effect.orDie
  )
const held = (nats: NatsService, stream: string) =>
  Effect.promise(async () => (await nats.manager.streams.info(stream)).state)
const document = (commandId: string) => JSON.stringify({ commandId, externalId: commandId, text: "A ferry." })

describe("account-per-tenant.conf", () => {
  it.scopedLive(
    "a tenant sends commands, hears its own answers and events, and asks",
    () =>
      withReprise("account-per-tenant.conf", (server) =>
        Effect.gen(function* () {
          const acme = yield* client(server, "acme", "ACME_PASSWORD")
          const globex = yield* client(server, "globex", "GLOBEX_PASSWORD")
          const heard = listen(acme, "reprise.>")
          const overheard = listen(globex, "reprise.>")
          const ack = yield* Effect.promise(() =>
            acme.jetstream().publish("reprise.command.acme.sales.DocumentSubmit", document("ferry"))
          )
          assert.strictEqual(ack.stream, "REPRISE_COMMANDS")
          yield* until(() => heard.includes("reprise.answer.acme.sales.ferry"))
          yield* until(() => heard.includes("reprise.event.acme.sales.DocumentCommitted"))
          yield* Effect.promise(() =>
            acme.jetstream().publish("reprise.command.acme.sales.DocumentSubmit", "{not json")
          )
          yield* until(() => heard.includes("reprise.rejected.acme.sales"))
          const { body } = yield* ask(acme, "reprise.request.acme.sales.Search", {
            query: "ferry",
            minPosition: 5
          })
          assert.include(JSON.stringify(body), "A ferry.")
          assert.deepStrictEqual(overheard, [])
        })
      ),
    60_000
  )

  it.scopedLive(
    "another project's subjects and JetStream are out of its reach, and what it forges does nothing",
    () =>
      withReprise("account-per-tenant.conf", (server, nats) =>
        Effect.gen(function* () {
          const acme = yield* client(server, "acme", "ACME_PASSWORD")
          const globex = yield* client(server, "globex", "GLOBEX_PASSWORD")
          yield* ask(globex, "reprise.request.globex.legal.DocumentSubmit", {
            commandId: "secret",
            externalId: "secret",
            text: "Bluebird.",
            wait: "visible"
          })
          yield* ask(acme, "reprise.request.acme.sales.Status", {})
          const events = (yield* held(nats, "REPRISE_EVENTS")).messages
          assert.isAbove(events, 0)

          const heard = listen(acme, "reprise.event.globex.>")
          const genuine = listen(globex, "reprise.event.globex.>")
          for (const subject of [
            "reprise.request.globex.legal.Search",
            "reprise.request._._.Status",
            "reprise.command.globex.legal.DocumentSubmit",
            "reprise.command.*.legal.DocumentSubmit",
            "reprise.claim",
            "reprise.content",
            "$JS.API.STREAM.PURGE.REPRISE_EVENTS",
            "$JS.API.STREAM.INFO.REPRISE_EVENTS",
            "$JS.API.CONSUMER.DURABLE.CREATE.REPRISE_EVENTS.spy",
            "$SRV.PING"
          ]) {
            // Nobody is there; or the server itself says that the account has no JetStream.
            const outcome = yield* outcomeOf(acme.request(subject, document("forged")))
            assert.match(outcome, /^503$|JetStream not enabled for account/, subject)
          }
          // Where its own subjects are allowed, a reply that points at something else arrives nowhere.
          for (const reply of [
            "$JS.API.STREAM.PURGE.REPRISE_EVENTS",
            "$JS.API.STREAM.DELETE.REPRISE_EVENTS",
            "reprise.event.globex.legal.SyncStarted",
            "reprise.command.globex.legal.DocumentSubmit",
            "reprise.result.prepare.forged"
          ]) {
            acme.publish("reprise.command.acme.sales.DocumentSubmit", document("reply"), { reply })
            acme.publish("reprise.request.acme.sales.Status", "{}", { reply })
            acme.publish(reply, document("direct"))
          }
          yield* Effect.promise(() => acme.flush())
          yield* ask(globex, "reprise.request.globex.legal.DocumentSubmit", {
            commandId: "more",
            externalId: "more",
            text: "More.",
            wait: "visible"
          })
          yield* ask(acme, "reprise.request.acme.sales.Status", {})
          const after = yield* held(nats, "REPRISE_EVENTS")
          assert.strictEqual(after.first_seq, 1)
          assert.isAbove(after.messages, events)
          // It hears what it published itself, in its own account, and nobody else does.
          assert.deepStrictEqual([...new Set(heard)], ["reprise.event.globex.legal.SyncStarted"])
          assert.isAbove(genuine.length, 0)
          assert.notInclude(genuine, "reprise.event.globex.legal.SyncStarted")
          const answers = yield* Effect.promise(() =>
            nats.manager.streams.info("REPRISE_ANSWERS", { subjects_filter: "reprise.answer.globex.>" })
          )
          assert.deepStrictEqual(Object.keys(answers.state.subjects ?? {}), [])
        })
      ),
    60_000
  )
})

describe("one-account.conf", () => {
  it.scopedLive(
    "a client sends commands, asks and listens; without a password nobody gets in",
    () =>
      withReprise("one-account.conf", (server) =>
        Effect.gen(function* () {
          const user = yield* client(server, "client", "REPRISE_CLIENT_PASSWORD")
          const heard = listen(user, "reprise.answer.>")
          yield* Effect.promise(() =>
            user.jetstream().publish("reprise.command.acme.sales.DocumentSubmit", document("ferry"))
          )
          yield* until(() => heard.includes("reprise.answer.acme.sales.ferry"))
          const { error } = yield* ask(user, "reprise.request.acme.sales.Status", {})
          assert.strictEqual(error, "")
          const stranger = plainClient(server, { user: "client", pass: "guess", reconnect: false })
          assert.strictEqual((yield* Effect.exit(Effect.scoped(stranger)))._tag, "Failure")
        })
      ),
    60_000
  )

  it.scopedLive(
    "its permissions are no boundary: an acknowledgement goes wherever a sender points it",
    () =>
      withReprise("one-account.conf", (server, nats) =>
        Effect.gen(function* () {
          const user = yield* client(server, "client", "REPRISE_CLIENT_PASSWORD")
          yield* ask(user, "reprise.request.acme.sales.DocumentSubmit", {
            commandId: "ferry",
            externalId: "ferry",
            text: "A ferry.",
            wait: "visible"
          })
          while ((yield* held(nats, "REPRISE_EVENTS")).messages === 0) yield* Effect.sleep("20 millis")
          user.publish("reprise.command.acme.sales.DocumentSubmit", document("x"), {
            reply: "$JS.API.STREAM.PURGE.REPRISE_EVENTS"
          })
          while ((yield* held(nats, "REPRISE_EVENTS")).first_seq <= 1) yield* Effect.sleep("20 millis")
        }).pipe(Effect.timeout("15 seconds"))
      ),
    60_000
  )
})
