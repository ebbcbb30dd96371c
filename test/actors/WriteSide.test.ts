import { assert, describe, it } from "@effect/vitest"
import { Chunk, Duration, Effect, Fiber, Layer, Option, Stream } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { PreparerFailed } from "../../actors/Ingestor/Preparer.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import {
  type CommandAnswer,
  DocumentRemove,
  type DocumentSubmit,
  defaultScope,
  type EventType,
  GenerationId,
  GenerationOpen,
  GenerationPromote,
  JobCancel,
  JobRetry,
  LanePause,
  type MutationEnd,
  ProjectName,
  prepareJobId,
  RemovalsApprove,
  SourceRemove,
  SyncComplete,
  SyncFail,
  SyncStart,
  sha256,
  sourceId
} from "../../events/index.ts"
import { Bus } from "../../src/bus/Bus.ts"
import { makeChunker } from "../../src/documents/Chunker.ts"
import {
  type EmbeddingModelService,
  InputRefused,
  ProviderBusy,
  ProviderRefused,
  ProviderUnavailable
} from "../../src/embedding/EmbeddingModel.ts"
import { LogFailed, LogReader } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  addSource,
  chunker,
  describedAs,
  documentNamed,
  hashing,
  nextCommandId,
  nextKey,
  otherChunkerSettings,
  preparerWith,
  specOf,
  submitOf,
  testSource,
  type WriteSide,
  type WriteSideOptions,
  writeSide
} from "../support/writeSide.ts"

/** Each run is the program from its start to its orderly end, over one directory. */
const runs = (
  name: string,
  tests: ReadonlyArray<Effect.Effect<unknown, unknown, WriteSide>>,
  options: Omit<WriteSideOptions, "directory"> | ReadonlyArray<Omit<WriteSideOptions, "directory">> = {}
) =>
  it.scopedLive(name, () =>
    Effect.flatMap(temporaryDirectory, (directory) =>
      Effect.forEach(
        tests,
        (test, at) => {
          const own = Array.isArray(options) ? options[at] : options
          return Effect.provide(test, writeSide({ directory, ...own }))
        },
        { discard: true }
      )
    ).pipe(Effect.timeoutFail({ duration: "20 seconds", onTimeout: () => new Error("It took too long.") }))
  )
const onDisk = (
  name: string,
  test: Effect.Effect<unknown, unknown, WriteSide>,
  options: Omit<WriteSideOptions, "directory"> = {}
) => runs(name, [test], options)

const eventsOf = (...types: ReadonlyArray<EventType>) =>
  Effect.gen(function* () {
    const reader = yield* LogReader
    const events = yield* Stream.runCollect(reader.read(0, types.length === 0 ? {} : { types }))
    return Chunk.toReadonlyArray(events)
  })
const typesOf = Effect.map(eventsOf(), (events) =>
  events.map(({ type }) => type).filter((type) => !type.startsWith("Generation") && type !== "SourceAdded")
)

const ask = (command: Parameters<Coordinator["Type"]["ask"]>[0]) =>
  Effect.flatMap(Coordinator, (coordinator) => coordinator.ask(command))
const idle = Effect.flatMap(Coordinator, (coordinator) => coordinator.idle)
const begin = ask(addSource())
/** Submits and waits for the end. */
const settle = (command: DocumentSubmit): Effect.Effect<MutationEnd | CommandAnswer, unknown, Coordinator> =>
  Effect.gen(function* () {
    const coordinator = yield* Coordinator
    const answer = yield* coordinator.ask(command)
    if (answer.outcome !== "accepted") return answer
    return yield* coordinator.ended(command.documentId, answer.version ?? 0)
  })
const rowOf = (name: string) =>
  Effect.flatMap(ReadModels, (readModels) => readModels.document(documentNamed(name)))
const liveVersion = (name: string) => Effect.map(rowOf(name), (row) => row?.live?.version)

describe("a turn about many messages", () => {
  const messages = 161
  /** How often another fiber was run: in all, until the last write ended, and while the messages were decided about. */
  const other = { turns: 0, atLastWrite: 0, inLongestTurn: 0 }

  onDisk(
    "lets others go on again and again while it decides",
    Effect.gen(function* () {
      yield* begin
      const fiber = yield* Effect.fork(
        Effect.forever(
          Effect.zipRight(
            Effect.sync(() => {
              other.turns += 1
            }),
            Effect.yieldNow()
          )
        )
      )
      const submissions = Array.from({ length: messages }, (_, n) => submitOf(`document ${n}`, `text ${n}`))
      yield* Effect.forEach(submissions, ask, { concurrency: "unbounded" })
      yield* Fiber.interrupt(fiber)
      // Without: five times, each time that Effect itself lets others go on.
      assert.isAtLeast(other.inLongestTurn, 10)
    }),
    {
      workers: false,
      log: (log) => ({
        ...log,
        write: (batch) =>
          Effect.ensuring(
            Effect.suspend(() => {
              if ((batch.appends ?? []).length === messages)
                other.inLongestTurn = other.turns - other.atLastWrite
              return log.write(batch)
            }),
            Effect.sync(() => {
              other.atLastWrite = other.turns
            })
          )
      })
    }
  )
})

