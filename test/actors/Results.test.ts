/** What workers hand back while something goes wrong around it: nothing is paid for twice, nobody waits for ever. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, FiberId, Logger, LogLevel, Schedule } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import {
  type Command,
  codeFingerprint,
  DocumentRemove,
  defaultScope,
  GenerationOpen,
  JobRetry,
  LanePause,
  ProjectName,
  sourceId
} from "../../events/index.ts"
import { Bus, type ClaimRequest } from "../../src/bus/Bus.ts"
import * as InProcessBus from "../../src/bus/InProcessBus.ts"
import {
  type EmbeddingModelService,
  InputRefused,
  ProviderUnavailable
} from "../../src/embedding/EmbeddingModel.ts"
import { LogFailed, type LogService, type WriteBatch } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  addSource,
  documentNamed,
  hashing,
  nextCommandId,
  nextKey,
  otherChunker,
  specOf,
  submitOf,
  type WriteSide,
  type WriteSideOptions,
  writeSide
} from "../support/writeSide.ts"

const onDisk = (
  name: string,
  test: Effect.Effect<unknown, unknown, WriteSide>,
  options: Omit<WriteSideOptions, "directory"> = {}
) =>
  it.scopedLive(name, () =>
    Effect.flatMap(temporaryDirectory, (directory) =>
      Effect.asVoid(Effect.provide(test, writeSide({ directory, ...options })))
    ).pipe(
      Effect.timeoutFail({ duration: "15 seconds", onTimeout: () => new Error("It took too long.") }),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
  )

/** As every sender does: again, under the same id. */
const ask = (command: Command) =>
  Effect.flatMap(Coordinator, (coordinator) =>
    Effect.retry(coordinator.ask(command), {
      while: ({ _tag }) => _tag === "ActorRestarted" || _tag === "LogFailed",
      schedule: Schedule.spaced("20 millis")
    })
  )
const idle = Effect.flatMap(Coordinator, (coordinator) => coordinator.idle)
const ended = (name: string, version = 1) =>
  Effect.flatMap(Coordinator, (coordinator) => coordinator.ended(documentNamed(name), version))
const restarts = Effect.flatMap(Supervisor, ({ actors }) =>
  Effect.map(actors, (all) => all.find(({ name }) => name === "coordinator")?.restarts)
)

/** A log that fails on what it is told to, once. */
const failingOnce = () => {
  let fails: ((batch: WriteBatch) => boolean) | undefined
  return {
    next: (on: (batch: WriteBatch) => boolean) => {
      fails = on
    },
    log: (log: LogService): LogService => ({
      ...log,
      write: (batch) =>
        Effect.suspend(() => {
          if (fails?.(batch) !== true) return log.write(batch)
          fails = undefined
          return Effect.fail(new LogFailed({ operation: "append", cause: "The disk is full." }))
        })
    })
  }
}

/** A model that notes what it is asked for, and answers when it is let go on. */
const watched = (more: Partial<EmbeddingModelService> = {}) => {
  const asked: Array<string> = []
  const wasAsked = Deferred.unsafeMake<void>(FiberId.none)
  const goOn = Deferred.unsafeMake<void>(FiberId.none)
  const model: EmbeddingModelService = {
    ...hashing,
    ...more,
    embed: (inputs) =>
      Effect.gen(function* () {
        asked.push(...inputs.map(({ text }) => text))
        yield* Deferred.succeed(wasAsked, undefined)
        yield* Deferred.await(goOn)
        return yield* hashing.embed(inputs)
      })
  }
  return { asked, goOn: Deferred.succeed(goOn, undefined), wasAsked: Deferred.await(wasAsked), model }
}

