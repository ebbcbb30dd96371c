import { execFileSync } from "node:child_process"
import {
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  utimesSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Fiber, Layer, Option } from "effect"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import type { SyncOptions, SyncSettings } from "../../actors/Ingestor/SyncOptions.ts"
import { SourceAdd } from "../../events/Commands.ts"
import { CommandId, defaultScope, documentId, sourceId } from "../../events/Ids.ts"
import { type Receipt, requestedOf } from "../../events/Receipt.ts"
import type { FilesSettings } from "../../events/Source.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import type { FilesLimits } from "../../src/sources/FilesScan.ts"
import {
  type Faults,
  faultyTree,
  pathBytes,
  rawPath,
  settingsOf,
  type Tree,
  temporaryRoot,
  write
} from "../sources/Trees.ts"
import { shiftedClock } from "../support/shiftedClock.ts"
import { InstantState, layer as instantLayer } from "./InstantCoordinator.ts"

/** A source over a temporary tree, and syncs of it. */
const opened = (tree: Tree, more: Partial<FilesSettings> = {}) =>
  Effect.gen(function* () {
    const root = yield* temporaryRoot
    const state = new InstantState()
    const source = sourceId(defaultScope, "files", root)
    yield* write(root, tree)
    const configure = (settings: Partial<FilesSettings>) =>
      Effect.orDie(
        state.ask(
          SourceAdd.make({
            commandId: CommandId.make("add"),
            scope: defaultScope,
            sourceId: source,
            settings: settingsOf(root, settings)
          })
        )
      )
    yield* configure(more)
    let opens = 0
    const sync = (
      options: SyncOptions = {},
      conditions: {
        readonly faults?: Faults
        readonly limits?: Partial<FilesLimits>
        readonly settings?: Partial<SyncSettings>
        readonly failpoints?: string
      } = {}
    ) => {
      opens = 0
      const { faults } = conditions
      const counting: Faults = {
        ...faults,
        beforeOpen: (path) => {
          if (!path.endsWith("ignore")) opens += 1
          faults?.beforeOpen?.(path)
        }
      }
      return Effect.flatMap(Sync, (syncs) => syncs.sync(source, options)).pipe(
        Effect.provide(
          syncLayer(conditions.settings).pipe(
            Layer.provide(filesReader(conditions.limits).pipe(Layer.provide(faultyTree(counting)))),
            Layer.provide(instantLayer(state))
          )
        ),
        Effect.provideService(Failpoints, armed(conditions.failpoints ?? "")),
        Effect.tap((receipt) =>
          Effect.sync(() => assert.strictEqual(receipt.requested, requestedOf(receipt)))
        )
      )
    }
    return {
      root,
      state,
      source,
      sync,
      configure,
      at: (path: string) => join(root, path),
      id: (path: string) => documentId(defaultScope, source, pathBytes(path)),
      opens: () => opens
    }
  })

/** Makes the files old enough for their times to be trusted. */
const age = (...paths: ReadonlyArray<string>) => {
  for (const path of paths) utimesSync(path, 1_000_000_000, 1_000_000_000)
}

const counts = (receipt: Receipt) =>
  Object.fromEntries(
    (["added", "updated", "moved", "unchanged", "removed", "skipped", "held", "parked", "failed"] as const)
      .map((name) => [name, receipt[name]] as const)
      .filter(([, count]) => count > 0)
  )