describe("the life of a mutation", () => {
  onDisk(
    "goes from submission to commit, each step an event",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      const answer = yield* coordinator.ask(submitOf("one", "# One\n\nThe first document.\n"))
      assert.deepStrictEqual([answer.outcome, answer.version], ["accepted", 1])
      const end = yield* coordinator.ended(documentNamed("one"), 1)
      assert.strictEqual(end.outcome, "committed")
      assert.deepStrictEqual(end.embeddings, { computed: 1, reused: 0 })
      assert.deepStrictEqual(yield* typesOf, [
        "DocumentSubmitted",
        "DocumentChunked",
        "VectorsRecorded",
        "DocumentCommitted"
      ])
      yield* coordinator.idle
    })
  )

  onDisk(
    "chunks and commits in one append where the project has all vectors",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("one", "# Same\n\nThe same text.\n"))
      const end = yield* settle(submitOf("two", "# Same\n\nThe same text.\n"))
      assert.deepStrictEqual("embeddings" in end && end.embeddings, { computed: 0, reused: 1 })
      const [chunked] = (yield* eventsOf("DocumentChunked")).slice(-1)
      const [committed] = (yield* eventsOf("DocumentCommitted")).slice(-1)
      assert.strictEqual(chunked?.metadata.appendEnd, committed?.position)
    })
  )

  onDisk(
    "embeds once what two documents need at the same time",
    Effect.gen(function* () {
      yield* begin
      const names = ["one", "two", "three"]
      yield* Effect.forEach(names, (name) => settle(submitOf(name, "# Same\n\nThe same text.\n")), {
        concurrency: "unbounded"
      })
      const counts = (yield* eventsOf("VectorsRecorded")).map(({ data }) => (data as { count: number }).count)
      assert.deepStrictEqual(counts, [1])
    })
  )

  onDisk(
    "leaves many documents all committed, each once",
    Effect.gen(function* () {
      yield* begin
      const names = Array.from({ length: 150 }, (_, n) => `document-${n}`)
      yield* Effect.forEach(names, (name) => ask(submitOf(name, `# ${name}\n\nText of ${name}.\n`)), {
        concurrency: 64,
        discard: true
      })
      yield* idle
      const committed = yield* eventsOf("DocumentCommitted")
      assert.strictEqual(committed.length, names.length)
      assert.strictEqual(new Set(committed.map(({ stream }) => stream)).size, names.length)
    })
  )

  onDisk(
    "supersedes a version that is still open",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      yield* coordinator.ask(submitOf("one", "first"))
      yield* coordinator.ask(submitOf("one", "second"))
      const first = yield* coordinator.ended(documentNamed("one"), 1)
      assert.strictEqual(first.outcome, "superseded")
    }),
    { workers: false }
  )

  onDisk(
    "is superseded where a newer command has moved its document away before anybody had heard of it",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      const late = submitOf("source", "first")
      yield* coordinator.ask(submitOf("destination", "first", { movedFrom: documentNamed("source") }))
      assert.strictEqual((yield* coordinator.ask(late)).outcome, "superseded")
    }),
    { workers: false }
  )

  onDisk(
    "is rolled back by a removal of its document",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      yield* coordinator.ask(submitOf("one", "first"))
      yield* coordinator.ask(removalOf("one"))
      assert.strictEqual((yield* coordinator.ended(documentNamed("one"), 1)).outcome, "removed")
      yield* coordinator.idle
    }),
    { workers: false }
  )

  onDisk(
    "retires a document whose newest content is empty",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("one", "something"))
      assert.strictEqual((yield* settle(submitOf("one", "   \n"))).outcome, "skipped")
      const row = yield* rowOf("one")
      assert.deepStrictEqual([row?.live, row?.removed], [undefined, "skipped"])
      assert.strictEqual((yield* settle(submitOf("one", "   \n"))).outcome, "skipped")
    })
  )

  onDisk(
    "moves a document in one append, embedding nothing",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("old", "# Moved\n\nText.\n"))
      const end = yield* settle(submitOf("new", "# Moved\n\nText.\n", { movedFrom: documentNamed("old") }))
      assert.deepStrictEqual("embeddings" in end && end.embeddings, { computed: 0, reused: 1 })
      const [removed] = yield* eventsOf("DocumentRemoved")
      const [, committed] = yield* eventsOf("DocumentCommitted")
      assert.strictEqual(removed?.metadata.appendEnd, committed?.position)
      assert.deepStrictEqual([yield* liveVersion("old"), yield* liveVersion("new")], [undefined, 1])
    })
  )

  onDisk(
    "commits the documents of a sync in the order of their submission",
    Effect.gen(function* () {
      yield* begin
      const started = yield* ask(syncStart())
      const names = Array.from({ length: 40 }, (_, n) => `document-${n}`)
      // The same text several times: what is ready at once stands behind what has to be embedded.
      yield* Effect.forEach(names, (name, n) => {
        const text = n % 3 === 0 ? `# ${name}\n\nAll of its own.\n` : "# Shared\n\nShared.\n"
        return ask(submitOf(name, text, { sync: started.sync ?? 0 }))
      })
      yield* idle
      const order = (yield* eventsOf("DocumentCommitted")).map(({ stream }) => stream)
      assert.deepStrictEqual(
        order,
        names.map((name) => `document-${documentNamed(name)}`)
      )
    })
  )
})

const removalOf = (name: string) =>
  new DocumentRemove({
    commandId: nextCommandId(),
    scope: defaultScope,
    documentId: documentNamed(name),
    reason: "requested",
    orderKey: nextKey()
  })
const syncStart = () =>
  new SyncStart({ commandId: nextCommandId(), scope: defaultScope, sourceId: testSource })
/** The end of the source's first sync: the removals of these documents are held. */
const syncHolding = (...held: ReadonlyArray<string>) =>
  new SyncComplete({
    commandId: nextCommandId(),
    scope: defaultScope,
    sourceId: testSource,
    sync: 1,
    complete: true,
    counts: {
      added: 0,
      updated: 0,
      moved: 0,
      unchanged: 1,
      removed: 0,
      skipped: 0,
      held: held.length,
      parked: 0,
      failed: 0
    },
    held: held.map((name) => documentNamed(name))
  })

