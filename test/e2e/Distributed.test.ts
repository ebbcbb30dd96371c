/**
 * Several processes over NATS and Qdrant, killed at random all along, end where one undisturbed process does.
 *
 * `REPRISE_DISTRIBUTED=5000` sends that many documents instead of a few; `REPRISE_SEED` chooses other moments.
 */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer, Schedule, Schema } from "effect"
import type { NatsConnection } from "nats"
import { scopeKey } from "../../events/Ids.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { commandSender } from "../support/CommandSender.ts"
import { type Corpus, commandOf, distributedCorpus, pushed, scopes } from "../support/distributedCorpus.ts"
import { besideTheServer, overNats, reading, searching } from "../support/distributedReaders.ts"
import { type DistributedSystem, distributedSystem, smallIndex } from "../support/distributedSystem.ts"
import { embeddedRuntime } from "../support/embeddedRuntime.ts"
import { reportCount } from "../support/figures.ts"
import { plainClient } from "../support/messagingRuntime.ts"
import { type Random, randomOf } from "../support/random.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const size = Number(process.env["REPRISE_DISTRIBUTED"] ?? 150)
const seed = Number(process.env["REPRISE_SEED"] ?? 1)
const wide = size > 1_000
/** How long commands are sent and processes killed. */
const spanMs = wide ? size * 60 : 15_000
const killCount = wide ? Math.round(spanMs / 6_000) : 10
const settleMs = wide ? 900_000 : 90_000

type Victim = "serve" | "worker" | "nats" | "nats and its store"

/** Each kind at least once, the store once and only once, in the middle half. */
const victimsOf = (count: number, random: Random): ReadonlyArray<Victim> => {
  const kinds = ["worker", "serve", "nats", "worker", "serve", "worker", "nats"] as const
  const others = Array.from({ length: count - 1 }, (_, n) => kinds[n % kinds.length] ?? "worker")
    .map((victim) => ({ victim, place: random() }))
    .toSorted((a, b) => a.place - b.place)
    .map(({ victim }): Victim => victim)
  return others.toSpliced(Math.round(count * (0.25 + 0.5 * random())), 0, "nats and its store")
}

/** One after the other until the span is over; the last worker hangs from the middle on, until it is woken. */
const killings = Effect.fnUntraced(function* (system: DistributedSystem, random: Random) {
  const victims = victimsOf(killCount, random)
  const began = performance.now()
  for (const [n, victim] of victims.entries()) {
    const moment = ((n + 0.2 + 0.7 * random()) * spanMs) / victims.length
    const downMs = 100 + 900 * random()
    const hangs = n >= victims.length / 2
    const worker = system.workers[Math.floor(random() * (system.workers.length - (hangs ? 1 : 0)))]
    yield* Effect.sleep(Math.max(0, moment - (performance.now() - began)))
    if (hangs) yield* system.workers.at(-1)?.freeze ?? Effect.void
    switch (victim) {
      case "serve":
        yield* system.serve.kill
        yield* system.serve.ready
        break
      case "worker":
        yield* worker?.kill ?? Effect.void
        break
      case "nats":
      case "nats and its store":
        yield* system.nats.kill
        yield* Effect.sleep(downMs)
        yield* system.nats.restart(victim === "nats" ? "kept" : "lost")
        break
    }
  }
  return victims
})

const Status = Schema.Struct({
  documents: Schema.Int,
  preparing: Schema.Int,
  parked: Schema.Int,
  headPosition: Schema.Int,
  indexedPosition: Schema.Int
})
const decodeStatus = Schema.decodeUnknown(Schema.parseJson(Status))

/** Asks until nothing is under way in any project and searches see everything. */
const settled = (client: NatsConnection) =>
  Effect.forEach(scopes, ({ project, team }) =>
    Effect.tryPromise(() => client.request(`reprise.request.${team}.${project}.Status`, "{}")).pipe(
      Effect.flatMap((message) => decodeStatus(message.string())),
      Effect.filterOrFail(
        ({ headPosition, indexedPosition, preparing }) => preparing === 0 && indexedPosition === headPosition
      ),
      Effect.retry(Schedule.spaced("200 millis"))
    )
  )

/** One process, nothing killed: what all of it must come to. */
const undisturbed = ({ changes }: Corpus) =>
  Effect.gen(function* () {
    const services = yield* Layer.build(embeddedRuntime(yield* temporaryDirectory, smallIndex))
    return yield* Effect.gen(function* () {
      yield* Effect.forEach(changes, pushed, { discard: true })
      yield* Effect.flatMap(Writer, ({ settled }) => settled)
      return yield* whole
    }).pipe(Effect.provide(services))
  }).pipe(Effect.scoped)

const whole = Effect.gen(function* () {
  const { status, verify } = yield* Reader
  const { clean, report } = yield* verify({ level: "full", recompute: true })
  assert.isTrue(clean, JSON.stringify(report))
  const { chunks, documents, parked } = yield* status()
  return { fingerprint: report.fingerprint.actual, documents, chunks, parked }
})

