/** Syncs with the real Coordinator and log behind them: what the log says afterwards. */
import { renameSync, unlinkSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Chunk, Deferred, Effect, Layer, Stream } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Roots, layer as rootsLayer } from "../../actors/Ingestor/Roots.ts"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import { DocumentRemove } from "../../events/Commands.ts"
import { CommandId, defaultScope, documentId, sourceId } from "../../events/Ids.ts"
import type { Receipt } from "../../events/Receipt.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import { LogReader } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import { type Tree, temporaryRoot, write } from "../sources/Trees.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { type WriteSide, writeSide } from "../support/writeSide.ts"

type Everything = WriteSide | Roots | Sync

const everything = (directory: string, failpoints = "") =>
  rootsLayer.pipe(
    Layer.provideMerge(syncLayer({ window: 8 })),
    Layer.provide(filesReader()),
    Layer.provide(nodeFileTree),
    Layer.provideMerge(writeSide({ directory })),
    Layer.provide(Layer.succeed(Failpoints, armed(failpoints)))
  )

/** Each step runs on the same directory and tree, opened anew. */
const onLog = (
  name: string,
  tree: Tree,
  steps: (root: string) => ReadonlyArray<{
    readonly failpoints?: string
    readonly run: Effect.Effect<void, unknown, Everything>
  }>
) =>
  it.scopedLive(
    name,
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryRoot
        const directory = yield* temporaryDirectory
        yield* write(root, tree)
        for (const { failpoints, run } of steps(root)) {
          yield* Effect.provide(run, everything(directory, failpoints))
        }
      }),
    30_000
  )

const add = (path: string) => Effect.flatMap(Roots, (roots) => roots.add([path], { scope: defaultScope }))
/** A pass without news is recorded after its answer. */
const syncAll = Effect.flatMap(Sync, (syncs) => Effect.zipLeft(syncs.syncAll(defaultScope), syncs.recorded))
const idOf = (root: string, path: string) =>
  documentId(defaultScope, sourceId(defaultScope, "files", root), path)

const counts = (receipt: Receipt) =>
  Object.fromEntries(
    (["added", "updated", "moved", "unchanged", "removed", "skipped", "held", "parked", "failed"] as const)
      .map((name) => [name, receipt[name]] as const)
      .filter(([, count]) => count > 0)
  )

const eventsAfter = (position: number) =>
  Effect.gen(function* () {
    const reader = yield* LogReader
    return Chunk.toReadonlyArray(yield* Stream.runCollect(reader.read(position)))
  })
const head = Effect.flatMap(LogReader, (reader) => Effect.map(reader.head, ({ position }) => position))

const text = (name: string) => `# ${name}\n\nThis is what ${name} says.\n`