describe("commands", () => {
  onDisk(
    "A4: sent again get their first answer and append nothing",
    Effect.gen(function* () {
      yield* begin
      const command = submitOf("one", "text")
      const first = yield* ask(command)
      yield* idle
      const events = (yield* eventsOf()).length
      assert.deepStrictEqual(yield* ask(command), first)
      const unchanged = submitOf("one", "text")
      const answer = yield* ask(unchanged)
      assert.strictEqual(answer.outcome, "unchanged")
      yield* settle(submitOf("two", "more"))
      assert.deepStrictEqual(yield* ask(unchanged), answer)
      assert.strictEqual((yield* eventsOf("DocumentSubmitted")).length, 2)
      assert.strictEqual((yield* eventsOf()).length, events + 4)
    })
  )

  onDisk(
    "I4: sent twice at the same time have one effect",
    Effect.gen(function* () {
      yield* begin
      const command = submitOf("one", "text")
      const answers = yield* Effect.all([ask(command), ask(command)], { concurrency: 2 })
      assert.deepStrictEqual(answers[0], answers[1])
      assert.strictEqual((yield* eventsOf("DocumentSubmitted")).length, 1)
    })
  )

  onDisk(
    "for one document at the same time are decided one after the other",
    Effect.gen(function* () {
      yield* begin
      const answers = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, n) => submitOf("one", `text ${n}`)),
        ask,
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        answers.map(({ outcome, version }) => `${outcome} ${version}`),
        answers.map((_, n) => `accepted ${n + 1}`)
      )
      yield* idle
      assert.strictEqual(yield* liveVersion("one"), 12)
      const actors = yield* Effect.flatMap(Supervisor, (supervisor) => supervisor.actors)
      assert.strictEqual(actors.find(({ name }) => name === "coordinator")?.restarts, 0)
    })
  )

  onDisk(
    "with an id that was used for another body are a conflict",
    Effect.gen(function* () {
      yield* begin
      const command = submitOf("one", "text")
      yield* ask(command)
      const other = submitOf("one", "other", { commandId: command.commandId })
      assert.strictEqual((yield* Effect.flip(ask(other)))._tag, "CommandConflict")
    })
  )

  onDisk(
    "for a document of another project, or of an unknown source, are refused",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("one", "text"))
      const scope = { ...defaultScope, project: ProjectName.make("other") }
      const foreign = sourceId(scope, "push", "tests")
      yield* ask(addSource(scope, foreign))
      const refused = [
        submitOf("one", "stolen", { scope, sourceId: foreign }),
        submitOf("two", "text", { sourceId: sourceId(defaultScope, "push", "unknown") }),
        submitOf("two", "text", { scope }),
        new DocumentRemove({ ...removalOf("one"), scope })
      ]
      const codes = yield* Effect.forEach(refused, (command) =>
        Effect.map(Effect.flip(ask(command)), (error) => (error._tag === "CommandRefused" ? error.code : ""))
      )
      assert.deepStrictEqual(codes, [
        "foreign-document",
        "unknown-source",
        "unknown-source",
        "foreign-document"
      ])
      assert.strictEqual(yield* liveVersion("one"), 1)
    })
  )

  onDisk(
    "with text that has no UTF-8 form are refused, and nothing else suffers",
    Effect.gen(function* () {
      yield* begin
      const descriptor = { ...describedAs("bad"), title: "\ud800" }
      const error = yield* Effect.flip(ask(submitOf("bad", "text", { descriptor })))
      assert.strictEqual(error._tag === "CommandRefused" && error.code, "malformed")
      assert.strictEqual((yield* settle(submitOf("good", "text"))).outcome, "committed")
    })
  )
})

describe("a source", () => {
  onDisk(
    "syncs once at a time; one that a crash left open is closed as failed first",
    Effect.gen(function* () {
      yield* begin
      assert.strictEqual((yield* ask(syncStart())).sync, 1)
      const error = yield* Effect.flip(ask(syncStart()))
      assert.strictEqual(error._tag === "CommandRefused" && error.code, "sync-running")
      yield* ask(
        new SyncFail({
          commandId: nextCommandId(),
          scope: defaultScope,
          sourceId: testSource,
          sync: 1,
          reason: { code: "x", message: "x" }
        })
      )
      assert.strictEqual((yield* ask(syncStart())).sync, 2)
    })
  )

  runs("closes a sync that the end of the program left open", [
    Effect.zipRight(begin, ask(syncStart())),
    Effect.gen(function* () {
      assert.strictEqual((yield* ask(syncStart())).sync, 2)
      assert.deepStrictEqual((yield* typesOf).slice(-3), ["SyncStarted", "SyncFailed", "SyncStarted"])
    })
  ])

  onDisk(
    "removes held documents only when they are approved, all at once",
    Effect.gen(function* () {
      yield* begin
      for (const name of ["one", "two", "three"]) yield* settle(submitOf(name, `text of ${name}`))
      yield* ask(syncStart())
      yield* ask(syncHolding("one", "two"))
      assert.strictEqual(yield* liveVersion("one"), 1)
      const approve = () =>
        new RemovalsApprove({ commandId: nextCommandId(), scope: defaultScope, sourceId: testSource })
      yield* ask(approve())
      assert.deepStrictEqual((yield* typesOf).slice(-3), [
        "RemovalsApproved",
        "DocumentRemoved",
        "DocumentRemoved"
      ])
      assert.deepStrictEqual(
        [yield* liveVersion("one"), yield* liveVersion("two"), yield* liveVersion("three")],
        [undefined, undefined, 1]
      )
      const again = yield* Effect.flip(ask(approve()))
      assert.strictEqual(again._tag === "CommandRefused" && again.code, "nothing-held")
    })
  )

  onDisk(
    "removes no held document that was submitted again since, committed by now or not",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* begin
      for (const name of ["one", "two", "three"]) yield* settle(submitOf(name, `text of ${name}`))
      yield* ask(syncStart())
      yield* ask(syncHolding("one", "two", "three"))
      yield* settle(submitOf("two", "newer text of two"))
      yield* coordinator.operate(new LanePause({ lane: "prepare", paused: true }))
      yield* ask(submitOf("three", "newer text of three"))
      yield* ask(
        new RemovalsApprove({ commandId: nextCommandId(), scope: defaultScope, sourceId: testSource })
      )
      yield* coordinator.operate(new LanePause({ lane: "prepare", paused: false }))
      yield* idle
      assert.deepStrictEqual(
        [yield* liveVersion("one"), yield* liveVersion("two"), yield* liveVersion("three")],
        [undefined, 2, 2]
      )
    })
  )

  onDisk(
    "is removed with every document of it, also those that are open",
    Effect.gen(function* () {
      yield* begin
      const names = Array.from({ length: 300 }, (_, n) => `document-${n}`)
      yield* Effect.forEach(names, (name) => ask(submitOf(name, `text of ${name}`)), { concurrency: 64 })
      yield* ask(new SourceRemove({ commandId: nextCommandId(), scope: defaultScope, sourceId: testSource }))
      yield* idle
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.documents({ scope: defaultScope, state: "live", limit: 10 })
      )
      assert.deepStrictEqual(rows, [])
      const types = yield* typesOf
      // What was on its way to the provider is paid for, and kept for whoever has the same text.
      const later = types
        .slice(types.indexOf("SourceRemoved") + 1)
        .filter((type) => type !== "VectorsRecorded")
      assert.deepStrictEqual(later, [])
      assert.strictEqual(types.filter((type) => type === "DocumentRemoved").length, names.length)
      const error = yield* Effect.flip(ask(submitOf("one", "text")))
      assert.strictEqual(error._tag === "CommandRefused" && error.code, "unknown-source")
    })
  )
})