/**
 * Reads the events' stream whole: each project's sequences stand there in order and without a gap, up to its head. One
 * that stands there again, as after a crash of the publisher, is nothing wrong.
 */
const published = (client: NatsConnection, heads: ReadonlyArray<typeof Status.Type>) =>
  Effect.promise(async () => {
    const newest = new Map<string, number>()
    const consumer = await client.jetstream().consumers.get("REPRISE_EVENTS")
    let messages = 0
    for await (const { headers, info, subject } of await consumer.consume()) {
      const [, , team = "", project = ""] = subject.split(".")
      const key = `${team}/${project}`
      const sequence = Number(headers?.get("Reprise-Sequence"))
      const before = newest.get(key) ?? 0
      assert.isAtMost(sequence, before + 1, `${key}: a gap in what was published`)
      newest.set(key, Math.max(before, sequence))
      messages++
      if (info.pending === 0) break
    }
    scopes.forEach((scope, n) => {
      assert.strictEqual(newest.get(scopeKey(scope)), heads[n]?.headPosition)
    })
    return messages
  })

describe("serve, three workers, NATS and Qdrant, killed at random", () => {
  it.scopedLive(
    `end with ${size} documents as one undisturbed process, every command answered and every answer the same`,
    () =>
      Effect.gen(function* () {
        const random = randomOf(seed)
        const corpus = distributedCorpus(size, random)
        const commands = corpus.changes.map(commandOf)
        const system = yield* distributedSystem(3)
        const sender = yield* commandSender({ servers: system.nats.url, patienceMs: 3_000, ...system.client })
        const reader = Context.get(yield* Layer.build(reading(system)), Reader)
        const readers = {
          nats: yield* searching(corpus, randomOf(seed + 1), overNats(sender.client)),
          beside: yield* searching(corpus, randomOf(seed + 2), besideTheServer(reader))
        }

        const began = performance.now()
        const killing = yield* Effect.fork(killings(system, random))
        const senders = 16
        yield* Effect.forEach(
          commands,
          (command, n) =>
            Effect.gen(function* () {
              yield* Effect.sleep(Math.max(0, (n * spanMs) / commands.length - (performance.now() - began)))
              yield* sender.send(command)
              // Now and then a sender has forgotten that it was answered.
              if (n % 11 === 0) yield* sender.again(command)
            }),
          { concurrency: senders, discard: true }
        )
        const sentMs = performance.now() - began
        const killed = yield* Fiber.join(killing)
        const killedMs = performance.now() - began
        reportCount({ figure: "kills, distributed", count: killed.length, seed })
        const statuses = yield* Effect.timeout(settled(sender.client), settleMs)
        const settledMs = performance.now() - began
        // What it had in hand was done by others; what it says now changes nothing.
        yield* Effect.forEach(system.workers, ({ thaw }) => thaw)

        // Long after, when the stored answers may be gone: the log still has them.
        yield* Effect.forEach(commands.slice(0, 40), sender.again, { concurrency: senders, discard: true })
        for (const { body } of commands) {
          const answers = sender.answers.get(body.commandId) ?? []
          assert.isAtLeast(answers.length, 1, body.commandId)
          assert.strictEqual(new Set(answers).size, 1, JSON.stringify(answers))
          assert.isTrue(JSON.parse(answers[0] ?? "{}").ok, answers[0])
        }
        assert.deepStrictEqual(sender.rejections, [])

        const seen = { nats: yield* readers.nats, beside: yield* readers.beside }
        for (const [name, { answers, faults, found }] of Object.entries(seen)) {
          assert.deepStrictEqual(faults, [], name)
          assert.isAbove(answers, 20, name)
          assert.isAbove(found, 5, name)
        }
        assert.strictEqual(seen.beside.away, 0)

        const streamed = yield* published(yield* plainClient(system.nats, system.operator), statuses)
        const { violations } = yield* system.qdrant.command({ do: "state" })
        assert.deepStrictEqual(violations, [])

        const processes = [system.serve, ...system.workers]
        for (const { ends, name } of processes) {
          // Who comes back while NATS is away ends with 3, and is started again.
          assert.deepStrictEqual(
            ends.filter(({ code }) => name !== "serve" || code !== 3),
            [],
            name
          )
        }
        for (const { name, stop } of [...system.workers, system.serve])
          assert.strictEqual(yield* stop, 0, name)

        const result = yield* Effect.provideService(whole, Reader, reader)
        assert.deepStrictEqual(result, yield* undisturbed(corpus))
        // Figures for people; a short run has none that mean something.
        const figures =
          process.env["REPRISE_DISTRIBUTED"] === undefined ? Effect.void : Effect.logInfo("distributed")
        yield* figures.pipe(
          Effect.annotateLogs({
            size,
            seed,
            commands: commands.length,
            sent: sender.sent(),
            killed: JSON.stringify(killed),
            starts: JSON.stringify(processes.map(({ starts }) => starts())),
            sentMs,
            killedMs,
            settledMs,
            readers: JSON.stringify(seen),
            streamed,
            ...result
          })
        )
      }),
    (wide ? 3_000 : 240) * 1_000
  )
})