describe("a sync on the log", () => {
  onLog(
    "leaves nothing but its own start and end where nothing changed",
    { "a.md": text("a"), "b.md": text("b") },
    (root) => [
      {
        run: Effect.gen(function* () {
          assert.deepStrictEqual(counts(yield* add(root)), { added: 2 })
          const before = yield* head
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 2 })
          assert.deepStrictEqual(
            (yield* eventsAfter(before)).map(({ type }) => type),
            ["SyncStarted", "SyncCompleted"]
          )
        })
      }
    ]
  )

  onLog(
    "knows a file again whatever bytes its name is of",
    Object.fromEntries(
      ["a/b.md", "a\n,b.md", "é.md", "日本.md", "latin1:\xff\xfe.md", "latin1:a\xe9.md"].map((name, at) => [
        name,
        text(`document ${at}`)
      ])
    ),
    (root) => [
      {
        run: Effect.gen(function* () {
          assert.deepStrictEqual(counts(yield* add(root)), { added: 6 })
          const before = yield* head
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 6 })
          assert.lengthOf(yield* eventsAfter(before), 2)
          const full = yield* Effect.flatMap(Sync, (syncs) => syncs.syncAll(defaultScope, { full: true }))
          assert.deepStrictEqual(counts(full), { unchanged: 6 })
        })
      }
    ]
  )

  onLog(
    "moves a document in one append and embeds nothing",
    { "a.md": text("a"), "b.md": text("b") },
    (root) => [
      {
        run: Effect.gen(function* () {
          yield* add(root)
          const before = yield* head
          renameSync(join(root, "a.md"), join(root, "c.md"))
          const receipt = yield* syncAll
          assert.deepStrictEqual(counts(receipt), { moved: 1, unchanged: 1 })
          assert.strictEqual(receipt.embeddings.computed, 0)
          const events = yield* eventsAfter(before)
          const removed = events.find(({ type }) => type === "DocumentRemoved")
          const committed = events.find(({ type }) => type === "DocumentCommitted")
          assert.isDefined(removed)
          assert.strictEqual(removed?.metadata.appendEnd, committed?.metadata.appendEnd)
          assert.strictEqual(receipt.position, events.at(-1)?.sequence)
        })
      }
    ]
  )

  onLog(
    "keeps out what was removed on request until it is added again",
    { "a.md": text("a"), "b.md": text("b") },
    (root) => [
      {
        run: Effect.gen(function* () {
          yield* add(root)
          const row = yield* Effect.flatMap(ReadModels, (models) => models.document(idOf(root, "a.md")))
          yield* Effect.flatMap(Coordinator, (coordinator) =>
            coordinator.ask(
              DocumentRemove.make({
                commandId: CommandId.make("take-out"),
                scope: defaultScope,
                documentId: idOf(root, "a.md"),
                reason: "requested",
                orderKey: `${row?.orderKey}~`
              })
            )
          )
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 1, skipped: 1 })
          writeFileSync(join(root, "a.md"), text("another a"))
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 1, skipped: 1 })
          assert.deepStrictEqual(counts(yield* add(root)), { unchanged: 1, skipped: 1 })
          assert.deepStrictEqual(counts(yield* add(join(root, "a.md"))), { added: 1 })
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 2 })
        })
      }
    ]
  )

  onLog(
    "holds removals, and carries them out when they are approved",
    Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`${n}.md`, text(`number ${n}`)])),
    (root) => [
      {
        run: Effect.gen(function* () {
          yield* add(root)
          for (let n = 0; n < 8; n += 1) unlinkSync(join(root, `${n}.md`))
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 4, held: 8 })
          const models = yield* ReadModels
          const source = sourceId(defaultScope, "files", root)
          assert.strictEqual((yield* models.source(source))?.held?.count, 8)
          const approved = yield* Effect.flatMap(Sync, (syncs) =>
            syncs.sync(source, { approveRemovals: true })
          )
          assert.deepStrictEqual(counts(approved), { unchanged: 4, removed: 8 })
          assert.isUndefined((yield* models.source(source))?.held)
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 4 })
        })
      }
    ]
  )

  onLog(
    "skips what is empty or binary, now and when it is read again",
    { "a.md": text("a"), "b.md": "", "c.md": "\u0000\u0001\u0002".repeat(500) },
    (root) => [
      {
        run: Effect.gen(function* () {
          assert.deepStrictEqual(counts(yield* add(root)), { added: 1, skipped: 2 })
          const before = yield* head
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 1, skipped: 2 })
          const full = yield* Effect.flatMap(Sync, (syncs) => syncs.syncAll(defaultScope, { full: true }))
          assert.deepStrictEqual(counts(full), { unchanged: 1, skipped: 2 })
          assert.strictEqual((yield* eventsAfter(before)).length, 4)
          const named = yield* head
          assert.deepStrictEqual(counts(yield* add(join(root, "c.md"))), { skipped: 1 })
          assert.include(
            (yield* eventsAfter(named)).map(({ type }) => type),
            "DocumentSubmitted"
          )
          writeFileSync(join(root, "a.md"), "")
          assert.deepStrictEqual(counts(yield* syncAll), { skipped: 3 })
        })
      }
    ]
  )

  onLog(
    "takes in again what is no longer ignored, and embeds nothing",
    { "a.md": text("a"), "b.md": text("b") },
    (root) => [
      {
        run: Effect.gen(function* () {
          yield* add(root)
          writeFileSync(join(root, ".gitignore"), "b.md\n")
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 1, skipped: 1 })
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 1 })
          unlinkSync(join(root, ".gitignore"))
          const receipt = yield* syncAll
          assert.deepStrictEqual(counts(receipt), { added: 1, unchanged: 1 })
          assert.strictEqual(receipt.embeddings.computed, 0)
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 2 })
        })
      }
    ]
  )

  onLog(
    "that a crash cut off is closed, and the next one does only what is left",
    { "a.md": text("a"), "b.md": text("b") },
    (root) => [
      {
        run: Effect.gen(function* () {
          yield* add(root)
          unlinkSync(join(root, "a.md"))
          writeFileSync(join(root, "c.md"), text("c"))
        })
      },
      {
        failpoints: "sync.diff.before:1:throw",
        run: Effect.gen(function* () {
          const exit = yield* Effect.exit(syncAll)
          assert.strictEqual(exit._tag, "Failure")
          const source = yield* Effect.flatMap(ReadModels, (models) =>
            models.source(sourceId(defaultScope, "files", root))
          )
          assert.strictEqual(source?.syncState, "failed")
        })
      },
      {
        run: Effect.gen(function* () {
          assert.deepStrictEqual(counts(yield* syncAll), { unchanged: 2, removed: 1 })
        })
      }
    ]
  )

  onLog(
    "stopped on request lets what it submitted end, and says so",
    Object.fromEntries(Array.from({ length: 60 }, (_, n) => [`${1000 + n}.md`, text(`number ${n}`)])),
    (root) => [
      {
        run: Effect.gen(function* () {
          const stop = yield* Deferred.make<void>()
          const coordinator = yield* Coordinator
          const roots = yield* Roots
          yield* Effect.forkScoped(
            coordinator.progress.pipe(
              Stream.takeUntil(({ committed }) => committed >= 10),
              Stream.runDrain,
              Effect.zipRight(Deferred.succeed(stop, undefined))
            )
          )
          const receipt = yield* roots.add([root], { scope: defaultScope, stop })
          assert.isTrue(receipt.interrupted)
          assert.isBelow(receipt.added, 60)
          const { rows } = yield* Effect.flatMap(ReadModels, (models) =>
            models.documents({ scope: defaultScope, state: "open", limit: 10 })
          )
          assert.strictEqual(rows.length, 0)
          assert.deepStrictEqual(counts(yield* syncAll), {
            added: 60 - receipt.added,
            unchanged: receipt.added
          })
        }).pipe(Effect.scoped)
      }
    ]
  )

  onLog("reads again only what may have changed unseen", { "a.md": text("a") }, (root) => [
    {
      run: Effect.gen(function* () {
        utimesSync(join(root, "a.md"), 1_000_000_000, 1_000_000_000)
        yield* add(root)
        const source = sourceId(defaultScope, "files", root)
        const states = yield* Effect.flatMap(ReadModels, (models) => models.fileStates(source, undefined, 10))
        assert.strictEqual(states[0]?.mtimeNs, 1_000_000_000_000_000_000n)
        writeFileSync(join(root, "a.md"), text("b"))
        yield* syncAll
        const racy = yield* Effect.flatMap(ReadModels, (models) => models.fileStates(source, undefined, 10))
        assert.strictEqual(racy[0]?.mtimeNs, -1n)
      })
    }
  ])
})