/** A model that refuses or fails as told. */
const modelWith = (
  embed: (next: EmbeddingModelService["embed"]) => EmbeddingModelService["embed"],
  more: Partial<EmbeddingModelService> = {}
): EmbeddingModelService => ({ ...hashing, ...more, embed: embed(hashing.embed) })

const refusing = modelWith(
  (next) => (inputs) =>
    Effect.map(next(inputs), (embedded) => {
      const bad = inputs.filter(({ text }) => text.includes("poison"))
      return {
        ...embedded,
        vectors: embedded.vectors.map((vector, at) =>
          inputs[at]?.text.includes("poison") === true ? undefined : vector
        ),
        refused: bad.map(
          ({ id }) => new InputRefused({ provider: "test", inputs: [id], detail: "It is poison." })
        )
      }
    })
)

let failuresLeft = 0
/** The provider lives, and fails on whatever it is given so many times. */
const failing = modelWith(
  (next) => (inputs) =>
    Effect.map(next(inputs), (embedded) => {
      if (failuresLeft-- <= 0) return embedded
      const refused = inputs.map(
        ({ id }) => new InputRefused({ provider: "test", inputs: [id], detail: "HTTP 500", retryable: true })
      )
      return { ...embedded, vectors: inputs.map(() => undefined), refused }
    })
)
/** The first calls meet a provider that is not to be asked. */
const awayFor = (calls: number, error: (call: number) => ProviderUnavailable | ProviderRefused) => {
  let call = 0
  return modelWith(
    (next) => (inputs) => Effect.suspend(() => (call++ < calls ? Effect.fail(error(call)) : next(inputs)))
  )
}
const isDown = () => new ProviderUnavailable({ provider: "test", detail: "it is down" })
const refusesTheKey = () => new ProviderRefused({ provider: "test", detail: "HTTP 401", inputs: [] })
const quick = { attempts: 5, firstRetry: Duration.millis(5), longestRetry: Duration.millis(10) }

