/** What goes wrong around the Coordinator costs time: every document comes to its end, once. */
import { assert, describe, it } from "@effect/vitest"
import {
  Chunk,
  Deferred,
  Duration,
  Effect,
  FiberId,
  Layer,
  Logger,
  LogLevel,
  Random,
  Schedule,
  Stream
} from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import {
  type Command,
  DocumentRemove,
  defaultScope,
  type EventType,
  JobCancel,
  prepareJobId,
  sha256
} from "../../events/index.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import { type EmbeddingModelService, InputRefused } from "../../src/embedding/EmbeddingModel.ts"
import { armed, type FailpointName } from "../../src/faults/Failpoints.ts"
import { Log, LogFailed, LogReader, type LogService } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import * as FaultyBus from "../support/FaultyBus.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  addSource,
  documentNamed,
  hashing,
  logRoom,
  nextCommandId,
  nextKey,
  otherChunker,
  preparerWith,
  specOf,
  submitOf,
  type WriteSide,
  type WriteSideOptions,
  writeSide
} from "../support/writeSide.ts"

const bounded = Effect.timeoutFail({
  duration: "25 seconds",
  onTimeout: () => new Error("It took too long.")
})
const onDisk = (
  name: string,
  test: Effect.Effect<unknown, unknown, WriteSide>,
  options: Omit<WriteSideOptions, "directory">
) =>
  it.scopedLive(name, () =>
    Effect.flatMap(temporaryDirectory, (directory) =>
      Effect.asVoid(Effect.provide(test, writeSide({ directory, ...options })))
    ).pipe(bounded, Logger.withMinimumLogLevel(LogLevel.None))
  )

const eventsOf = (...types: ReadonlyArray<EventType>) =>
  Effect.flatMap(LogReader, (reader) =>
    Effect.map(Stream.runCollect(reader.read(0, { types })), Chunk.toReadonlyArray)
  )
/** Sent again under the same id until it is answered, as every sender does. */
const ask = (command: Command) =>
  Effect.flatMap(Coordinator, (coordinator) =>
    Effect.retry(coordinator.ask(command), {
      while: (error) => error._tag === "ActorRestarted" || error._tag === "LogFailed",
      schedule: Schedule.spaced("20 millis")
    })
  )
const begin = ask(addSource())
const removalOf = (name: string) =>
  new DocumentRemove({
    commandId: nextCommandId(),
    scope: defaultScope,
    documentId: documentNamed(name),
    reason: "requested",
    orderKey: nextKey()
  })

/** Times short enough for a test. */
const impatient = {
  unclaimed: Duration.millis(150),
  lanes: { prepare: { window: 8, limitMs: 300 }, embed: { window: 64, limitMs: 300 } },
  firstRetry: Duration.millis(5),
  longestRetry: Duration.millis(20),
  attempts: 40
}
const quickBus = InProcessBus.layer({ ackWait: Duration.millis(200), capacity: 256 })

describe("a bus that loses, repeats, delays and reorders", () => {
  const rates = { loss: 0.15, repeat: 0.3, delay: 0.4, unanswered: 0.02, longestDelayMs: 60 }
  const names = Array.from({ length: 24 }, (_, n) => `document-${n}`)
  for (const seed of [1, 2, 3]) {
    onDisk(
      `N1: every document is committed exactly once, seed ${seed}`,
      Effect.gen(function* () {
        const coordinator = yield* Coordinator
        yield* begin
        yield* Effect.forEach(
          names,
          // Every third text is shared, so that vectors are waited for across documents.
          (name, n) => ask(submitOf(name, n % 3 === 0 ? "# Shared\n\nShared.\n" : `# ${name}\n\nOwn.\n`)),
          { concurrency: 8, discard: true }
        )
        yield* coordinator.idle
        const committed = yield* eventsOf("DocumentCommitted")
        assert.strictEqual(committed.length, names.length)
        assert.strictEqual(new Set(committed.map(({ stream }) => stream)).size, names.length)
        assert.deepStrictEqual(yield* eventsOf("DocumentRejected"), [])
      }),
      { settings: impatient, bus: FaultyBus.layer(quickBus, seed, rates) }
    )
  }
})