describe("vectors that come while the log fails", () => {
  {
    const disk = failingOnce()
    const { asked, goOn, model, wasAsked } = watched()
    onDisk(
      "are recorded once it is well, and asked for once",
      Effect.gen(function* () {
        yield* ask(addSource())
        yield* ask(submitOf("one", "# One\n\nA text."))
        yield* wasAsked
        disk.next(() => true)
        const other = yield* Effect.fork(ask(submitOf("two", "")))
        yield* Effect.sleep("100 millis")
        yield* goOn
        assert.strictEqual((yield* ended("one")).outcome, "committed")
        yield* Effect.fromFiber(other)
        yield* idle
        assert.strictEqual(asked.filter((text) => text.includes("A text.")).length, 1)
      }),
      { log: disk.log, model }
    )
  }
  {
    const disk = failingOnce()
    const { asked, goOn, model } = watched()
    onDisk(
      "under their own weight are recorded by the next write, and asked for once",
      Effect.gen(function* () {
        yield* ask(addSource())
        disk.next(({ vectors }) => (vectors ?? []).length > 0)
        yield* goOn
        yield* ask(submitOf("one", "# One\n\nA text."))
        assert.strictEqual((yield* ended("one")).outcome, "committed")
        assert.strictEqual(asked.length, 1)
      }),
      { log: disk.log, model }
    )
  }
})

describe("whoever waits until nothing is left to do", () => {
  const disk = failingOnce()
  onDisk(
    "is answered though the log failed in the very turn in which they asked",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* ask(addSource())
      disk.next(() => true)
      const [failed] = yield* Effect.all(
        [Effect.flip(coordinator.ask(submitOf("one", "text"))), coordinator.idle],
        { concurrency: "unbounded" }
      )
      assert.strictEqual(failed._tag, "LogFailed")
    }),
    { log: disk.log, workers: false }
  )
})

describe("a document that is gone while it is embedded", () => {
  const { asked, goOn, model, wasAsked } = watched({ batchSize: 1, concurrency: 1 })
  onDisk(
    "is not paid for any further",
    Effect.gen(function* () {
      yield* ask(addSource())
      const parts = Array.from(
        { length: 12 },
        (_, n) => `## Part ${n}\n\n${`Part ${n} of it. `.repeat(12)}\n`
      )
      yield* ask(submitOf("one", parts.join("\n")))
      yield* wasAsked
      yield* ask(
        new DocumentRemove({
          commandId: nextCommandId(),
          scope: defaultScope,
          documentId: documentNamed("one"),
          reason: "requested",
          orderKey: nextKey()
        })
      )
      yield* idle
      // Until the Embedder has heard that nobody needs it any more.
      yield* Effect.sleep("200 millis")
      yield* goOn
      yield* ask(submitOf("two", "# Two\n\nAnother text."))
      assert.strictEqual((yield* ended("two")).outcome, "committed")
      assert.isAtMost(asked.length, 2)
    }),
    {
      model,
      settings: { spec: specOf(model, otherChunker) },
      embedder: { heartbeat: Duration.millis(20) }
    }
  )
})

describe("a document with very many inputs", () => {
  const scope = { ...defaultScope, project: ProjectName.make("other") }
  const source = sourceId(scope, "push", "tests")
  const small = documentNamed("small", source, scope)
  let isSmallDone = false
  const model: EmbeddingModelService = {
    ...hashing,
    batchSize: 2,
    concurrency: 1,
    embed: (inputs) => Effect.delay(hashing.embed(inputs), "5 millis")
  }
  onDisk(
    "is asked for in several orders, between which other projects have their turn",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* ask(addSource())
      yield* ask(addSource(scope, source))
      const parts = Array.from(
        { length: 60 },
        (_, n) => `## Part ${n}\n\n${`Part ${n} of it. `.repeat(12)}\n`
      )
      yield* ask(submitOf("large", parts.join("\n")))
      yield* ask(submitOf("small", "# Small\n\nA text.", { scope, sourceId: source, documentId: small }))
      yield* Effect.fork(
        Effect.tap(coordinator.ended(small, 1), () =>
          Effect.sync(() => {
            isSmallDone = true
          })
        )
      )
      assert.strictEqual((yield* ended("large")).outcome, "committed")
      assert.isTrue(isSmallDone, "the small one waited for all of the large one")
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ lane: "embed", scope: defaultScope, limit: 10 })
      )
      const outcomes = rows.flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome))
      assert.isAbove(outcomes.length, 3)
      assert.deepStrictEqual(new Set(outcomes), new Set(["completed"]))
    }),
    {
      model,
      settings: {
        spec: specOf(model, otherChunker),
        lanes: { prepare: { window: 8, limitMs: 60_000 }, embed: { window: 4, limitMs: 60_000 } }
      }
    }
  )
})

