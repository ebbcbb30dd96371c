/** What a collection keeps, a step at a time between the writes of others. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  buildJobId,
  CodeFingerprint,
  DocumentRemoved,
  defaultScope,
  GenerationId,
  GenerationOpened,
  generationsStream,
  operatorScope,
  RemovalsHeld,
  SourceAdded,
  sha256,
  sourceId,
  sourceStream
} from "../../events/index.ts"
import type { CollectedContent, CollectionRules } from "../../src/log/ContentCollection.ts"
import type { WriterCore } from "../../src/log/WriterCore.ts"
import {
  appendOf,
  blobOf,
  chunked,
  chunker,
  documentNamed,
  model,
  openTestWriter,
  requestOf,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const rules: CollectionRules = {
  now: 1_000_000,
  keepForMs: 0,
  keepVersions: 0,
  horizon: Number.POSITIVE_INFINITY,
  keptInputs: [],
  erased: new Set(),
  ended: new Set(),
  erasedSources: new Set(),
  dryRun: false
}

const opened = Effect.acquireRelease(
  Effect.map(temporaryDirectory, (directory) => openTestWriter(directory)),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ core }) => core))

/** `between` runs before each step but the first. */
const collected = (
  core: WriterCore,
  more: Partial<CollectionRules> = {},
  between: (step: number) => void = () => {}
): CollectedContent => {
  let answer = core.collect({ _tag: "Begin", rules: { ...rules, ...more } })
  for (let step = 0; answer?._tag === "More"; step++) {
    between(step)
    answer = core.collect({ _tag: "Step" })
  }
  core.collect({ _tag: "End" })
  if (answer?._tag !== "Done") throw new Error("A collection ends with what it collected.")
  return answer.collected
}

const has = (core: WriterCore, text: string): boolean =>
  core.withDatabases(
    (_, content) =>
      content.prepare("SELECT 1 FROM blobs WHERE digest = ?").get(Buffer.from(sha256(text), "hex")) !==
      undefined
  )

const write = (core: WriterCore, request: ReturnType<typeof requestOf>) => {
  const [outcome] = core.writeGroup([request]).outcomes
  assert.strictEqual(outcome?._tag, "Written")
  return outcome
}

const orphan = (text: string) => requestOf([], { blobs: [blobOf(text)] })
/** The submission of a document, whose bodies are there already. */
const submission = (name: string) =>
  requestOf([
    appendOf(name, name, [submitted(name)], {
      requires: { blobs: [sha256(`${name} 1`), sha256(`descriptor of ${name} 1`)] }
    })
  ])

const removal = (name: string) =>
  appendOf(`remove-${name}`, name, [
    new DocumentRemoved({
      documentId: documentNamed(name),
      reason: "requested",
      commandId: `remove-${name}`,
      orderKey: ""
    })
  ])

/** Under which everything that `wholeDocument` makes is needed. */
const generation = requestOf([
  {
    ...operatorScope,
    cause: "open",
    actor: "test",
    correlationId: "open",
    events: [
      {
        stream: generationsStream,
        event: new GenerationOpened({
          generation: GenerationId.make("g001"),
          spec: {
            engine: "embedded",
            chunker,
            model,
            modelName: "test",
            dimensions: 2,
            analyzer: CodeFingerprint.make("analyzer-0123456789ab"),
            payload: 1
          },
          reason: "initial"
        })
      }
    ]
  }
])