describe("failure", () => {
  onDisk(
    "E4: one bad input parks its document alone; the rest of its batch goes on",
    Effect.gen(function* () {
      yield* begin
      const names = ["a", "b", "c", "d"]
      const ends = yield* Effect.forEach(
        names,
        (name) => settle(submitOf(name, `# ${name}\n\n${name === "c" ? "poison" : "food"} of ${name}\n`)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        ends.map(({ outcome }) => outcome),
        ["committed", "committed", "parked", "committed"]
      )
      const types = yield* typesOf
      assert.strictEqual(types.filter((type) => type === "DocumentRejected").length, 1)
      const [rejected] = yield* eventsOf("DocumentRejected")
      const [parked] = yield* eventsOf("JobParked")
      assert.strictEqual(rejected?.metadata.appendEnd, parked?.position)
      const row = yield* rowOf("c")
      assert.strictEqual(row?.parked?.reason.code, "input-refused")
      const again = yield* ask(submitOf("c", "# c\n\npoison of c\n"))
      assert.strictEqual(again.outcome, "parked")
    }),
    { model: refusing }
  )

  onDisk(
    "keeps the previous version live when the next one is parked",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("one", "food"))
      assert.strictEqual((yield* settle(submitOf("one", "poison"))).outcome, "parked")
      assert.strictEqual(yield* liveVersion("one"), 1)
    }),
    { model: refusing }
  )

  onDisk(
    "20: of a move leaves its source to the next submission, which takes it along",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("old", "food"))
      const moved = yield* settle(submitOf("new", "poison", { movedFrom: documentNamed("old") }))
      assert.deepStrictEqual([moved.outcome, yield* liveVersion("old")], ["parked", 1])
      assert.strictEqual((yield* settle(submitOf("new", "more food"))).outcome, "committed")
      const [removed] = yield* eventsOf("DocumentRemoved")
      const committed = (yield* eventsOf("DocumentCommitted")).at(-1)
      assert.strictEqual(removed?.metadata.appendEnd, committed?.position)
      assert.strictEqual((yield* rowOf("old"))?.removed, "moved")
    }),
    { model: refusing }
  )

  onDisk(
    "of a move leaves its source alone where something newer was said of that, even in the same turn",
    Effect.gen(function* () {
      yield* begin
      yield* settle(submitOf("old", "food"))
      yield* settle(submitOf("new", "poison", { movedFrom: documentNamed("old") }))
      yield* Effect.all([settle(submitOf("old", "other food")), settle(submitOf("new", "more food"))], {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual([yield* liveVersion("old"), yield* liveVersion("new")], [2, 2])
      assert.isEmpty(yield* eventsOf("DocumentRemoved"))
    }),
    { model: refusing }
  )

  for (const isHeardFirst of [true, false])
    onDisk(
      `of a move that a newer submission takes over leaves alone what was said of its source before that, heard ${isHeardFirst ? "before" : "after"} it`,
      Effect.gen(function* () {
        yield* begin
        yield* settle(submitOf("old", "food"))
        yield* settle(submitOf("new", "poison", { movedFrom: documentNamed("old") }))
        const said = submitOf("old", "other food")
        const takeover = submitOf("new", "poison of another kind")
        const both = isHeardFirst ? [said, takeover] : [takeover, said]
        const ends = yield* Effect.forEach(both, settle)
        assert.sameMembers(
          ends.map(({ outcome }) => outcome),
          ["committed", "parked"]
        )
        assert.strictEqual((yield* settle(submitOf("new", "more food"))).outcome, "committed")
        assert.deepStrictEqual([yield* liveVersion("old"), yield* liveVersion("new")], [2, 3])
        assert.isEmpty(yield* eventsOf("DocumentRemoved"))
      }),
      { model: refusing }
    )

  onDisk(
    "that may pass is tried again",
    Effect.gen(function* () {
      failuresLeft = 3
      yield* begin
      assert.strictEqual((yield* settle(submitOf("one", "text"))).outcome, "committed")
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ lane: "embed", limit: 10 })
      )
      const outcomes = rows[0]?.attempts.map(({ outcome }) => outcome)
      assert.deepStrictEqual(outcomes, ["failed", "failed", "failed", "completed"])
      assert.strictEqual(rows[0]?.state, "completed")
    }),
    { model: failing, settings: quick }
  )

  onDisk(
    "I15: that does not pass parks after its attempts, with the reason, and a retry opens it again",
    Effect.gen(function* () {
      failuresLeft = 3
      yield* begin
      assert.strictEqual((yield* settle(submitOf("one", "text"))).outcome, "parked")
      const row = yield* rowOf("one")
      assert.strictEqual(row?.parked?.reason.code, "input-refused")
      const jobId = row?.parked?.jobId
      if (jobId === undefined) return assert.fail("It has a parked job.")
      yield* ask(new JobRetry({ commandId: nextCommandId(), scope: defaultScope, jobId }))
      const coordinator = yield* Coordinator
      assert.strictEqual((yield* coordinator.ended(documentNamed("one"), 1)).outcome, "committed")
      const attempts = (yield* Effect.flatMap(ReadModels, (readModels) => readModels.job(jobId)))?.attempts
      assert.deepStrictEqual(
        attempts?.map(({ attempt, outcome }) => `${attempt} ${outcome}`),
        ["1 failed", "2 failed", "3 failed", "4 completed"]
      )
    }),
    { model: failing, settings: { ...quick, attempts: 3 } }
  )

  for (const [what, error] of [
    ["is away", isDown],
    ["refuses its key", refusesTheKey]
  ] as const)
    onDisk(
      `of a provider that ${what} counts against no document, however often it is asked`,
      Effect.gen(function* () {
        yield* begin
        const ends = yield* Effect.forEach(["a", "b", "c"], (name) => settle(submitOf(name, `of ${name}`)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          ends.map(({ outcome }) => outcome),
          ["committed", "committed", "committed"]
        )
        const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
          readModels.jobs({ lane: "embed", limit: 10 })
        )
        const attempts = rows.flatMap((row) => row.attempts)
        assert.isAbove(attempts.filter(({ outcome }) => outcome === "paced").length, quick.attempts)
        assert.isEmpty(attempts.filter(({ outcome }) => outcome === "failed"))
        assert.include(attempts.find(({ outcome }) => outcome === "paced")?.error, "test")
      }),
      { model: awayFor(9, error), settings: quick }
    )

  for (const lane of ["prepare", "embed"] as const) {
    let faults = 9
    onDisk(
      `of the disk under what ${lane} reads counts against no document, however often it is read`,
      Effect.gen(function* () {
        yield* begin
        const ends = yield* Effect.forEach(["a", "b", "c"], (name) => settle(submitOf(name, `of ${name}`)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          ends.map(({ outcome }) => outcome),
          ["committed", "committed", "committed"]
        )
        const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
          readModels.jobs({ lane, limit: 10 })
        )
        const attempts = rows.flatMap((row) => row.attempts)
        assert.strictEqual(attempts.filter(({ outcome }) => outcome === "paced").length, 9)
        assert.isEmpty(attempts.filter(({ outcome }) => outcome === "failed"))
        assert.include(attempts.find(({ outcome }) => outcome === "paced")?.error, "disk I/O error")
      }),
      {
        settings: quick,
        content: (content, of) => ({
          ...content,
          blob: (scope, digest) =>
            Effect.suspend(() =>
              of === lane && faults-- > 0
                ? Effect.fail(new LogFailed({ operation: "read content", cause: "disk I/O error" }))
                : content.blob(scope, digest)
            )
        })
      }
    )
  }

  {
    const asked: Array<number> = []
    const counted = modelWith(
      (next) => (inputs) => {
        asked.push(inputs.length)
        return next(inputs)
      },
      { probed: true, batchSize: 1 }
    )
    const impostor = modelWith(
      (next) => (inputs) =>
        Effect.map(next(inputs), (embedded) => ({
          ...embedded,
          vectors: embedded.vectors.map((vector) => vector?.toReversed())
        })),
      { probed: true }
    )
    runs(
      "E5: of a provider to answer as the same model is noticed before a process's first batch",
      [
        Effect.gen(function* () {
          yield* begin
          yield* settle(submitOf("one", "text"))
          yield* settle(submitOf("two", "other text"))
          assert.deepStrictEqual(asked.splice(0), [1, 1, 1], "a probe, and two inputs")
        }),
        Effect.gen(function* () {
          yield* settle(submitOf("three", "more text"))
          assert.deepStrictEqual(asked, [1, 1], "the probe again, and one input")
        }),
        Effect.gen(function* () {
          const { ask: send, progress } = yield* Coordinator
          yield* send(submitOf("four", "text of an impostor"))
          const noticed = yield* Stream.runHead(
            Stream.filterMap(progress, ({ outage }) => Option.fromNullable(outage))
          )
          assert.include(Option.getOrThrow(noticed).message, "another model answers to this name")
          const recorded = yield* eventsOf("VectorsRecorded")
          assert.strictEqual(recorded.length, 3)
        })
      ],
      [{ model: counted }, { model: counted }, { model: impostor }]
    )
  }

  {
    let calls = 0
    const failsAfterItsProbe = modelWith(
      (next) => (inputs) => Effect.suspend(() => (++calls === 2 ? Effect.fail(isDown()) : next(inputs))),
      { probed: true }
    )
    const impostor = modelWith(
      (next) => (inputs) =>
        Effect.map(next(inputs), (embedded) => ({
          ...embedded,
          vectors: embedded.vectors.map((vector) => vector?.toReversed())
        })),
      { probed: true }
    )
    runs(
      "E5: of a provider to answer as the same model is noticed although the batch after its first probe failed",
      [
        Effect.gen(function* () {
          yield* begin
          assert.strictEqual((yield* settle(submitOf("one", "text"))).outcome, "committed")
        }),
        Effect.gen(function* () {
          const { ask: send, progress } = yield* Coordinator
          yield* send(submitOf("two", "text of an impostor"))
          const noticed = yield* Stream.runHead(
            Stream.filterMap(progress, ({ outage }) => Option.fromNullable(outage))
          )
          assert.include(Option.getOrThrow(noticed).message, "another model answers to this name")
        })
      ],
      [{ model: failsAfterItsProbe, settings: quick }, { model: impostor }]
    )
  }

  {
    const other = modelWith((next) => next, { probed: true })
    const impostor = modelWith(
      (next) => (inputs) =>
        Effect.map(next(inputs), (embedded) => ({
          ...embedded,
          vectors: embedded.vectors.map((vector) => vector?.toReversed())
        })),
      { probed: true, batchSize: 1, concurrency: 1 }
    )
    let looks = 0
    runs(
      "E5: of a provider to answer as the same model is noticed where two workers began at the same time",
      [
        Effect.gen(function* () {
          yield* begin
          assert.strictEqual((yield* settle(submitOf("one", "text"))).outcome, "committed")
        }),
        Effect.gen(function* () {
          const { ask: send, progress } = yield* Coordinator
          yield* send(submitOf("two", "text of an impostor"))
          yield* send(submitOf("three", "more text of an impostor"))
          const noticed = yield* Stream.runHead(
            Stream.filterMap(progress, ({ outage }) => Option.fromNullable(outage))
          )
          assert.include(Option.getOrThrow(noticed).message, "another model answers to this name")
        })
      ],
      [
        { model: other },
        {
          model: impostor,
          // As if the other one's were not recorded yet.
          content: (content, lane) => ({
            ...content,
            vectors: (...asked) =>
              lane === "embed" && looks++ === 0 ? Effect.succeed([]) : content.vectors(...asked)
          })
        }
      ]
    )
  }

  onDisk(
    "of a worker is kept with no more of its words than anybody reads, and whole characters of them",
    Effect.gen(function* () {
      const { claim, receive, report } = yield* Bus
      yield* begin
      const command = submitOf("one", "text")
      yield* ask(command)
      const [delivery] = yield* receive("prepare", 1)
      if (delivery === undefined) return assert.fail("no order")
      const { attempt, jobId } = delivery.value
      const worker = "talkative"
      yield* claim([{ lane: "prepare", jobId, attempt, worker, code: chunker.fingerprint }])
      const message = `${"x".repeat(1999)}${"😀".repeat(1000)}`
      yield* report([{ _tag: "Failed", jobId, attempt, worker, code: "odd", message, retryable: false }])
      const coordinator = yield* Coordinator
      const end = yield* coordinator.ended(command.documentId, 1)
      assert.strictEqual(end.reason?.message, `${"x".repeat(1999)}\uFFFD`)
    }),
    { workers: false }
  )

  onDisk(
    "of a provider is told while it lasts, and is over with the first vector",
    Effect.gen(function* () {
      const { progress } = yield* Coordinator
      const outages = yield* Effect.fork(
        Stream.runCollect(
          progress.pipe(
            Stream.map(({ outage }) => outage),
            Stream.changes,
            Stream.take(3)
          )
        )
      )
      yield* begin
      yield* settle(submitOf("one", "text"))
      const [before, during, after] = Chunk.toReadonlyArray(yield* Fiber.join(outages))
      assert.deepStrictEqual(
        [before, during?.provider, during?.refused, after],
        [undefined, "test", true, undefined]
      )
    }),
    { model: awayFor(1, refusesTheKey), settings: quick }
  )

  onDisk(
    "A provider that asks for patience is waited for, and that is no attempt",
    Effect.gen(function* () {
      yield* begin
      assert.strictEqual((yield* settle(submitOf("one", "text"))).outcome, "committed")
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ lane: "embed", limit: 10 })
      )
      assert.strictEqual(rows[0]?.attempts.length, 1)
    }),
    {
      model: (() => {
        let busy = 3
        return modelWith(
          (next) => (inputs) =>
            Effect.suspend(() =>
              busy-- > 0 ? Effect.fail(new ProviderBusy({ provider: "test", retryAfterMs: 5 })) : next(inputs)
            )
        )
      })()
    }
  )

  onDisk(
    "A5: a cancelled job is over, whatever still comes for it",
    Effect.gen(function* () {
      yield* begin
      const coordinator = yield* Coordinator
      const command = submitOf("one", "text")
      yield* coordinator.ask(command)
      const jobId = prepareJobId(1, command.documentId, 1, sha256(command.raw))
      yield* coordinator.ask(new JobCancel({ commandId: nextCommandId(), scope: defaultScope, jobId }))
      assert.strictEqual((yield* coordinator.ended(command.documentId, 1)).outcome, "cancelled")
      yield* coordinator.idle
      assert.deepStrictEqual(yield* typesOf, ["DocumentSubmitted", "DocumentRejected", "JobCancelled"])
    }),
    { workers: false }
  )

  onDisk(
    "of a thread is retried, and parks the document that kills it every time",
    Effect.gen(function* () {
      yield* begin
      const ends = yield* Effect.forEach(
        ["good", "killer"],
        (name) => settle(submitOf(name, `text of ${name}`)),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        ends.map(({ outcome }) => outcome),
        ["committed", "parked"]
      )
      assert.strictEqual((yield* rowOf("killer"))?.parked?.reason.code, "worker-died")
    }),
    { settings: { ...quick, attempts: 2 }, preparer: Layer.suspend(() => killedBy("killer")) }
  )

  onDisk(
    "of a thread is the fault of the document that killed it, not of those that were prepared beside it",
    Effect.gen(function* () {
      yield* begin
      const names = Array.from({ length: 24 }, (_, n) => (n % 8 === 3 ? `killer-${n}` : `good-${n}`))
      const ends = yield* Effect.forEach(names, (name) => settle(submitOf(name, `text of ${name}`)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(
        ends.map(({ outcome }) => outcome),
        names.map((name) => (name.startsWith("killer") ? "parked" : "committed"))
      )
    }),
    { settings: { ...quick, attempts: 1 }, preparer: Layer.suspend(() => killedBy("killer")) }
  )
})