describe("a sync", () => {
  it.scopedLive("adds what is there, and then finds it unchanged without reading it", () =>
    Effect.gen(function* () {
      const { at, opens, state, sync } = yield* opened({ "a.md": "A", "d/b.md": "B" })
      age(at("a.md"), at("d/b.md"))
      assert.deepStrictEqual(counts(yield* sync()), { added: 2 })
      assert.deepStrictEqual(state.found, { "a.md": "A", "d/b.md": "B" })
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 2 })
      assert.strictEqual(opens(), 0)
    })
  )

  it.scopedLive("S3: reads again what changed within its clock's grain, or is dated in the future", () =>
    Effect.gen(function* () {
      const { at, opens, state, sync } = yield* opened({ "fresh.md": "1", "future.md": "1", "old.md": "1" })
      utimesSync(at("future.md"), 4_000_000_000, 4_000_000_000)
      age(at("old.md"))
      // A time that can be set again to the nanosecond: a clock of whole milliseconds shows no difference.
      const fresh = statSync(at("fresh.md")).mtimeMs / 1000
      utimesSync(at("fresh.md"), fresh, fresh)
      yield* sync()
      writeFileSync(at("fresh.md"), "2")
      utimesSync(at("fresh.md"), fresh, fresh)
      writeFileSync(at("future.md"), "2")
      utimesSync(at("future.md"), 4_000_000_000, 4_000_000_000)
      assert.deepStrictEqual(counts(yield* sync()), { updated: 2, unchanged: 1 })
      assert.strictEqual(opens(), 2)
      assert.deepStrictEqual(state.found, { "fresh.md": "2", "future.md": "2", "old.md": "1" })
    })
  )

  it.scopedLive("S3: finds other content under the same size, times and inode when it reads everything", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "1" })
      age(at("a.md"))
      yield* sync()
      writeFileSync(at("a.md"), "2")
      age(at("a.md"))
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1 })
      assert.deepStrictEqual(counts(yield* sync({ full: true })), { updated: 1 })
      assert.deepStrictEqual(state.found, { "a.md": "2" })
    })
  )

  it.scopedLive("trusts a file that was only touched once it has read it", () =>
    Effect.gen(function* () {
      const { at, opens, state, sync } = yield* opened({ "a.md": "1" })
      age(at("a.md"))
      yield* sync()
      utimesSync(at("a.md"), 1_100_000_000, 1_100_000_000)
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1 })
      assert.strictEqual(opens(), 1)
      yield* sync()
      assert.strictEqual(opens(), 0)
      assert.strictEqual(state.submissions().length, 1)
    })
  )

  it.scopedLive("removes what a complete scan no longer meets", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A", "b.md": "B", "d/c.md": "C" })
      yield* sync()
      rmSync(at("d"), { recursive: true })
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 2, removed: 1 })
      assert.deepStrictEqual(state.found, { "a.md": "A", "b.md": "B" })
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 2 })
      yield* write(at(""), { "d/c.md": "C" })
      assert.deepStrictEqual(counts(yield* sync()), { added: 1, unchanged: 2 })
    })
  )

  it.scopedLive("S4: recognises moves, among them a changed letter case and a swap, and embeds nothing", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A", "b.md": "B", "x.md": "X", "y.md": "Y" })
      age(at("a.md"), at("b.md"), at("x.md"), at("y.md"))
      yield* sync()
      renameSync(at("a.md"), at("z.md"))
      renameSync(at("b.md"), at("B.md"))
      renameSync(at("x.md"), at("t"))
      renameSync(at("y.md"), at("x.md"))
      renameSync(at("t"), at("y.md"))
      const receipt = yield* sync()
      assert.deepStrictEqual(counts(receipt), { moved: 2, updated: 2 })
      assert.deepStrictEqual(state.found, { "B.md": "B", "x.md": "Y", "y.md": "X", "z.md": "A" })
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 4 })
    })
  )

  it.scopedLive("S4: takes a move back, and tells two equal files apart by their inodes", () =>
    Effect.gen(function* () {
      const { at, id, state, sync } = yield* opened({ "a.md": "same", "b.md": "same", "c.md": "C" })
      yield* sync()
      renameSync(at("b.md"), at("d.md"))
      renameSync(at("a.md"), at("e.md"))
      assert.deepStrictEqual(counts(yield* sync()), { moved: 2, unchanged: 1 })
      assert.deepStrictEqual(
        state
          .submissions()
          .filter(({ movedFrom }) => movedFrom !== undefined)
          .map((one) => [one.documentId, one.movedFrom]),
        [
          [id("d.md"), id("b.md")],
          [id("e.md"), id("a.md")]
        ]
      )
      renameSync(at("d.md"), at("b.md"))
      assert.deepStrictEqual(counts(yield* sync()), { moved: 1, unchanged: 2 })
      assert.deepStrictEqual(Object.keys(state.found), ["b.md", "c.md", "e.md"])
    })
  )

  it.scopedLive("S4: sees two hard links as two documents, and the loss of one as a removal", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A" })
      yield* sync()
      linkSync(at("a.md"), at("b.md"))
      assert.deepStrictEqual(counts(yield* sync()), { added: 1, unchanged: 1 })
      unlinkSync(at("a.md"))
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1, removed: 1 })
      assert.deepStrictEqual(state.found, { "b.md": "A" })
    })
  )

  it.scopedLive("S1: removes nothing and fails where its root is gone, or empty where documents were", () =>
    Effect.gen(function* () {
      const { at, root, state, sync } = yield* opened({ "a.md": "A" })
      yield* sync()
      renameSync(at("a.md"), `${root}.a`)
      const empty = yield* sync()
      assert.deepStrictEqual(counts(empty), { failed: 1 })
      assert.match(empty.failures[0]?.reason ?? "", /root is empty/)
      rmSync(root, { recursive: true })
      const gone = yield* sync()
      assert.deepStrictEqual(counts(gone), { failed: 1 })
      assert.deepStrictEqual(
        state.failures.map(({ code }) => code),
        ["RootEmpty", "RootMissing"]
      )
      assert.deepStrictEqual(state.found, { "a.md": "A" })
      mkdirSync(root)
      renameSync(`${root}.a`, at("a.md"))
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1 })
    })
  )

  it.scopedLive("S1: removes nothing at all where the device failed in the middle of the scan", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A", "b/b.md": "B", "c.md": "C" })
      yield* sync()
      unlinkSync(at("a.md"))
      writeFileSync(at("c.md"), "C2")
      const faults: Faults = { list: (path) => (path.endsWith("/b") ? "EIO" : undefined) }
      assert.deepStrictEqual(counts(yield* sync({}, { faults })), { updated: 1, failed: 1 })
      assert.deepStrictEqual(state.found, { "a.md": "A", "b/b.md": "B", "c.md": "C2" })
      assert.deepStrictEqual(
        state.failures.map(({ code }) => code),
        ["ScanBroken"]
      )
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 2, removed: 1 })
    })
  )

  it.scopedLive("keeps everything below a directory that cannot be read, and removes the rest", () =>
    Effect.gen(function* () {
      const { at, sync, state } = yield* opened({ "a.md": "A", "b/b.md": "B", "b/c/c.md": "C", "d.md": "D" })
      yield* sync()
      unlinkSync(at("a.md"))
      rmSync(at("b/c"), { recursive: true })
      const faults: Faults = { list: (path) => (path.endsWith("/b") ? "EACCES" : undefined) }
      assert.deepStrictEqual(counts(yield* sync({}, { faults })), { unchanged: 1, removed: 1, failed: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["b/b.md", "b/c/c.md", "d.md"])
    })
  )

  it.scopedLive("parks a file that cannot be read, with its reason, and keeps its document", () =>
    Effect.gen(function* () {
      const { at, root, state, sync } = yield* opened({ "a.md": "A", "b.md": "B" })
      yield* sync()
      writeFileSync(at("a.md"), "A2")
      const faults: Faults = { open: (path) => (path.endsWith("a.md") ? "EACCES" : undefined) }
      const receipt = yield* sync({}, { faults })
      assert.deepStrictEqual(counts(receipt), { unchanged: 1, parked: 1 })
      assert.deepStrictEqual(receipt.failures, [
        { uri: `file://${root}/a.md`, reason: "It could not be read: permission denied (EACCES)." }
      ])
      assert.deepStrictEqual(state.found, { "a.md": "A", "b.md": "B" })
    })
  )

  it.scopedLive(
    "P6: fails typed where there are no file descriptors left, removes nothing, and recovers",
    () =>
      Effect.gen(function* () {
        const { at, state, sync } = yield* opened({ "a.md": "A", "b/b.md": "B", "c.md": "C" })
        yield* sync()
        unlinkSync(at("c.md"))
        writeFileSync(at("a.md"), "A2")
        const faults: Faults = {
          list: (path) => (path.endsWith("/b") ? "EMFILE" : undefined),
          open: () => "EMFILE"
        }
        assert.deepStrictEqual(counts(yield* sync({}, { faults })), { parked: 1, failed: 1 })
        assert.deepStrictEqual(state.found, { "a.md": "A", "b/b.md": "B", "c.md": "C" })
        assert.deepStrictEqual(counts(yield* sync()), { updated: 1, unchanged: 1, removed: 1 })
      })
  )

  it.scopedLive("S1: removes nothing where the root goes away while it is scanned", () =>
    Effect.gen(function* () {
      const { state, sync } = yield* opened({ "a.md": "A", "b.md": "B", "c.md": "C" })
      yield* sync()
      let isGone = false
      const faults: Faults = {
        examine: (path) => {
          isGone ||= path.endsWith("/b.md")
          return isGone ? "ENOENT" : undefined
        }
      }
      const receipt = yield* sync({}, { faults })
      assert.deepStrictEqual(counts(receipt), { failed: 1 })
      assert.match(receipt.failures[0]?.reason ?? "", /Its root/)
      assert.deepStrictEqual(state.found, { "a.md": "A", "b.md": "B", "c.md": "C" })
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 3 })
    })
  )

  it.scopedLive(
    "has nothing to say of a new file that is gone before it is read, and keeps a known one's document",
    () =>
      Effect.gen(function* () {
        const { at, state, sync } = yield* opened({ "a.md": "A", "b.md": "B" })
        yield* sync()
        writeFileSync(at("a.md"), "A2")
        writeFileSync(at("temporary.md"), "for a moment")
        const faults: Faults = {
          beforeOpen: (path) => {
            if (!path.endsWith("/b.md")) rmSync(path, { force: true })
          }
        }
        assert.deepStrictEqual(counts(yield* sync({}, { faults })), { unchanged: 1, parked: 1 })
        assert.deepStrictEqual(state.found, { "a.md": "A", "b.md": "B" })
        assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1, removed: 1 })
      })
  )

  it.scopedLive("takes in again what was left out, once nothing leaves it out any more", () =>
    Effect.gen(function* () {
      const { at, configure, state, sync } = yield* opened({
        "a.md": "A",
        "b.md": "B",
        "c.txt": "C",
        "large.md": "large"
      })
      yield* sync()
      yield* write(at(""), { ".gitignore": "/b.md\n" })
      yield* configure({ exclude: ["*.txt"] })
      const small = { limits: { maxFileBytes: 4 } }
      assert.deepStrictEqual(counts(yield* sync({}, small)), { unchanged: 1, skipped: 3 })
      assert.deepStrictEqual(state.found, { "a.md": "A" })
      unlinkSync(at(".gitignore"))
      yield* configure({})
      assert.deepStrictEqual(counts(yield* sync()), { added: 3, unchanged: 1 })
      assert.deepStrictEqual(state.found, { "a.md": "A", "b.md": "B", "c.txt": "C", "large.md": "large" })
    })
  )

  it.scopedLive("O7: holds what is too large where that is most of a source", () =>
    Effect.gen(function* () {
      const tree = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`${n}.md`, `text ${n}`]))
      const { state, sync } = yield* opened(tree)
      yield* sync()
      assert.deepStrictEqual(counts(yield* sync({ full: true }, { limits: { maxFileBytes: 1 } })), {
        held: 12
      })
      assert.strictEqual(Object.keys(state.found).length, 12)
    })
  )

  it.scopedLive("retires what is ignored, excluded or too large now, and what became a link", () =>
    Effect.gen(function* () {
      const { at, configure, state, sync } = yield* opened({
        "a.md": "A",
        "b/1.md": "B",
        "c.txt": "C",
        "d.md": "D",
        "e.md": "E"
      })
      yield* sync()
      yield* write(at(""), { ".gitignore": "/b\n" })
      truncateSync(at("a.md"), 100)
      unlinkSync(at("d.md"))
      execFileSync("ln", ["-s", "e.md", at("d.md")])
      yield* configure({ exclude: ["*.txt"] })
      assert.deepStrictEqual(counts(yield* sync({}, { limits: { maxFileBytes: 50 } })), {
        unchanged: 1,
        skipped: 4
      })
      assert.deepStrictEqual(Object.keys(state.found), ["e.md"])
      assert.deepStrictEqual(counts(yield* sync({}, { limits: { maxFileBytes: 50 } })), {
        unchanged: 1,
        skipped: 1
      })
    })
  )

  it.scopedLive(
    "O7: holds removals above the share of a source that is not small, until they are approved",
    () =>
      Effect.gen(function* () {
        const tree = Object.fromEntries(Array.from({ length: 12 }, (_, n) => [`${n}.md`, `text ${n}`]))
        const { at, state, sync } = yield* opened(tree)
        yield* sync()
        for (let n = 0; n < 7; n += 1) unlinkSync(at(`${n}.md`))
        assert.deepStrictEqual(counts(yield* sync()), { unchanged: 5, held: 7 })
        assert.strictEqual(Object.keys(state.found).length, 12)
        assert.deepStrictEqual(counts(yield* sync()), { unchanged: 5, held: 7 })
        writeFileSync(at("0.md"), "text 0")
        assert.deepStrictEqual(counts(yield* sync({}, { settings: { heldShare: 0.4 } })), {
          unchanged: 6,
          held: 6
        })
        assert.deepStrictEqual(
          counts(yield* sync({ approveRemovals: true }, { settings: { heldShare: 0.4 } })),
          { unchanged: 6, removed: 6 }
        )
        assert.strictEqual(Object.keys(state.found).length, 6)
      })
  )

  it.scopedLive("O7: does not hold moves, however many", () =>
    Effect.gen(function* () {
      const tree = Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`d/${n}.md`, `text ${n}`]))
      const { at, sync } = yield* opened(tree)
      yield* sync()
      renameSync(at("d"), at("e"))
      const receipt = yield* sync()
      assert.deepStrictEqual(counts(receipt), { moved: 20 })
      assert.strictEqual(receipt.embeddings.computed, 0)
    })
  )

  it.scopedLive("skips empty files, parks poison with its reason, and says so again", () =>
    Effect.gen(function* () {
      const { at, sync } = yield* opened({ "empty.md": "", "poison.md": "poison", "good.md": "good" })
      age(at("empty.md"), at("poison.md"), at("good.md"))
      const first = yield* sync()
      assert.deepStrictEqual(counts(first), { added: 1, skipped: 1, parked: 1 })
      assert.strictEqual(first.failures[0]?.reason, "It is poison.")
      const second = counts(yield* sync())
      assert.strictEqual(second.skipped, 1)
      assert.strictEqual(second.unchanged, 1)
    })
  )

  it.scopedLive("leaves out what was removed on request, until its path is added again", () =>
    Effect.gen(function* () {
      const { id, state, sync } = yield* opened({ "a.md": "A", "b.md": "B" })
      yield* sync()
      state.remove(id("a.md"), "requested")
      state.files.delete(id("a.md"))
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1, skipped: 1 })
      assert.deepStrictEqual(counts(yield* sync({ full: true })), { unchanged: 1, skipped: 1 })
      assert.deepStrictEqual(counts(yield* sync({ only: [rawPath("a.md")] })), { added: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md", "b.md"])
    })
  )

  it.scopedLive("finds what is gone even where its memory of files was lost", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A", "b.md": "B", "c.md": "C" })
      yield* sync()
      state.files.clear()
      unlinkSync(at("b.md"))
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 2, removed: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md", "c.md"])
    })
  )

  it.scopedLive("S8: runs once at a time for a source; the other one is skipped", () =>
    Effect.gen(function* () {
      const { state, sync } = yield* opened({ "a.md": "A" })
      const reached = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      state.before = (command) =>
        command._tag === "DocumentSubmit"
          ? Effect.zipRight(Deferred.succeed(reached, undefined), Deferred.await(goOn))
          : Effect.void
      const one = yield* Effect.fork(sync())
      yield* Deferred.await(reached)
      const other = yield* Effect.flip(sync())
      assert.strictEqual(other._tag, "SyncSkipped")
      yield* Deferred.succeed(goOn, undefined)
      assert.deepStrictEqual(counts(yield* Fiber.join(one)), { added: 1 })
    })
  )

  it.scopedLive(
    "stops when asked to: what is under way ends, nothing is removed, and the next one does the rest",
    () =>
      Effect.gen(function* () {
        const tree = Object.fromEntries(
          Array.from({ length: 200 }, (_, n) => [`${1000 + n}.md`, `text ${n}`])
        )
        const { state, sync } = yield* opened(tree)
        const stop = yield* Deferred.make<void>()
        state.before = () =>
          state.submissions().length === 40 ? Deferred.succeed(stop, undefined) : Effect.void
        const receipt = yield* sync({ stop }, { settings: { window: 4 } })
        assert.isTrue(receipt.interrupted)
        assert.isBelow(receipt.added, 200)
        assert.isAtLeast(receipt.added, 40)
        assert.strictEqual(Object.keys(state.found).length, receipt.added)
        state.before = () => Effect.void
        const rest = yield* sync()
        assert.deepStrictEqual(counts(rest), { added: 200 - receipt.added, unchanged: receipt.added })
      })
  )

  it.scopedLive("does not look as if it were still running when it was interrupted", () =>
    Effect.gen(function* () {
      const { source, state, sync } = yield* opened({ "a.md": "A" })
      const reached = yield* Deferred.make<void>()
      state.before = (command) =>
        command._tag === "DocumentSubmit"
          ? Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
          : Effect.void
      const fiber = yield* Effect.fork(sync())
      yield* Deferred.await(reached)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(state.sources.get(source)?.syncState, "failed")
      state.before = () => Effect.void
      assert.deepStrictEqual(counts(yield* sync()), { added: 1 })
    })
  )

  it.scopedLive("ends when it is interrupted, though nobody takes in that it ended", () =>
    Effect.gen(function* () {
      const { state, sync } = yield* opened({ "a.md": "A" })
      const reached = yield* Deferred.make<void>()
      state.before = ({ _tag }) => {
        if (_tag === "DocumentSubmit")
          return Effect.zipRight(Deferred.succeed(reached, undefined), Effect.never)
        return _tag === "SyncFail" ? Effect.never : Effect.void
      }
      const { clock } = shiftedClock()
      const hurried = {
        ...clock,
        sleep: (time: Duration.Duration) => clock.sleep(Duration.times(time, 0.02))
      }
      const fiber = yield* Effect.forkDaemon(Effect.withClock(sync(), hurried))
      yield* Deferred.await(reached)
      const ended = yield* Effect.timeoutOption(Effect.disconnect(Fiber.interrupt(fiber)), "3 seconds")
      assert.isTrue(Option.isSome(ended))
    })
  )

  it.scopedLive("removes nothing from a part of a scan", () =>
    Effect.gen(function* () {
      const { at, state, sync } = yield* opened({ "a.md": "A", "b.md": "B" })
      yield* sync()
      unlinkSync(at("a.md"))
      for (const failpoints of ["sync.scan:1:throw", "sync.diff.before:1:throw"]) {
        const exit = yield* Effect.exit(sync({}, { failpoints }))
        assert.strictEqual(exit._tag, "Failure")
        assert.deepStrictEqual(Object.keys(state.found), ["a.md", "b.md"])
      }
      assert.deepStrictEqual(counts(yield* sync()), { unchanged: 1, removed: 1 })
    })
  )

  it.scopedLive("submits in the order of the scan, whatever the files' sizes", () =>
    Effect.gen(function* () {
      const tree = Object.fromEntries(
        Array.from({ length: 60 }, (_, n) => [`${100 + n}.md`, "x".repeat(n % 7 === 0 ? 100_000 : 10) + n])
      )
      const { state, sync } = yield* opened(tree)
      yield* sync({}, { settings: { inFlightBytes: 120_000 } })
      const order = state.submissions().map(({ descriptor }) => descriptor.externalId)
      assert.deepStrictEqual(order, [...order].sort())
      assert.strictEqual(order.length, 60)
    })
  )

  it.scopedLive("gives the same documents where it could not remember all that it had to look at", () =>
    Effect.gen(function* () {
      const tree = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`a/${n}.md`, `text ${n}`]))
      const { at, state, sync } = yield* opened({ ...tree, "z.md": "Z" })
      yield* sync()
      renameSync(at("a"), at("b"))
      const receipt = yield* sync({}, { settings: { pending: 10, heldShare: 1 } })
      assert.deepStrictEqual(counts(receipt), { added: 30, unchanged: 1, removed: 30 })
      assert.isTrue(Object.keys(state.found).every((path) => path.startsWith("b/") || path === "z.md"))
    })
  )
})