describe("a collection of content", () => {
  it.scoped("deletes what no event names, and keeps what an open mutation was submitted with", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, orphan("nobody's"))
      for (const text of ["open 1", "descriptor of open 1"]) write(core, orphan(text))
      write(core, submission("open"))
      assert.strictEqual(collected(core).blobs, 1)
      assert.deepStrictEqual(
        ["nobody's", "open 1", "descriptor of open 1"].map((text) => has(core, text)),
        [false, true, true]
      )
    })
  )

  it.scoped(
    "leaves nobody under the impression that what it deleted is there, whoever knew of it before or asks meanwhile",
    () =>
      Effect.gen(function* () {
        const core = yield* opened
        const isRefused = (name: string) => {
          const [outcome] = core.writeGroup([submission(name)]).outcomes
          return outcome?._tag === "Written" && outcome.answers[0]?._tag === "Refused"
        }
        for (const name of ["a", "b"])
          for (const text of [`${name} 1`, `descriptor of ${name} 1`]) write(core, orphan(text))
        collected(core, {}, (step) => {
          if (step === 0) assert.isFalse(isRefused("b"))
        })
        assert.deepStrictEqual([has(core, "a 1"), has(core, "b 1")], [false, true])
        assert.isTrue(isRefused("a"))
        write(core, orphan("a 1"))
        assert.isTrue(has(core, "a 1"))
      })
  )

  it.scoped("keeps a source's settings, and the list of its removals that wait for approval", () =>
    Effect.gen(function* () {
      const core = yield* opened
      const id = sourceId(defaultScope, "push", "tests")
      for (const text of ["settings", "held"]) write(core, orphan(text))
      const events = [
        SourceAdded.make({ sourceId: id, kind: "push", settings: sha256("settings") }),
        RemovalsHeld.make({ sourceId: id, sync: 1, count: 1, documents: sha256("held") })
      ]
      const added = { ...defaultScope, cause: "add", actor: "test", correlationId: "add" }
      write(
        core,
        requestOf([{ ...added, events: events.map((event) => ({ stream: sourceStream(id), event })) }])
      )
      assert.strictEqual(collected(core).blobs, 0)
    })
  )

  it.scoped("keeps everything of a live version, and of the newer one that is being prepared", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, generation)
      write(core, wholeDocument("a", 0))
      const newer = [
        "a 2",
        "descriptor of a 2",
        "resolved descriptor of a 2",
        "text of a 2",
        "manifest of a 2"
      ]
      write(
        core,
        requestOf([appendOf("newer", "a", [submitted("a", 2), chunked("a", 2)])], {
          blobs: newer.map(blobOf)
        })
      )
      collected(core)
      for (const text of [...newer, "a 1", "descriptor of a 1"]) assert.isTrue(has(core, text), text)
      const left = core.withDatabases((_, content) =>
        content
          .prepare<[], { blobs: number; vectors: number }>(
            "SELECT (SELECT count(*) FROM blobs) AS blobs, (SELECT count(*) FROM vectors) AS vectors"
          )
          .get()
      )
      assert.deepStrictEqual(left, { blobs: newer.length + 2 + 3, vectors: 2 })
    })
  )

  it.scoped("keeps what is stored, stored again or required while it runs", () =>
    Effect.gen(function* () {
      const core = yield* opened
      const texts = ["late 1", "descriptor of late 1", "again", "nobody's"]
      for (const text of texts) write(core, orphan(text))
      const { blobs } = collected(core, {}, (step) => {
        // Every document was looked at by then.
        if (step !== 1) return
        write(core, orphan("new"))
        write(core, orphan("again"))
        const outcome = write(core, submission("late"))
        assert.strictEqual(outcome?._tag === "Written" ? outcome.answers[0]?._tag : undefined, "Appended")
      })
      assert.strictEqual(blobs, 1)
      assert.deepStrictEqual(
        [...texts, "new"].map((text) => has(core, text)),
        [true, true, true, false, true]
      )
    })
  )

  it.scoped("an append that names what was collected is refused, so that it is made again", () =>
    Effect.gen(function* () {
      const core = yield* opened
      for (const text of ["late 1", "descriptor of late 1"]) write(core, orphan(text))
      assert.strictEqual(collected(core).blobs, 2)
      const outcome = write(core, submission("late"))
      const answer = outcome?._tag === "Written" ? outcome.answers[0] : undefined
      assert.strictEqual(answer?._tag === "Refused" ? answer.refusal._tag : undefined, "ContentMissing")
    })
  )

  it.scoped("keeps a version that ended above the horizon, or within its time", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, generation)
      write(core, { ...wholeDocument("a", 0), recordedAt: 900_000 })
      write(core, requestOf([removal("a")], { recordedAt: 900_000 }))
      const { position } = core.head
      const would = (more: Partial<CollectionRules>) => collected(core, { ...more, dryRun: true }).blobs
      const all = would({})
      assert.isAbove(all, 0)
      assert.isBelow(would({ horizon: position - 1 }), all)
      assert.isBelow(would({ keepForMs: 100_001 }), all)
      assert.strictEqual(would({ horizon: position, keepForMs: 100_000 }), all)
    })
  )

  it.scoped("keeps vectors of kept inputs for the models of generations", () =>
    Effect.gen(function* () {
      const core = yield* opened
      const inputHash = sha256("probe")
      write(core, generation)
      write(core, wholeDocument("a", 0))
      const vector = { ...defaultScope, model, inputHash, vector: Float32Array.of(1, 0) }
      write(core, requestOf([], { vectors: [vector] }))
      assert.strictEqual(collected(core, { keptInputs: [inputHash] }).vectors, 0)
      assert.strictEqual(collected(core).vectors, 1)
    })
  )

  it.scoped("keeps nothing that ended of the documents that it is told, whatever is kept of others", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, generation)
      for (const [at, name] of ["gone", "kept", "live"].entries()) write(core, wholeDocument(name, at))
      write(core, requestOf([removal("gone"), removal("kept")]))
      const ended = new Set([documentNamed("gone"), documentNamed("live")])
      assert.strictEqual(collected(core, { horizon: 0, ended }).shared, 0)
      const text = (name: string) => `${name}: ${"some words that deflate well ".repeat(400)}`
      assert.deepStrictEqual(
        ["gone", "kept", "live"].map((name) => has(core, text(name))),
        [false, true, true]
      )
    })
  )

  it.scoped("is followed by a purge, which forgets attempts at builds, and an import that was cut off", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, generation)
      for (const [at, name] of ["erased", "kept"].entries()) {
        write(core, wholeDocument(name, at))
        const jobId = buildJobId(1, "embed", documentNamed(name), 1, { chunker, model })
        const attempt = { jobId, attempt: 1, lane: "embed", worker: "w", startedAt: 1, solo: false } as const
        write(core, requestOf([], { operational: [{ kind: "attemptStarted", ...attempt }] }))
      }
      const folder = join(
        core.withDatabases(({ name }) => dirname(name)),
        "import.part"
      )
      mkdirSync(folder)
      writeFileSync(join(folder, "content.sqlite"), "of an import that was cut off")
      assert.deepInclude(core.collect({ _tag: "Purge", documents: [documentNamed("erased")] }), {
        purged: { remembered: 1, copies: 1 }
      })
      assert.isFalse(existsSync(folder))
    })
  )

  it.scoped("is begun anew after one that was not ended", () =>
    Effect.gen(function* () {
      const core = yield* opened
      write(core, orphan("nobody's"))
      core.collect({ _tag: "Begin", rules })
      assert.strictEqual(collected(core).blobs, 1)
    })
  )
})