describe("a provider that is away when a worker begins", () => {
  let away = true
  let probes = 0
  const model: EmbeddingModelService = {
    ...hashing,
    batchSize: 1,
    concurrency: 4,
    probed: true,
    // Of a batch; later no test is to depend on time.
    get timeout() {
      return away ? Duration.millis(200) : Duration.minutes(1)
    },
    embed: (inputs) =>
      Effect.suspend(() => {
        if (!away) return hashing.embed(inputs)
        if (++probes === 4) away = false
        return Effect.delay(
          Effect.fail(new ProviderUnavailable({ provider: "test", detail: "it hangs" })),
          "150 millis"
        )
      })
  }
  onDisk(
    "counts against no document, however many wait for one to find out",
    Effect.gen(function* () {
      yield* ask(addSource())
      const names = ["a", "b", "c", "d"]
      yield* Effect.forEach(names, (name) => ask(submitOf(name, `# ${name}\n\nA text of ${name}.`)))
      yield* Effect.forEach(names, (name) => ended(name))
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ lane: "embed", limit: 10 })
      )
      const outcomes = rows.flatMap(({ attempts }) => attempts.map(({ outcome }) => outcome))
      assert.notInclude(outcomes, "failed")
    }),
    { model, settings: { firstRetry: Duration.millis(5), longestRetry: Duration.millis(10) } }
  )
})

/** The Coordinator dies of writing this. */
const dyingOf =
  (isBad: (batch: WriteBatch) => boolean) =>
  (log: LogService): LogService => ({
    ...log,
    write: (batch) => (isBad(batch) ? Effect.die(new Error("A bug.")) : log.write(batch))
  })
const quickBus = InProcessBus.layer({ ackWait: Duration.millis(200), capacity: 256 })

describe("a result that crashes the Coordinator", () => {
  const isOf = (name: string) => {
    const id = documentNamed(name)
    return ({ event }: { readonly event: object }) => "documentId" in event && event.documentId === id
  }
  for (const [what, isBad] of [
    [
      "a prepared document",
      ({ appends }: WriteBatch) =>
        (appends ?? []).some(({ events }) =>
          events.some((one) => one.event._tag === "DocumentChunked" && isOf("bad")(one))
        )
    ],
    [
      "vectors",
      ({ vectors }: WriteBatch) => {
        const [bad] = hashingOfBad
        return (vectors ?? []).some(({ vector }) => vector.every((value, at) => value === bad?.[at]))
      }
    ]
  ] as const)
    onDisk(
      `gives up its document after a bounded number of crashes, and those beside it are committed: ${what}`,
      Effect.gen(function* () {
        const [bad] = (yield* hashing.embed([{ id: "bad", text: "# bad\n\nA text of bad." }])).vectors
        hashingOfBad = [bad]
        yield* ask(addSource())
        const names = ["bad", "one", "two", "three"]
        yield* Effect.forEach(names, (name) => ask(submitOf(name, `# ${name}\n\nA text of ${name}.`)), {
          concurrency: "unbounded"
        })
        const ends = yield* Effect.forEach(names, (name) => ended(name), { concurrency: "unbounded" })
        assert.deepStrictEqual(
          ends.map(({ outcome }) => outcome),
          ["parked", "committed", "committed", "committed"]
        )
        assert.strictEqual(ends[0]?.reason?.code, "crashed")
        yield* idle
        const before = yield* restarts
        assert.isAtMost(before ?? 0, 4)
        yield* Effect.sleep("500 millis")
        assert.strictEqual(yield* restarts, before)
      }),
      { bus: quickBus, log: dyingOf(isBad), model: { ...hashing, batchSize: 1 } }
    )

  let isMended = false
  onDisk(
    "is taken once its job is retried, and the bug is gone",
    Effect.gen(function* () {
      isMended = false
      yield* ask(addSource())
      yield* ask(submitOf("bad", "# bad\n\nA text of bad."))
      assert.strictEqual((yield* ended("bad")).outcome, "parked")
      isMended = true
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ state: "parked", limit: 10 })
      )
      const [parked] = rows
      if (parked === undefined) return assert.fail("Its job is parked.")
      yield* ask(new JobRetry({ commandId: nextCommandId(), scope: defaultScope, jobId: parked.jobId }))
      assert.strictEqual((yield* ended("bad")).outcome, "committed")
    }),
    {
      bus: quickBus,
      log: dyingOf(
        ({ appends }) =>
          !isMended &&
          (appends ?? []).some(({ events }) => events.some(({ event }) => event._tag === "DocumentChunked"))
      )
    }
  )
})
let hashingOfBad: ReadonlyArray<Float32Array | undefined> = []