/** Documents called stubborn cannot be parsed under the chunker for now. */
const unbuildableUnder = (chunkerOf: string, holds: () => boolean) =>
  preparerWith((real, document) =>
    holds() &&
    makeChunker(document.chunker).fingerprint === chunkerOf &&
    new TextDecoder().decode(document.raw).includes("stubborn")
      ? Effect.succeed({ _tag: "Unparseable", code: "parser-failed", message: "It cannot be parsed." })
      : real.prepare(document)
  )

const killedBy = (word: string) =>
  preparerWith((real, document) =>
    new TextDecoder().decode(document.raw).includes(word)
      ? new PreparerFailed({ code: "worker-died", detail: "It exited with 134." })
      : real.prepare(document)
  )

describe("after the program has ended", () => {
  const names = Array.from({ length: 30 }, (_, n) => `document-${n}`)
  const submitAll = Effect.zipRight(
    begin,
    Effect.forEach(names, (name) => ask(submitOf(name, `# ${name}\n\nText of ${name}.\n`)), { discard: true })
  )

  runs(
    "every mutation goes on from its last durable step",
    [
      submitAll,
      Effect.gen(function* () {
        yield* idle
        assert.strictEqual((yield* eventsOf("DocumentSubmitted")).length, names.length)
        assert.strictEqual((yield* eventsOf("DocumentCommitted")).length, names.length)
      })
    ],
    [{ workers: false }, { settings: { open: 8 } }]
  )

  runs(
    "what was chunked is not prepared again",
    [
      Effect.gen(function* () {
        failuresLeft = Number.POSITIVE_INFINITY
        yield* begin
        yield* ask(submitOf("one", "text"))
        while (!(yield* typesOf).includes("DocumentChunked")) yield* Effect.sleep("5 millis")
      }),
      Effect.gen(function* () {
        failuresLeft = 0
        yield* idle
        assert.strictEqual((yield* eventsOf("DocumentChunked")).length, 1)
        assert.strictEqual(yield* liveVersion("one"), 1)
      })
    ],
    { model: failing, settings: { firstRetry: Duration.minutes(1), longestRetry: Duration.minutes(1) } }
  )

  runs("a second start appends nothing", [
    Effect.zipRight(submitAll, idle),
    Effect.gen(function* () {
      const before = (yield* eventsOf()).length
      yield* idle
      assert.strictEqual((yield* eventsOf()).length, before)
      const coordinator = yield* Coordinator
      assert.strictEqual((yield* coordinator.ended(documentNamed("document-1"), 1)).outcome, "committed")
    })
  ])
})