describe("senders that submit, move and remove at the same time", () => {
  const names = ["a", "b", "c", "d", "e"]
  for (const seed of [1, 2, 3, 4]) {
    onDisk(
      `are all answered without a restart, and every mutation ends, seed ${seed}`,
      Effect.gen(function* () {
        const coordinator = yield* Coordinator
        const random = Random.make(seed)
        const any = (from: ReadonlyArray<string>) =>
          Effect.map(random.nextIntBetween(0, from.length), (at) => from[at] ?? "a")
        yield* begin
        const commands = yield* Effect.forEach(Array.from({ length: 90 }), () =>
          Effect.gen(function* () {
            const name = yield* any(names)
            const text = `# Text\n\n${yield* any(["one", "two", "three", ""])}\n`.repeat(name === "e" ? 1 : 2)
            const movedFrom = documentNamed(yield* any(names))
            switch (yield* random.nextIntBetween(0, 5)) {
              case 0:
                return removalOf(name)
              case 1:
                return submitOf(name, text, { movedFrom })
              case 2:
                return submitOf(name, "")
              default:
                return submitOf(name, text)
            }
          })
        )
        const answers = yield* Effect.forEach(commands, coordinator.ask, { concurrency: 16 })
        for (const { documentId, outcome, version } of answers) {
          if (outcome === "accepted" && documentId !== undefined && version !== undefined) {
            yield* coordinator.ended(documentId, version)
          }
        }
        yield* coordinator.idle
        const actors = yield* Effect.flatMap(Supervisor, (supervisor) => supervisor.actors)
        assert.deepStrictEqual(
          actors.map(({ lastError, name, restarts }) => ({ name, restarts, lastError })),
          actors.map(({ name }) => ({ name, restarts: 0, lastError: undefined }))
        )
        const submissions = (yield* eventsOf("DocumentSubmitted")).length
        const accepted = answers.filter(({ outcome }) => outcome === "accepted").length
        assert.strictEqual(submissions, accepted)
      }),
      { settings: impatient, bus: quickBus }
    )
  }
})

describe("a crash of the Coordinator", () => {
  const steps: ReadonlyArray<FailpointName> = [
    "submit.before",
    "submit.after",
    "attempt.count.before",
    "attempt.count.after",
    "job.lease.before",
    "job.lease.after",
    "job.result.before",
    "job.result.after",
    "chunked.before",
    "chunked.after",
    "vectors.recorded.before",
    "vectors.recorded.after",
    "committed.before",
    "committed.after",
    "removed.before",
    "removed.after",
    "rejected.before",
    "rejected.after",
    "job.park.before",
    "job.park.after",
    "job.cancel.before",
    "job.cancel.after"
  ]
  for (const step of steps) {
    onDisk(
      `A1: at ${step} is answered by a restart, and nothing is lost or doubled`,
      Effect.gen(function* () {
        const coordinator = yield* Coordinator
        yield* begin
        const names = ["one", "two", "three"]
        yield* Effect.forEach(names, (name) => ask(submitOf(name, `# ${name}\n\nText.\n`)), {
          concurrency: "unbounded"
        })
        const bad = submitOf("bad", "unparseable")
        yield* ask(bad)
        yield* coordinator.idle
        yield* ask(removalOf("three"))
        const jobId = prepareJobId(1, bad.documentId, 1, sha256(bad.raw))
        yield* ask(new JobCancel({ commandId: nextCommandId(), scope: defaultScope, jobId }))
        yield* coordinator.idle
        assert.strictEqual((yield* eventsOf("DocumentSubmitted")).length, 4)
        assert.strictEqual((yield* eventsOf("DocumentCommitted")).length, 3)
        assert.strictEqual((yield* eventsOf("DocumentRejected")).length, 1)
        assert.strictEqual((yield* eventsOf("JobParked")).length, 1)
        assert.strictEqual((yield* eventsOf("DocumentRemoved")).length, 1)
        assert.strictEqual((yield* eventsOf("JobCancelled")).length, 1)
        const actors = yield* Effect.flatMap(Supervisor, (supervisor) => supervisor.actors)
        // A claim is answered in its worker's fiber, so that a crash there is the worker's.
        assert.isAtLeast(
          actors.reduce((sum, { restarts }) => sum + restarts, 0),
          1
        )
      }),
      {
        settings: impatient,
        bus: quickBus,
        failpoints: armed(`${step}:1:throw`),
        preparer: Layer.suspend(() => unparseable("unparseable"))
      }
    )
  }
})

const unparseable = (word: string) =>
  preparerWith((real, document) =>
    new TextDecoder().decode(document.raw).includes(word)
      ? Effect.succeed({ _tag: "Unparseable", code: "parser-failed", message: "It cannot be parsed." })
      : real.prepare(document)
  )

describe("a log that fails to write", () => {
  let failing = 0
  const unreliable = (log: LogService): LogService => ({
    ...log,
    write: (batch) =>
      Effect.suspend(() =>
        failing-- > 0
          ? Effect.fail(new LogFailed({ operation: "append", cause: "The disk is full." }))
          : log.write(batch)
      )
  })
  onDisk(
    "D4: tells the sender, and work goes on unaided when it is well again",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* begin
      failing = 1
      const command = submitOf("one", "text")
      assert.strictEqual((yield* Effect.flip(coordinator.ask(command)))._tag, "LogFailed")
      yield* ask(command)
      yield* coordinator.idle
      assert.strictEqual((yield* eventsOf("DocumentCommitted")).length, 1)
      const [status] = yield* Effect.flatMap(Supervisor, (supervisor) => supervisor.actors)
      assert.strictEqual(status?.restarts, 0)
    }),
    { settings: impatient, bus: quickBus, log: unreliable }
  )
})

