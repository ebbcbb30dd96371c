/** Commands over JetStream on a real server: each is answered, all its answers are equal, and no crash loses one. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Random, type Scope } from "effect"
import type { NatsConnection as Client, Msg } from "nats"
import { Sequence, sha256 } from "../../events/index.ts"
import { emptyReceipt } from "../../events/Receipt.ts"
import { NatsConnection } from "../../src/bus/nats/Connection.ts"
import { declarations, ensure, usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import * as CommandIntake from "../../src/messaging/CommandIntake.ts"
import { type PublicCommands, refusal } from "../../src/messaging/PublicCommands.ts"
import { ask, messagingRuntime, plainClient } from "../support/messagingRuntime.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

interface World {
  readonly server: NatsServer
  readonly directory: string
  readonly client: Client
  /** What came on answer and rejection subjects, in the order of its coming. */
  readonly heard: ReadonlyArray<Msg>
}

const onServer = (name: string, test: (world: World) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.scopedLive(name, () =>
    Effect.gen(function* () {
      const server = yield* natsServer()
      const directory = yield* temporaryDirectory
      const client = yield* plainClient(server)
      const heard: Array<Msg> = []
      const keep = (error: unknown, message: Msg) => {
        if (error === null) heard.push(message)
      }
      client.subscribe("reprise.answer.>", { callback: keep })
      client.subscribe("reprise.rejected.>", { callback: keep })
      yield* test({ server, directory, client, heard })
    })
  )

/** The program's life: everything, for as long as the scope lives. */
const running = ({ directory, server }: World) => Layer.build(messagingRuntime(server, directory))
const whileRunning = <A, E>(world: World, use: Effect.Effect<A, E>) =>
  Effect.scoped(Effect.zipRight(running(world), use))

const send = ({ client }: World, subject: string, body: unknown) =>
  Effect.promise(() =>
    client
      .jetstream()
      .publish(`reprise.command.${subject}`, typeof body === "string" ? body : JSON.stringify(body))
  )
const submit = (world: World, commandId: string, text: string, more: object = {}, project = "acme.sales") =>
  send(world, `${project}.DocumentSubmit`, { commandId, externalId: commandId, text, ...more })

const until = (met: () => boolean | Promise<boolean>): Effect.Effect<void> =>
  Effect.promise(async () => met()).pipe(
    Effect.flatMap((is) => (is ? Effect.void : Effect.zipRight(Effect.sleep("20 millis"), until(met)))),
    Effect.timeout("20 seconds"),
    Effect.orDie
  )
const on = ({ heard }: World, subject: string) =>
  heard.filter((message) => message.subject === subject).map((message) => message.string())
const answered = (world: World, commandId: string, times = 1, project = "acme.sales") =>
  Effect.map(
    until(() => on(world, `reprise.answer.${project}.${commandId}`).length >= times),
    () => on(world, `reprise.answer.${project}.${commandId}`)
  )
const waiting = ({ client }: World) =>
  client
    .jetstreamManager()
    .then((manager) => manager.streams.info("REPRISE_COMMANDS"))
    .then(({ state }) => state.messages)
const drained = (world: World) => until(async () => (await waiting(world)) === 0)
/** From here on `commands` decides. */
const takingIn = (world: World, commands: PublicCommands) =>
  Effect.gen(function* () {
    const nats = yield* connected(world.server.url)
    const streams = declarations(usualStreamOptions)
    const { run } = yield* CommandIntake.make(commands, {
      ...CommandIntake.usualIntake,
      ready: Effect.zipRight(ensure(nats, streams.answers), ensure(nats, streams.commands))
    }).pipe(Effect.provideService(NatsConnection, nats))
    yield* Effect.forkScoped(run)
    yield* until(() =>
      waiting(world).then(
        (left) => left === 0,
        () => false
      )
    )
  })
const hits = ({ client }: World, query: string, project = "acme.sales") =>
  Effect.map(ask(client, `reprise.request.${project}.Search`, { query, limit: 50 }), ({ body }) =>
    Array.isArray(body["hits"]) ? body["hits"].map(({ text }) => String(text).trim()) : []
  )

describe("commands over JetStream", () => {
  onServer("are answered when they are on disk, leave the stream, and keep their answer", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        const { client } = world
        yield* submit(world, "ferry-1", "The ferry leaves at noon.")
        const [answer = ""] = yield* answered(world, "ferry-1")
        assert.deepInclude(JSON.parse(answer), { ok: true, outcome: "accepted", version: 1 })
        yield* drained(world)
        const kept = yield* ask(client, "reprise.request.acme.sales.AnswerRead", { commandId: "ferry-1" })
        assert.deepStrictEqual(kept.body, JSON.parse(answer))
        const manager = yield* Effect.promise(() => client.jetstreamManager())
        const stored = yield* Effect.promise(() =>
          manager.streams.getMessage("REPRISE_ANSWERS", { last_by_subj: "reprise.answer.acme.sales.ferry-1" })
        )
        assert.strictEqual(stored.string(), answer)
      })
    )
  )

  onServer(
    "sent again, at once and long after, get their first answer; another body is a conflict",
    (world) =>
      whileRunning(
        world,
        Effect.gen(function* () {
          const { client } = world
          yield* submit(world, "again", "The meeting is on Monday.")
          yield* submit(world, "again", "The meeting is on Monday.")
          yield* answered(world, "again", 2)
          // Long after: the stored answer is gone, and what the log keeps answers.
          const manager = yield* Effect.promise(() => client.jetstreamManager())
          yield* Effect.promise(() => manager.streams.purge("REPRISE_ANSWERS"))
          yield* submit(world, "again", "The meeting is on Monday.")
          const answers = yield* answered(world, "again", 3)
          assert.strictEqual(new Set(answers).size, 1)
          yield* submit(world, "again", "The meeting is off.")
          yield* until(() => on(world, "reprise.rejected.acme.sales").length === 1)
          yield* Effect.promise(() => manager.streams.purge("REPRISE_ANSWERS"))
          yield* submit(world, "again", "The meeting is off.")
          yield* until(() => on(world, "reprise.rejected.acme.sales").length === 2)
          for (const rejection of on(world, "reprise.rejected.acme.sales")) {
            assert.deepInclude(JSON.parse(rejection), { commandId: "again" })
            assert.strictEqual(JSON.parse(rejection).error.code, "conflict")
          }
          assert.deepStrictEqual(yield* hits(world, "meeting"), ["The meeting is on Monday."])
        })
      )
  )

  onServer("that are wrong are answered with the reason, or rejected where they have no id", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        const document = { externalId: "x", text: "Never stored." }
        yield* send(world, "acme.sales.DocumentSubmit", { ...document, commandId: "wrong-1", titel: "T" })
        yield* send(world, "acme.sales.DocumentSubmit", { ...document, commandId: "wrong-2", team: "globex" })
        yield* send(world, "acme.sales.SourceRemove", { commandId: "wrong-3", source: "nowhere" })
        for (const [id, code] of [
          ["wrong-1", "invalid"],
          ["wrong-2", "scope-mismatch"],
          ["wrong-3", "unknown-source"]
        ] as const) {
          const [answer = ""] = yield* answered(world, id)
          assert.deepInclude(JSON.parse(answer), { ok: false, commandId: id })
          assert.strictEqual(JSON.parse(answer).error.code, code)
        }
        yield* send(world, "acme.sales.DocumentSubmit", "{not json")
        yield* send(world, "acme.sales.DocumentSubmit", { ...document, commandId: "with.dot" })
        yield* send(world, "acme.sales.Nonsense", { ...document, commandId: "fine" })
        yield* until(() => on(world, "reprise.rejected.acme.sales").length === 3)
        assert.deepStrictEqual(
          on(world, "reprise.rejected.acme.sales")
            .map((text) => JSON.parse(text).error.code)
            .toSorted(),
          ["command-id", "malformed", "unknown-command"]
        )
        assert.notInclude(on(world, "reprise.rejected.acme.sales").join(), "Never stored")
        // Stored by the server as they stand, wildcards and all.
        yield* send(world, "*.sales.DocumentSubmit", { ...document, commandId: "wild" })
        yield* send(world, ">.sales.DocumentSubmit", { ...document, commandId: "wilder" })
        yield* send(world, "acme.sales.>", { ...document, commandId: "wildest" })
        yield* send(world, "acme.Sales.DocumentSubmit", { ...document, commandId: "capital" })
        yield* drained(world)
        assert.deepStrictEqual(yield* hits(world, "stored"), [])
      })
    )
  )

  onServer("that name a text which is not stored are rejected, and accepted once it is", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        const text = Buffer.from("The ferry leaves at noon.")
        const ferry = { commandId: "ferry", externalId: "ferry", textDigest: sha256(text) }
        yield* send(world, "acme.sales.DocumentSubmit", ferry)
        yield* until(() => on(world, "reprise.rejected.acme.sales").length === 1)
        assert.strictEqual(
          JSON.parse(on(world, "reprise.rejected.acme.sales")[0] ?? "").error.code,
          "unknown-content"
        )
        yield* ask(world.client, "reprise.request.acme.sales.ContentPut", {
          digest: ferry.textDigest,
          bytes: text.length,
          base64: text.toString("base64")
        })
        yield* send(world, "acme.sales.DocumentSubmit", ferry)
        const [answer = ""] = yield* answered(world, "ferry")
        assert.deepInclude(JSON.parse(answer), { ok: true, outcome: "accepted", version: 1 })
      })
    )
  )

  onServer("that nest deeper than anything can be read hold up no other", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        const depth = 100_000
        const nested = `${'{"a":'.repeat(depth)}1${"}".repeat(depth)}`
        for (const [at, place] of ["metadata", "commandId", "unknown"].entries()) {
          const id = place === "commandId" ? "" : `"commandId":"deep-${at}",`
          yield* send(
            world,
            "acme.sales.DocumentSubmit",
            `{${id}"externalId":"x","text":"x","${place}":${nested}}`
          )
        }
        yield* submit(world, "flat", "The ferry leaves at noon.")
        yield* answered(world, "flat")
        yield* drained(world)
      })
    )
  )

  onServer("that meet a fault are rejected, and hold up no other", (world) =>
    Effect.gen(function* () {
      const faulty: PublicCommands = {
        run: (_, { command, message: { commandId } }) =>
          commandId === "fatal"
            ? Effect.die("planted")
            : Effect.succeed(refusal(command, commandId, { code: "test", message: "It was decided." }))
      }
      yield* takingIn(world, faulty)
      yield* submit(world, "fatal", "This one is fatal.")
      yield* submit(world, "fine", "This one is not.")
      yield* answered(world, "fine")
      yield* drained(world)
      const [rejection = ""] = on(world, "reprise.rejected.acme.sales")
      assert.deepInclude(JSON.parse(rejection), { commandId: "fatal" })
      assert.strictEqual(JSON.parse(rejection).error.code, "internal")
    })
  )

  onServer("are answered without what does not fit into a message", (world) =>
    Effect.gen(function* () {
      const failures = Array.from({ length: 100 }, () => ({ uri: "x".repeat(20_000), reason: "It failed." }))
      const wordy: PublicCommands = {
        run: (_, { command, message: { commandId } }) =>
          Effect.succeed({
            ok: true,
            commandId,
            command,
            outcome: "done",
            acceptedPosition: Sequence.make(1),
            receipt: { ...emptyReceipt, requested: 100, failed: 100, failures }
          })
      }
      yield* takingIn(world, wordy)
      yield* send(world, "acme.sales.SourceSync", { commandId: "wordy" })
      const [answer = ""] = yield* answered(world, "wordy")
      assert.deepInclude(JSON.parse(answer).receipt, { requested: 100, failed: 100, failures: [] })
      yield* drained(world)
    })
  )

  onServer("two tenants with one Nats-Msg-Id: who is dropped sends again until it is answered", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        const jetstream = world.client.jetstream()
        const publish = (project: string) =>
          Effect.promise(() =>
            jetstream.publish(
              `reprise.command.${project}.DocumentSubmit`,
              JSON.stringify({ commandId: "same", externalId: "x", text: `Of ${project}.` }),
              { msgID: "same" }
            )
          )
        const [, second] = yield* Effect.all([publish("acme.sales"), publish("globex.sales")])
        assert.isTrue(second.duplicate)
        yield* answered(world, "same")
        assert.deepStrictEqual(on(world, "reprise.answer.globex.sales.same"), [])
        yield* Effect.sleep("150 millis")
        yield* publish("globex.sales")
        yield* answered(world, "same", 1, "globex.sales")
      })
    )
  )

  onServer("of one document count in the order of the stream", (world) =>
    Effect.gen(function* () {
      // Stored while nobody takes them.
      yield* whileRunning(world, Effect.void)
      for (let n = 1; n <= 60; n++) {
        yield* submit(world, `order-${n}`, `Revision ${n}.`, { externalId: `document-${n % 3}` })
      }
      yield* whileRunning(
        world,
        Effect.gen(function* () {
          yield* answered(world, "order-60")
          yield* drained(world)
          yield* until(async () => {
            const found = await Effect.runPromise(hits(world, "revision"))
            return ["58", "59", "60"].every((n) => found.includes(`Revision ${n}.`)) && found.length === 3
          })
        })
      )
    })
  )

  onServer(
    "killed at any moment, nothing is lost, nothing is done twice, and all answers are equal",
    (world) =>
      Effect.gen(function* () {
        const random = Random.make("intake kills")
        yield* whileRunning(world, Effect.void)
        const count = 120
        for (let n = 0; n < count; n++) yield* submit(world, `kill-${n}`, `Number ${n}.`)
        for (let round = 0; round < 6; round++) {
          const life = yield* Effect.fork(whileRunning(world, Effect.never))
          yield* Effect.sleep(`${yield* random.nextIntBetween(250, 700)} millis`)
          yield* Fiber.interrupt(life)
        }
        yield* whileRunning(
          world,
          Effect.gen(function* () {
            yield* drained(world)
            for (let n = 0; n < count; n++) {
              const answers = yield* answered(world, `kill-${n}`)
              assert.strictEqual(new Set(answers).size, 1, answers.join("\n"))
              assert.strictEqual(JSON.parse(answers[0] ?? "").version, 1)
            }
            const { body } = yield* ask(world.client, "reprise.request.acme.sales.Status", {})
            assert.strictEqual(body["preparing"] === 0 ? body["documents"] : count, count)
          })
        )
      })
  )

  onServer("outlive a server that loses its store: resent, they get their first answer", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        yield* submit(world, "lost-1", "Before the loss.")
        const [first] = yield* answered(world, "lost-1")
        yield* world.server.restart("lost")
        yield* until(() =>
          world.client
            .jetstreamManager()
            .then((manager) => manager.streams.info("REPRISE_COMMANDS"))
            .then(
              () => true,
              () => false
            )
        )
        yield* submit(world, "lost-1", "Before the loss.")
        yield* submit(world, "lost-2", "After the loss.")
        yield* answered(world, "lost-2")
        const answers = yield* answered(world, "lost-1", 2)
        assert.deepStrictEqual([...new Set(answers)], [first])
      })
    )
  )

  onServer("N8: are answered although the stream of the answers was deleted meanwhile", (world) =>
    whileRunning(
      world,
      Effect.gen(function* () {
        yield* submit(world, "before", "Before it was deleted.")
        yield* answered(world, "before")
        yield* drained(world)
        const manager = yield* Effect.promise(() => world.client.jetstreamManager())
        yield* Effect.promise(() => manager.streams.delete("REPRISE_ANSWERS"))
        yield* submit(world, "after", "After it was deleted.")
        const [answer = ""] = yield* answered(world, "after")
        assert.deepInclude(JSON.parse(answer), { ok: true, outcome: "accepted" })
        yield* drained(world)
      })
    )
  )

  onServer("a flood of one project does not hold up another", (world) =>
    Effect.gen(function* () {
      yield* whileRunning(world, Effect.void)
      const flood = Array.from({ length: 1500 }, (_, n) => n)
      yield* Effect.forEach(flood, (n) => submit(world, `flood-${n}`, `Flood ${n}.`), { concurrency: 200 })
      yield* submit(world, "calm", "Calm.", {}, "globex.calm")
      yield* whileRunning(
        world,
        Effect.gen(function* () {
          yield* answered(world, "calm", 1, "globex.calm")
          assert.isAbove(yield* Effect.promise(() => waiting(world)), 500)
        })
      )
    })
  )
})