describe("a lane", () => {
  onDisk(
    "that is paused hands out nothing until it goes on, also after a restart",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* begin
      yield* coordinator.operate(new LanePause({ lane: "prepare", paused: true }))
      yield* ask(submitOf("one", "text"))
      yield* Effect.sleep("50 millis")
      assert.isUndefined(yield* liveVersion("one"))
      yield* coordinator.operate(new LanePause({ lane: "prepare", paused: false }))
      assert.strictEqual((yield* coordinator.ended(documentNamed("one"), 1)).outcome, "committed")
    })
  )
})

describe("generations", () => {
  const other = specOf(hashing, makeChunker(otherChunkerSettings))
  const long = Array.from({ length: 120 }, (_, n) => `Sentence number ${n} of this text.`).join(" ")

  runs(
    "a configuration that differs from the live one takes no content, and says what to do",
    [
      Effect.zipRight(begin, settle(submitOf("one", "text"))),
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask(submitOf("two", "text")))
        assert.strictEqual(error._tag === "CommandRefused" && error.code, "spec-differs")
        assert.match(error.message, /structure-[0-9a-f]{12}.*structure-[0-9a-f]{12}.*reprise build/)
        yield* ask(removalOf("one"))
      })
    ],
    [{}, { settings: { spec: other } }]
  )

  onDisk(
    "under another pair are built while commits go on, and take over when nothing is missing",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      const readModels = yield* ReadModels
      yield* begin
      for (const name of ["one", "two", "three"]) yield* settle(submitOf(name, `# ${name}\n\n${long}\n`))
      // The newest version of one document is parked; its live one is built all the same.
      const opened = yield* coordinator.operate(new GenerationOpen({ spec: other, reason: "build" }))
      assert.strictEqual(opened.generation, "g002")
      yield* settle(submitOf("four", `# four\n\n${long}\n`))
      yield* coordinator.idle
      assert.deepStrictEqual(yield* coordinator.unfinishedBuilds, { open: 0, parked: 0 })
      assert.deepStrictEqual(yield* readModels.unbuilt(other, undefined, 10), [])
      const built = (yield* eventsOf("DocumentBuilt")).map(({ data }) => data as { chunker: string })
      assert.deepStrictEqual(
        built.map(({ chunker }) => chunker),
        Array.from({ length: 4 }, () => other.chunker)
      )
      const promotion = (position: number) =>
        new GenerationPromote({
          generation: GenerationId.make("g002"),
          position,
          fingerprint: sha256("fingerprint"),
          documents: 4,
          chunks: 4,
          excluded: []
        })
      const head = (yield* eventsOf()).length
      assert.strictEqual((yield* Effect.flip(coordinator.operate(promotion(head - 1))))._tag, "HeadMoved")
      yield* coordinator.operate(promotion(head))
      assert.strictEqual((yield* readModels.live)?.generation, "g002")
      const types = (yield* eventsOf()).map(({ type }) => type)
      assert.deepStrictEqual(types.slice(-3), [
        "GenerationVerified",
        "GenerationPromoted",
        "GenerationRetired"
      ])
    })
  )

  onDisk(
    "do not take over while something is unbuilt",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* begin
      yield* settle(submitOf("one", `# one\n\n${long}\n`))
      yield* coordinator.operate(new LanePause({ lane: "prepare", paused: true }))
      const { position } = yield* coordinator.operate(new GenerationOpen({ spec: other, reason: "build" }))
      const error = yield* Effect.flip(
        coordinator.operate(
          new GenerationPromote({
            generation: GenerationId.make("g002"),
            position,
            fingerprint: sha256("fingerprint"),
            documents: 1,
            chunks: 1,
            excluded: []
          })
        )
      )
      assert.strictEqual(error._tag === "CommandRefused" && error.code, "unbuilt")
      assert.isAbove((yield* coordinator.unfinishedBuilds).open, 0)
    })
  )

  let unbuildable = true
  onDisk(
    "are not built for what is parked: it is retried, or left behind by name",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      unbuildable = true
      yield* begin
      for (const name of ["good", "stubborn"]) yield* settle(submitOf(name, `# ${name}\n\n${long}\n`))
      yield* coordinator.operate(new GenerationOpen({ spec: other, reason: "build" }))
      yield* coordinator.idle
      assert.deepStrictEqual(yield* coordinator.unfinishedBuilds, { open: 0, parked: 1 })
      // A parked build is its generation's affair: the document itself is well.
      const row = yield* rowOf("stubborn")
      assert.deepStrictEqual([row?.live?.version, row?.parked], [1, undefined])
      const { rows } = yield* Effect.flatMap(ReadModels, (readModels) =>
        readModels.jobs({ state: "parked", limit: 10 })
      )
      const promotion = (excluded: GenerationPromote["excluded"]) =>
        Effect.flatMap(eventsOf(), (events) =>
          coordinator.operate(
            new GenerationPromote({
              generation: GenerationId.make("g002"),
              position: events.length,
              fingerprint: sha256("fingerprint"),
              documents: 2,
              chunks: 2,
              excluded
            })
          )
        )
      const refused = yield* Effect.flip(promotion([]))
      assert.strictEqual(refused._tag === "CommandRefused" && refused.code, "unbuilt")
      unbuildable = false
      const [parked] = rows
      if (parked === undefined) return assert.fail("Its build is parked.")
      yield* ask(new JobRetry({ commandId: nextCommandId(), scope: defaultScope, jobId: parked.jobId }))
      yield* coordinator.idle
      assert.deepStrictEqual(yield* coordinator.unfinishedBuilds, { open: 0, parked: 0 })
      assert.strictEqual((yield* eventsOf("DocumentBuilt")).length, 2)
      yield* promotion([])
    }),
    { preparer: Layer.suspend(() => unbuildableUnder(other.chunker, () => unbuildable)) }
  )

  runs(
    "a parked build is retried under the configuration that it is made for; a parked document is not",
    [
      Effect.gen(function* () {
        unbuildable = true
        yield* begin
        yield* settle(submitOf("stubborn", `# stubborn\n\n${long}\n`))
        failuresLeft = Number.POSITIVE_INFINITY
        yield* settle(submitOf("parked", "text"))
        failuresLeft = 0
      }),
      Effect.gen(function* () {
        const coordinator = yield* Coordinator
        const { jobs } = yield* ReadModels
        yield* coordinator.operate(new GenerationOpen({ spec: other, reason: "build" }))
        while ((yield* coordinator.unfinishedBuilds).parked === 0) yield* Effect.sleep("5 millis")
        unbuildable = false
        const { rows } = yield* jobs({ state: "parked", limit: 10 })
        const retry = (name: string) => {
          const [job] = rows.filter(({ documentId }) => documentId === documentNamed(name))
          if (job === undefined) return Effect.dieMessage(`${name} is not parked.`)
          return ask(new JobRetry({ commandId: nextCommandId(), scope: defaultScope, jobId: job.jobId }))
        }
        const error = yield* Effect.flip(retry("parked"))
        assert.strictEqual(error._tag === "CommandRefused" && error.code, "spec-differs")
        yield* retry("stubborn")
        while ((yield* eventsOf("DocumentBuilt")).length === 0) yield* Effect.sleep("5 millis")
      })
    ],
    [
      { model: failing, settings: { attempts: 1 } },
      {
        settings: { spec: other },
        preparer: Layer.suspend(() => unbuildableUnder(other.chunker, () => unbuildable))
      }
    ]
  )

  onDisk(
    "hold appends for the last stretch, but not what is operated within",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* begin
      const submitted = yield* coordinator.whileHeld(
        Effect.gen(function* () {
          const waiting = yield* Effect.fork(ask(submitOf("one", "text")))
          yield* Effect.sleep("30 millis")
          const before = (yield* eventsOf()).length
          yield* coordinator.operate(new GenerationOpen({ spec: other, reason: "build" }))
          assert.strictEqual((yield* eventsOf()).length, before + 1)
          return waiting
        })
      )
      assert.strictEqual((yield* Fiber.join(submitted)).outcome, "accepted")
    })
  )
})