describe("two jobs of one document", () => {
  it.scopedLive("whose leases end in one turn are given up without a crash", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.provide(
        Effect.zipRight(
          ask(addSource()),
          Effect.zipRight(ask(submitOf("one", "# One\n\nA text.")), ended("one"))
        ),
        writeSide({ directory })
      )
      const settings = { attempts: 1, lease: Duration.millis(200) }
      yield* Effect.provide(
        Effect.gen(function* () {
          const coordinator = yield* Coordinator
          const { claim, receive } = yield* Bus
          yield* ask(submitOf("one", "# One\n\nA newer text."))
          yield* coordinator.operate(
            new GenerationOpen({ spec: specOf(hashing, otherChunker), reason: "build" })
          )
          const orders = [...(yield* receive("prepare", 2))]
          while (orders.length < 2) orders.push(...(yield* receive("prepare", 2)))
          const claims = yield* claim(
            orders.flatMap(({ value }): ReadonlyArray<ClaimRequest> => {
              const { attempt, jobId, lane } = value
              return lane === "prepare"
                ? [{ lane, jobId, attempt, worker: "hangs", code: value.chunker }]
                : []
            })
          )
          assert.deepStrictEqual(
            claims.map(({ _tag }) => _tag),
            ["Granted", "Granted"]
          )
          assert.strictEqual((yield* ended("one", 2)).outcome, "parked")
          yield* coordinator.idle
          assert.deepStrictEqual(yield* coordinator.unfinishedBuilds, { open: 0, parked: 1 })
          assert.strictEqual(yield* restarts, 0)
        }),
        writeSide({ directory, workers: false, settings })
      )
    }).pipe(
      Effect.timeoutFail({ duration: "15 seconds", onTimeout: () => new Error("It took too long.") }),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
  )
})

describe("a document with more inputs than may wait", () => {
  const model: EmbeddingModelService = {
    ...hashing,
    batchSize: 1,
    concurrency: 1,
    embed: (inputs) =>
      Effect.map(hashing.embed(inputs), (embedded) => {
        const bad = inputs.filter(({ text }) => text.includes("poison"))
        if (bad.length === 0) return embedded
        const refused = bad.map(
          ({ id }) => new InputRefused({ provider: "test", inputs: [id], detail: "No." })
        )
        return { ...embedded, vectors: [undefined], refused }
      })
  }
  onDisk(
    "leaves the Embedder at work when one of them is refused",
    Effect.gen(function* () {
      yield* ask(addSource())
      const parts = Array.from(
        { length: 12 },
        (_, n) => `## Part ${n}\n\n${`The poison ${n} of it. `.repeat(12)}\n`
      )
      yield* ask(submitOf("bad", parts.join("\n")))
      assert.strictEqual((yield* ended("bad")).outcome, "parked")
      yield* ask(submitOf("good", "# Good\n\nA text."))
      assert.strictEqual((yield* ended("good")).outcome, "committed")
    }),
    { model, settings: { spec: specOf(model, otherChunker) } }
  )
})

describe("an order that a worker is not fit for", () => {
  onDisk(
    "holds up nothing that came with it",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* ask(addSource())
      yield* ask(submitOf("one", "# One\n\nA text."))
      yield* ended("one")
      yield* coordinator.operate(new LanePause({ lane: "embed", paused: true }))
      const foreign = { ...specOf(hashing), model: codeFingerprint("foreign", []) }
      yield* coordinator.operate(new GenerationOpen({ spec: foreign, reason: "build" }))
      yield* ask(submitOf("two", "# Two\n\nAnother text."))
      const readModels = yield* ReadModels
      yield* Effect.repeat(readModels.jobs({ lane: "embed", state: "queued", limit: 10 }), {
        until: ({ rows }) => rows.length === 1,
        schedule: Schedule.spaced("10 millis")
      })
      yield* coordinator.operate(new LanePause({ lane: "embed", paused: false }))
      assert.strictEqual((yield* ended("two")).outcome, "committed")
    }),
    { settings: { canBuild: () => true }, embedder: { unfitPause: Duration.minutes(1) } }
  )
})