describe("a death of the process", () => {
  /** As a kill leaves it: an attempt that was begun and never ended. */
  const diedWith = (
    directory: string,
    attempts: ReadonlyArray<{ name: string; attempt: number; solo: boolean }>
  ) =>
    Effect.provide(
      Effect.flatMap(Log, (log) =>
        log.write({
          operational: attempts.map(({ attempt, name, solo }) => ({
            kind: "attemptStarted",
            jobId: jobOf(name),
            lane: "prepare",
            attempt,
            worker: "prepare",
            startedAt: 0,
            solo
          }))
        })
      ),
      logRoom(directory)
    )
  const textOf = (name: string) => `# ${name}\n\nText of ${name}.\n`
  const jobOf = (name: string) =>
    prepareJobId(1, documentNamed(name), 1, sha256(new TextEncoder().encode(textOf(name))))
  const names = ["a", "b", "c", "d"]
  const submitAll = Effect.zipRight(
    begin,
    Effect.forEach(names, (name) => ask(submitOf(name, textOf(name))), { discard: true })
  )

  it.scopedLive("P3: lets the jobs that were in flight run alone first, and blames none of them", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.provide(submitAll, writeSide({ directory, workers: false }))
      yield* diedWith(directory, [
        { name: "c", attempt: 2, solo: false },
        { name: "d", attempt: 2, solo: false }
      ])
      yield* Effect.provide(
        Effect.gen(function* () {
          const readModels = yield* ReadModels
          yield* Effect.flatMap(Coordinator, ({ idle }) => idle)
          assert.strictEqual((yield* eventsOf("DocumentCommitted")).length, names.length)
          const chunked = (yield* eventsOf("DocumentChunked")).map(({ stream }) => stream)
          assert.deepStrictEqual(
            new Set(chunked.slice(0, 2)),
            new Set(["c", "d"].map((name) => `document-${documentNamed(name)}`))
          )
          const attempts = (yield* readModels.job(jobOf("c")))?.attempts
          assert.deepStrictEqual(
            attempts?.slice(1).map(({ attempt, outcome, solo }) => ({ attempt, outcome, solo })),
            [
              { attempt: 2, outcome: "interrupted", solo: false },
              { attempt: 3, outcome: "completed", solo: true }
            ]
          )
        }),
        writeSide({ directory })
      )
    }).pipe(bounded)
  )

  it.scopedLive("P3: parks the one that dies with the process while it runs alone, and no other", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.provide(submitAll, writeSide({ directory, workers: false }))
      yield* diedWith(directory, [{ name: "c", attempt: 2, solo: true }])
      yield* Effect.provide(Effect.void, writeSide({ directory, workers: false, settings: { crashes: 2 } }))
      yield* diedWith(directory, [{ name: "c", attempt: 9, solo: true }])
      yield* Effect.provide(
        Effect.gen(function* () {
          const readModels = yield* ReadModels
          yield* Effect.flatMap(Coordinator, ({ idle }) => idle)
          assert.strictEqual((yield* eventsOf("DocumentCommitted")).length, names.length - 1)
          assert.strictEqual((yield* readModels.document(documentNamed("c")))?.parked?.reason.code, "crashed")
        }),
        writeSide({ directory, settings: { crashes: 2 } })
      )
    }).pipe(bounded)
  )
})

describe("an input that two documents need", () => {
  const passage = (word: string) =>
    `## ${word}\n\n${`The ${word} stays a ${word}, and nobody moves it. `.repeat(3)}\n`
  const asked = Deferred.unsafeMake<void>(FiberId.none)
  const both = Deferred.unsafeMake<void>(FiberId.none)
  const goOn = Deferred.unsafeMake<void>(FiberId.none)
  let refusals = 0
  /** Refuses the harbour once, while the lighthouse is being asked for; answers that one when it is told to. */
  const model: EmbeddingModelService = {
    ...hashing,
    concurrency: 2,
    embed: (inputs) =>
      Effect.gen(function* () {
        const embedded = yield* hashing.embed(inputs)
        if (inputs.some(({ text }) => text.includes("lighthouse"))) {
          yield* Deferred.succeed(both, undefined)
          yield* Deferred.await(goOn)
          return embedded
        }
        if (refusals++ > 0) return embedded
        yield* Deferred.succeed(asked, undefined)
        yield* Deferred.await(both)
        const refused = inputs.map(
          ({ id }) => new InputRefused({ provider: "test", inputs: [id], detail: "Not today." })
        )
        return { ...embedded, vectors: inputs.map(() => undefined), refused }
      })
  }

  onDisk(
    "is asked for by the other one, though it was at work when the first one gave up",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      yield* ask(submitOf("first", passage("harbour")))
      yield* Deferred.await(asked)
      yield* ask(submitOf("second", passage("harbour") + passage("lighthouse")))
      assert.strictEqual((yield* coordinator.ended(documentNamed("first"), 1)).outcome, "parked")
      yield* Deferred.succeed(goOn, undefined)
      const end = yield* coordinator.ended(documentNamed("second"), 1)
      assert.deepStrictEqual([end.outcome, end.embeddings.computed], ["committed", 2])
    }),
    { model, settings: { spec: specOf(model, otherChunker) } }
  )
})
