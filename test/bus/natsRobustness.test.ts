/**
 * A Coordinator and two workers that share nothing but a real NATS server, which loses, repeats and forgets: every
 * document comes to its end, once.
 */
import { renameSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import {
  Chunk,
  Context,
  Duration,
  Effect,
  Exit,
  Layer,
  Logger,
  LogLevel,
  Schedule,
  Scope,
  Stream
} from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import * as Embedder from "../../actors/Embedder.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { prepareJobId, sha256 } from "../../events/index.ts"
import type { NatsService } from "../../src/bus/nats/Connection.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import * as ContentServer from "../../src/bus/nats/ContentServer.ts"
import { encodeOrder } from "../../src/bus/nats/MessageCodec.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import * as NatsContent from "../../src/bus/nats/NatsContent.ts"
import { usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { EmbeddingModel } from "../../src/embedding/EmbeddingModel.ts"
import { LogReader } from "../../src/log/Log.ts"
import { orderFor } from "../conformance/bus.ts"
import { type NatsServer, natsServer } from "../support/NatsServer.ts"
import { connected, optionsFor } from "../support/natsClient.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, hashing, preparerWith, submitOf, writeSide } from "../support/writeSide.ts"

const streams = { ...usualStreamOptions, ackWait: Duration.millis(500), capacity: 256 }
/** Times short enough for a test. */
const impatient = {
  unclaimed: Duration.millis(400),
  lanes: {
    prepare: { window: 8, limitMs: 1500 },
    embed: { window: 64, limitMs: 1500 }
  },
  firstRetry: Duration.millis(5),
  longestRetry: Duration.millis(20),
  attempts: 100,
  crashes: 100
}

/** Slow enough for something to happen meanwhile. */
const slowPreparer = preparerWith((real, document) => Effect.delay(real.prepare(document), "30 millis"))

const busOn = (url: string, name: string) =>
  NatsBus.layer(streams).pipe(Layer.provideMerge(Connection.layer(optionsFor(url, { name }))), Layer.orDie)

/** What a process on another host is: it has a bus and no log. */
const worker = (url: string, name: string) =>
  Layer.merge(
    Ingestor.layer({ ...Ingestor.usualSettings, name: `${name}-prepare`, slots: 2 }),
    Embedder.layer({ ...Embedder.usualSettings, name: `${name}-embed` })
  ).pipe(
    Layer.provide(NatsContent.layer),
    Layer.provide(busOn(url, name)),
    Layer.provide(Layer.mergeAll(slowPreparer, Layer.succeed(EmbeddingModel, hashing), Supervisor.layer))
  )

interface Stage {
  readonly server: NatsServer
  /** A connection of somebody who may do anything. */
  readonly operator: NatsService
  /** Ends one of the two workers, whatever it holds. */
  readonly endWorker: Effect.Effect<void>
}

const documents = 24
const queues = ["REPRISE_WORK_prepare", "REPRISE_WORK_embed", "REPRISE_RESULTS"]

/** Submits documents, lets `happen` happen while they are worked on, and waits for the end of every one. */
const survives = (
  name: string,
  happen: (stage: Stage) => Effect.Effect<unknown, unknown, Scope.Scope>,
  options: { readonly configuration?: string; readonly text?: (n: number) => string } = {}
) =>
  it.scopedLive(
    name,
    () =>
      Effect.gen(function* () {
        const server = yield* natsServer({
          ...(options.configuration && { configuration: options.configuration })
        })
        const directory = yield* temporaryDirectory
        const scope = yield* Effect.scope
        const context = yield* Layer.build(
          Layer.provideMerge(
            ContentServer.layer,
            writeSide({
              directory,
              workers: false,
              settings: impatient,
              bus: busOn(server.url, "coordinator")
            })
          ).pipe(Layer.provide(Layer.orDie(Connection.layer(optionsFor(server.url, { name: "content" })))))
        )
        const coordinator = Context.get(context, Coordinator)
        const ask = (command: Parameters<typeof coordinator.ask>[0]) =>
          Effect.retry(coordinator.ask(command), {
            while: (error) => error._tag === "ActorRestarted" || error._tag === "LogFailed",
            schedule: Schedule.spaced("20 millis")
          })
        const first = yield* Scope.fork(scope, { _tag: "Sequential" })
        yield* Scope.extend(Layer.build(worker(server.url, "first")), first)
        yield* Layer.build(worker(server.url, "second"))
        const operator = yield* connected(server.url)
        yield* ask(addSource())
        const textOf = options.text ?? ((n) => `# Document ${n}\n\nIt has number ${n}.`)
        const numbers = Array.from({ length: documents }, (_, n) => n)
        yield* Effect.forEach(numbers, (n) => ask(submitOf(`document-${n}`, textOf(n))), {
          concurrency: "unbounded"
        })
        yield* happen({
          server,
          operator,
          endWorker: Scope.close(first, Exit.void)
        })
        const ended = Effect.flatMap(
          Stream.runCollect(Context.get(context, LogReader).read(0, { types: ["DocumentCommitted"] })),
          (events) => {
            const committed = Chunk.toReadonlyArray(events).map(({ stream }) => stream)
            return committed.length < documents
              ? Effect.fail(`${committed.length} of ${documents}`)
              : Effect.succeed(committed)
          }
        )
        const committed = yield* Effect.retry(ended, Schedule.spaced("100 millis")).pipe(
          Effect.timeout("60 seconds")
        )
        assert.strictEqual(new Set(committed).size, documents)
        assert.strictEqual(committed.length, documents)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None)),
    90_000
  )

const soon = Effect.sleep("150 millis")

describe("work over NATS ends", () => {
  survives("when nothing goes wrong", () => Effect.void)

  survives("when the server is killed and comes back with its store", ({ server }) =>
    Effect.zipRight(soon, server.restart("kept"))
  )

  survives("when the server is killed and comes back without its store", ({ server }) =>
    Effect.zipRight(soon, server.restart("lost"))
  )

  survives("when the server hangs for a while", ({ server }) =>
    Effect.gen(function* () {
      yield* soon
      yield* server.freeze
      yield* Effect.sleep("1 second")
      yield* server.thaw
    })
  )

  survives("when consumers are deleted by hand", ({ operator }) =>
    Effect.gen(function* () {
      yield* soon
      for (const [stream, consumer] of [
        ["REPRISE_WORK_prepare", "workers"],
        ["REPRISE_WORK_embed", "workers"],
        ["REPRISE_RESULTS", "coordinator"]
      ] as const)
        yield* Effect.promise(() => operator.manager.consumers.delete(stream, consumer))
    })
  )

  survives("when streams are deleted by hand", ({ operator }) =>
    Effect.gen(function* () {
      yield* soon
      for (const stream of queues) yield* Effect.promise(() => operator.manager.streams.delete(stream))
    })
  )

  survives(
    "when the files of streams are lost under a running server, which says nothing of it",
    ({ server }) =>
      Effect.gen(function* () {
        yield* soon
        yield* Effect.sync(() => {
          // Moved away at once: of a folder that is deleted file by file, the server writes some anew meanwhile.
          for (const stream of queues)
            renameSync(join(server.streams, stream, "msgs"), join(server.directory, `lost-${stream}`))
        })
      })
  )

  survives(
    "when orders of one job are purged by hand, after which server 2.9.10 delivers no others",
    ({ operator }) =>
      Effect.gen(function* () {
        yield* soon
        const info = yield* Effect.promise(() =>
          operator.manager.streams.info("REPRISE_WORK_prepare", { subjects_filter: ">" })
        )
        for (const filter of Object.keys(info.state.subjects ?? {}).slice(0, 2))
          yield* Effect.promise(() => operator.manager.streams.purge("REPRISE_WORK_prepare", { filter }))
      })
  )

  survives("when every order and every result is delivered twice", ({ operator }) =>
    Effect.gen(function* () {
      const copied = new Set<string>()
      for (const subject of ["reprise.work.>", "reprise.result.>"])
        yield* operator.subscribe(subject).pipe(
          Stream.runForEach((message) => {
            const key = `${message.subject} ${sha256(message.data)}`
            if (copied.has(key)) return Effect.void
            copied.add(key)
            return operator.publish(message.subject, message.data)
          }),
          Effect.ignore,
          Effect.forkScoped
        )
    })
  )

  survives("when strangers write into the queues", ({ operator }) =>
    Effect.gen(function* () {
      const foreign = encodeOrder(orderFor("stranger"))
      const forged = prepareJobId(1, orderFor("forged").documentId, 1, sha256("forged"))
      yield* Effect.forEach(
        [
          ["reprise.work.prepare.x", "no frame"],
          ["reprise.work.prepare.x", ""],
          ["reprise.work.embed.x", new Uint8Array([255, 255, 255, 255, 0])],
          ["reprise.work.embed.x", foreign],
          [`reprise.work.prepare.${forged}`, foreign],
          ["reprise.work.prepare.y", foreign.slice(0, 40)],
          ["reprise.result.prepare.x", "{}"],
          ["reprise.result.x.y", foreign]
        ] as const,
        ([subject, payload]) => operator.publish(subject, payload),
        { discard: true }
      )
      // They are taken out, not delivered for ever.
      yield* Effect.sleep("2 seconds")
      for (const stream of queues) {
        const { state } = yield* Effect.promise(() =>
          operator.manager.streams.info(stream, { subjects_filter: ">" })
        )
        assert.notInclude(Object.keys(state.subjects ?? {}).join(" "), ".x", stream)
      }
    })
  )

  survives("when a worker ends with work in its hands", ({ endWorker }) => Effect.zipRight(soon, endWorker))

  survives("when texts, manifests and orders are larger than a message may be", () => Effect.void, {
    configuration: "max_payload: 16KB",
    text: (n) =>
      Array.from({ length: 300 }, (_, at) => `# Part ${at} of ${n}\n\nWords number ${at * n}.`).join("\n\n")
  })
})
