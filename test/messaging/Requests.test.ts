/** Requests on a real server: typed answers, refusals that say why, and nothing of one project in another. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted } from "effect"
import type { NatsConnection } from "nats"
import { ProjectName, sha256, TeamName } from "../../events/index.ts"
import { Content } from "../../src/log/Content.ts"
import { pushedDocumentId } from "../../src/runtime/Push.ts"
import { Writer } from "../../src/runtime/Reprise.ts"
import { ask, messagingRuntime, plainClient } from "../support/messagingRuntime.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

class World extends Context.Tag("test/World")<
  World,
  { readonly server: NatsServer; readonly client: NatsConnection; readonly bodiesRead: ReadonlyArray<string> }
>() {}

const world = Layer.unwrapScoped(
  Effect.gen(function* () {
    const server = yield* natsServer()
    const directory = yield* temporaryDirectory
    const client = yield* plainClient(server)
    const bodiesRead: Array<string> = []
    const counting = Layer.effect(
      Content,
      Effect.map(Content, (content) => ({
        ...content,
        blob: (...what: Parameters<typeof content.blob>) =>
          Effect.tap(content.blob(...what), () => bodiesRead.push(what[1]))
      }))
    )
    return Layer.provideMerge(
      Layer.succeed(World, { server, client, bodiesRead }),
      messagingRuntime(server, directory, { content: counting })
    )
  })
)

const request = (subject: string, body: unknown) =>
  Effect.flatMap(World, ({ client }) => ask(client, `reprise.request.${subject}`, body))
const submit = (commandId: string, text: string, more: object = {}, project = "acme.sales") =>
  request(`${project}.DocumentSubmit`, { commandId, externalId: commandId, text, wait: "visible", ...more })
const hits = (project: string, query: string) =>
  Effect.map(request(`${project}.Search`, { query }), ({ body }) => body["hits"])

describe("requests", () => {
  it.scopedLive(
    "are answered again once the server lets us",
    () =>
      Effect.gen(function* () {
        const users = (permissions: string) =>
          `authorization { users: [{ user: "r", password: "r"${permissions} }, { user: "c", password: "c" }] }`
        const server = yield* natsServer({ configuration: users("") })
        const client = yield* plainClient(server, { user: "c", pass: "c" })
        const connection = { user: "r", password: Redacted.make("r") }
        yield* Layer.build(messagingRuntime(server, yield* temporaryDirectory, { connection }))
        const becomes = (is: boolean): Effect.Effect<void> =>
          Effect.promise(() =>
            client.request("reprise.request.a.b.Status", "{}", { timeout: 1_000 }).then(
              () => true,
              () => false
            )
          ).pipe(
            Effect.flatMap((now) => (now === is ? Effect.void : Effect.delay(becomes(is), "50 millis"))),
            Effect.timeout("15 seconds"),
            Effect.orDie
          )
        yield* becomes(true)
        yield* server.reload(users(', permissions: { subscribe: { deny: "reprise.request.>" } }'))
        yield* becomes(false)
        yield* server.reload(users(""))
        yield* becomes(true)
      }),
    30_000
  )

  layer(world, { excludeTestServices: true, timeout: 60_000 })((it) => {
    it.effect("a document that was submitted is found at the position that its answer names", () =>
      Effect.gen(function* () {
        const { body, error } = yield* submit("ferry-1", "The ferry leaves at noon.", { title: "Ferry" })
        assert.strictEqual(error, "")
        assert.deepInclude(body, { ok: true, commandId: "ferry-1", outcome: "committed", version: 1 })
        const found = yield* request("acme.sales.Search", { query: "ferry", minPosition: body["position"] })
        assert.include(JSON.stringify(found.body["hits"]), "The ferry leaves at noon.")
      })
    )

    it.effect("wait: accepted answers when it is on disk, final when its mutation has ended", () =>
      Effect.gen(function* () {
        const accepted = yield* submit("wait-1", "One.", { wait: "accepted" })
        assert.strictEqual(accepted.body["outcome"], "accepted")
        assert.match(String(accepted.body["mutationId"]), /^[0-9a-f-]{36}\.1$/)
        assert.isUndefined(accepted.body["position"])
        const final = yield* submit("wait-2", "Two.", { wait: "final" })
        assert.strictEqual(final.body["outcome"], "committed")
        assert.isAbove(Number(final.body["position"]), Number(final.body["acceptedPosition"]))
      })
    )

    it.effect("sent again a command gets its first answer, and with another body it is a conflict", () =>
      Effect.gen(function* () {
        const first = yield* submit("again-1", "The meeting is on Monday.", { wait: "accepted" })
        yield* submit("again-2", "The meeting is on Tuesday.", { externalId: "again-1" })
        const again = yield* submit("again-1", "The meeting is on Monday.", { wait: "accepted" })
        assert.deepStrictEqual(again.body, first.body)
        const conflict = yield* submit("again-1", "The meeting is off.", { wait: "accepted" })
        assert.strictEqual(conflict.error, "conflict")
      })
    )

    it.effect("a removed document is gone", () =>
      Effect.gen(function* () {
        yield* submit("gone-1", "Zanzibar is warm.")
        assert.include(JSON.stringify(yield* hits("acme.sales", "zanzibar")), "Zanzibar")
        const { body } = yield* request("acme.sales.DocumentRemove", {
          commandId: "gone-2",
          externalId: "gone-1",
          wait: "visible"
        })
        assert.strictEqual(body["outcome"], "removed")
        assert.notInclude(JSON.stringify(yield* hits("acme.sales", "zanzibar")), "Zanzibar")
      })
    )

    it.effect(
      "a removal by an id that is another project's, or nobody's yet, tells nothing and changes nothing",
      () =>
        Effect.gen(function* () {
          const owner = { team: TeamName.make("globex"), project: ProjectName.make("owned") }
          const idOf = (name: string) => pushedDocumentId(owner, "default", name)
          const remove = (project: string, commandId: string, name: string) =>
            request(`${project}.DocumentRemove`, { commandId, documentId: idOf(name) })
          yield* submit("treaty", "The treaty is signed.", {}, "globex.owned")
          const there = yield* remove("acme.thief", "theft-1", "treaty")
          const notYet = yield* remove("acme.thief", "theft-2", "annex")
          assert.deepStrictEqual([there.error, notYet.error], ["unknown-document", "unknown-document"])
          assert.deepStrictEqual({ ...there.body, commandId: "" }, { ...notYet.body, commandId: "" })
          assert.strictEqual((yield* remove("globex.owned", "early", "annex")).error, "unknown-document")
          const annex = yield* submit("annex", "The annex came later.", {}, "globex.owned")
          assert.strictEqual(annex.body["outcome"], "committed")
          assert.include(JSON.stringify(yield* hits("globex.owned", "treaty")), "The treaty is signed.")
          const own = yield* remove("globex.owned", "in-time", "annex")
          assert.strictEqual(own.body["outcome"], "removed")
          // What came after it counts again.
          const again = yield* submit("annex-2", "The annex, again.", { externalId: "annex" }, "globex.owned")
          assert.strictEqual(again.body["outcome"], "committed")
        })
    )

    it.effect("one project sees nothing of another: no hits, no counts, no gaps in its numbers", () =>
      Effect.gen(function* () {
        const before = yield* request("acme.quiet.Status", {})
        yield* submit("secret-1", "The merger is called Bluebird.", {}, "globex.legal")
        assert.deepStrictEqual(yield* hits("acme.quiet", "Bluebird"), [])
        assert.deepStrictEqual((yield* request("acme.quiet.Status", {})).body, before.body)
        const { body } = yield* submit("quiet-1", "Quiet.", { wait: "accepted" }, "acme.quiet")
        // Its source was added first.
        assert.strictEqual(body["acceptedPosition"], 2)
      })
    )

    it.effect(
      "EventsRead answers a project's events from a sequence on, page by page, and nobody else's",
      () =>
        Effect.gen(function* () {
          for (const n of [1, 2, 3]) yield* submit(`event-${n}`, `Event ${n}.`, {}, "acme.events")
          const sequences: Array<unknown> = []
          let next: unknown = 2
          while (next !== undefined) {
            const { body } = yield* request("acme.events.EventsRead", { fromSequence: next, limit: 4 })
            const events = body["events"]
            assert.isArray(events)
            for (const event of Array.isArray(events) ? events : []) {
              sequences.push(event.sequence)
              assert.deepInclude(event, { team: "acme", project: "events", epoch: 1 })
              assert.notProperty(event, "position")
            }
            next = body["nextSequence"]
          }
          assert.deepStrictEqual(
            sequences,
            Array.from({ length: sequences.length }, (_, at) => at + 2)
          )
          assert.isAtLeast(sequences.length, 9)
          const beyond = yield* request("acme.events.EventsRead", { fromSequence: 10_000 })
          assert.deepStrictEqual(beyond.body["events"], [])
          const stale = yield* request("acme.events.EventsRead", { fromSequence: 1, epoch: 7 })
          assert.strictEqual(stale.error, "epoch-changed")
        })
    )

    it.effect(
      "a body that an event names can be read in pieces, by its own project only, and is read once",
      () =>
        Effect.gen(function* () {
          const long = "The long text goes on. ".repeat(20_000)
          yield* submit("long-1", long, {}, "acme.long")
          const { body } = yield* request("acme.long.EventsRead", { fromSequence: 1 })
          const events = Array.isArray(body["events"]) ? body["events"] : []
          const raw = events.find(({ type }) => type === "DocumentSubmitted").data.raw
          const { bodiesRead } = yield* World
          const pieces: Array<Buffer> = []
          let offset: unknown = 0
          while (offset !== undefined) {
            const piece: Readonly<Record<string, unknown>> = (yield* request("acme.long.ContentRead", {
              digest: raw,
              offset
            })).body
            pieces.push(Buffer.from(String(piece["base64"]), "base64"))
            offset = piece["nextOffset"]
          }
          assert.isAbove(pieces.length, 1)
          assert.deepStrictEqual(
            bodiesRead.filter((digest) => digest === raw),
            [raw]
          )
          assert.strictEqual(Buffer.concat(pieces).toString(), long)
          const foreign = yield* request("globex.legal.ContentRead", { digest: raw })
          assert.strictEqual(foreign.error, "unknown-content")
        })
    )

    it.effect("what was erased is answered no longer, though it was asked for a moment before", () =>
      Effect.gen(function* () {
        const { body } = yield* submit(
          "agent",
          "Her name is Zarathustra.",
          { title: "Nightingale" },
          "acme.erased"
        )
        const events = request("acme.erased.EventsRead", { fromSequence: 1 })
        const before = yield* events
        assert.include(JSON.stringify(before.body), "Nightingale")
        const all = Array.isArray(before.body["events"]) ? before.body["events"] : []
        const digest = all.find(({ type }) => type === "DocumentSubmitted").data.raw
        const read = request("acme.erased.ContentRead", { digest })
        assert.strictEqual((yield* read).error, "")
        const scope = { team: TeamName.make("acme"), project: ProjectName.make("erased") }
        const { erase } = yield* Writer
        yield* erase({ scope, names: [String(body["documentId"])], dryRun: false })
        const after = JSON.stringify((yield* events).body)
        assert.notInclude(after, "Nightingale")
        assert.include(after, '"omitted":"erased"')
        assert.strictEqual((yield* read).error, "unknown-content")
      })
    )

    it.effect(
      "a text that is larger than a message may be is put in pieces, and submitted by its digest",
      () =>
        Effect.gen(function* () {
          const text = Buffer.from(`\ufeff# Giant\n\n${"The giant sleeps. ".repeat(80_000)}`)
          const digest = sha256(text)
          const giant = { commandId: "giant", externalId: "giant", textDigest: digest, wait: "visible" }
          const early = yield* request("acme.giant.DocumentSubmit", giant)
          assert.strictEqual(early.error, "unknown-content")
          let offset: unknown = 0
          let pieces = 0
          while (typeof offset === "number") {
            const base64 = text.subarray(offset, offset + 500_000).toString("base64")
            const piece = { digest, bytes: text.length, offset, base64 }
            offset = (yield* request("acme.giant.ContentPut", piece)).body["nextOffset"]
            pieces++
          }
          assert.isAbove(pieces, 2)
          const foreign = yield* request("globex.legal.DocumentSubmit", giant)
          assert.strictEqual(foreign.error, "unknown-content")
          const { body } = yield* request("acme.giant.DocumentSubmit", giant)
          assert.deepInclude(body, { ok: true, outcome: "committed" })
          assert.include(JSON.stringify(yield* hits("acme.giant", "giant")), "The giant sleeps.")
          const { body: read } = yield* request("acme.giant.EventsRead", { fromSequence: 1 })
          assert.include(JSON.stringify(read["events"]), `"raw":"${digest}"`)
          // No text at all.
          const binary = Buffer.from([0xff, 0xfe, 0x00])
          const put = { digest: sha256(binary), bytes: 3, base64: binary.toString("base64") }
          yield* request("acme.giant.ContentPut", put)
          const odd = { commandId: "binary", externalId: "binary", textDigest: put.digest }
          assert.strictEqual((yield* request("acme.giant.DocumentSubmit", odd)).error, "invalid")
        })
    )

    it.effect("what is not right is refused with a code and a reason, each in its own way", () =>
      Effect.gen(function* () {
        const document = { commandId: "bad-1", externalId: "x", text: "y" }
        const cases: ReadonlyArray<readonly [string, unknown, string, RegExp]> = [
          ["a.b.DocumentSubmit", "{not json", "malformed", /JSON/],
          ["a.b.DocumentSubmit", new Uint8Array([0xff, 0xfe, 0x00]), "malformed", /UTF-8/],
          ["a.b.DocumentSubmit", "[1]", "malformed", /object/],
          ["a.b.DocumentSubmit", { externalId: "x", text: "y" }, "invalid", /commandId/],
          ["a.b.DocumentSubmit", { ...document, commandId: "with.dot" }, "invalid", /commandId/],
          ["a.b.DocumentSubmit", { ...document, commandId: "*" }, "invalid", /commandId/],
          ["a.b.DocumentSubmit", { ...document, text: 7 }, "invalid", /text/],
          ["a.b.DocumentSubmit", { commandId: "bad-1", externalId: "x" }, "invalid", /textDigest/],
          ["a.b.DocumentSubmit", { ...document, textDigest: sha256("y") }, "invalid", /textDigest/],
          ["a.b.ContentPut", { digest: sha256("y"), bytes: 1, base64: "*" }, "invalid", /base64/],
          [
            "a.b.ContentPut",
            { digest: sha256("y"), bytes: 2 ** 40, base64: "eQ==" },
            "too-large",
            /files.maxBytes/
          ],
          ["a.b.DocumentSubmit", { ...document, titel: "T" }, "invalid", /titel/],
          ["a.b.DocumentSubmit", { ...document, externalId: "\ud800" }, "invalid", /externalId/],
          ["a.b.DocumentSubmit", { ...document, schemaVersion: 2 }, "schema-version", /1/],
          ["a.b.DocumentSubmit", { ...document, team: "other" }, "scope-mismatch", /subject/],
          ["a.b.DocumentSubmit", { ...document, wait: "never" }, "invalid", /wait/],
          ["A.b.DocumentSubmit", document, "subject", /no name/],
          ["_._.DocumentSubmit", document, "scope", /team/],
          ["a.b.SourceSync", { commandId: "bad-2", source: "nowhere" }, "unknown-source", /project/],
          ["a.b.JobRetry", { commandId: "bad-3", jobId: "x" }, "invalid", /jobId/],
          ["a.b.Search", { query: "x".repeat(100_000) }, "query-too-long", /characters/],
          ["a.b.Search", { query: "x", limit: 0 }, "invalid", /limit/],
          ["a.b.Search", { query: "x", minPosition: 99, waitMs: 1 }, "not-yet-visible", /99/],
          ["a.b.EventsRead", { fromSequence: 0 }, "invalid", /fromSequence/],
          ["a.b.AnswerRead", { commandId: "never-sent" }, "unknown-command", /decided/],
          ["a.b.ContentRead", { digest: "../../etc/passwd" }, "invalid", /digest/]
        ]
        for (const [subject, body, code, reason] of cases) {
          const refused = yield* request(subject, body)
          assert.strictEqual(refused.error, code, `${subject} ${JSON.stringify(refused.body)}`)
          const error: unknown = refused.body["error"]
          assert.match(JSON.stringify(error), reason, subject)
        }
      })
    )

    it.effect("a refusal repeats nothing of what was sent", () =>
      Effect.gen(function* () {
        const { body } = yield* request("a.b.DocumentSubmit", {
          commandId: "quiet",
          externalId: "x",
          text: { password: "hunter2" }
        })
        assert.notInclude(JSON.stringify(body), "hunter2")
      })
    )

    it.effect("a reply subject that is no inbox gets nothing, and what it points at does nothing", () =>
      Effect.gen(function* () {
        const { client } = yield* World
        yield* submit("safe-1", "Safe.")
        const streams = yield* Effect.promise(() => client.jetstreamManager()).pipe(
          Effect.map(({ streams }) => streams)
        )
        const messages = () =>
          Effect.promise(async () => (await streams.info("REPRISE_EVENTS")).state.messages)
        const before = yield* messages()
        assert.isAbove(before, 0)
        for (const reply of [
          "$JS.API.STREAM.PURGE.REPRISE_EVENTS",
          "reprise.command.a.b.DocumentSubmit",
          "reprise.event.a.b.SyncStarted"
        ]) {
          client.publish("reprise.request.a.b.Status", "{}", { reply })
        }
        yield* request("a.b.Status", {})
        yield* request("a.b.Status", {})
        assert.strictEqual(yield* messages(), before)
      })
    )

    it.effect("a flood of one project is told to come back, and another is answered meanwhile", () =>
      Effect.gen(function* () {
        const flood = yield* Effect.fork(
          Effect.forEach(
            Array.from({ length: 400 }, (_, n) => n),
            (n) => submit(`flood-${n}`, `Flood ${n}.`, { wait: "accepted" }, "acme.flood"),
            { concurrency: "unbounded" }
          )
        )
        const calm = yield* request("globex.calm.Status", {})
        assert.strictEqual(calm.error, "")
        const answers = yield* flood
        const busy = answers.filter(({ error }) => error === "busy")
        const done = answers.filter(({ error }) => error === "")
        assert.strictEqual(busy.length + done.length, 400)
        assert.isAbove(busy.length, 0)
        assert.isAtLeast(done.length, 64)
      })
    )

    it.effect("as many commands as may be that wait leave its project's questions their answers", () =>
      Effect.gen(function* () {
        const { pause } = yield* Writer
        yield* pause("embed", true)
        const asked = request("acme.held.Status", {})
        const held = yield* Effect.fork(
          Effect.forEach(
            Array.from({ length: 64 }, (_, n) => n),
            (n) => submit(`held-${n}`, `Held ${n}.`, { wait: "final" }, "acme.held"),
            { concurrency: "unbounded" }
          )
        )
        const allHeld: typeof asked = Effect.flatMap(asked, (reply) =>
          reply.error !== "" || reply.body["preparing"] === 64
            ? Effect.succeed(reply)
            : Effect.delay(allHeld, "10 millis")
        )
        const status = yield* Effect.ensuring(allHeld, Effect.orDie(pause("embed", false)))
        assert.strictEqual(status.error, "")
        assert.isTrue((yield* held).every(({ body }) => body["outcome"] === "committed"))
      })
    )

    it.effect("is a micro-service: found, described, with an endpoint for each request", () =>
      Effect.gen(function* () {
        const { client } = yield* World
        const monitor = client.services.client()
        const [info] = yield* Effect.promise(async () => {
          const all = []
          for await (const one of await monitor.info("reprise")) all.push(one)
          return all
        })
        assert.strictEqual(info?.version, "0.1.0")
        assert.include(
          (info?.endpoints ?? []).map(({ subject }) => subject),
          "reprise.request.*.*.Search"
        )
        const [stats] = yield* Effect.promise(async () => {
          const all = []
          for await (const one of await monitor.stats("reprise")) all.push(one)
          return all
        })
        const search = stats?.endpoints?.find(({ name }) => name === "Search")
        assert.isAbove(search?.num_requests ?? 0, 0)
      })
    )

    it.effect("the operator's status stands under the scope that no project can have", () =>
      Effect.gen(function* () {
        const { body } = yield* request("_._.Status", {})
        const actors = Array.isArray(body["actors"]) ? body["actors"] : []
        const publisher = actors.find(({ name }) => name === "publisher")
        assert.deepInclude(publisher, { state: "running", restarts: 0 })
        assert.isAbove(publisher.processed, 100)
      })
    )
  })
})
