import { execFileSync } from "node:child_process"
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { type AddOptions, Roots, layer as rootsLayer } from "../../actors/Ingestor/Roots.ts"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import { defaultScope, documentId, sourceId } from "../../events/Ids.ts"
import { type Receipt, requestedOf } from "../../events/Receipt.ts"
import type { FilesSettings } from "../../events/Source.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import { temporaryRoot, write } from "../sources/Trees.ts"
import { InstantState, layer as instantLayer } from "./InstantCoordinator.ts"

const opened = Effect.gen(function* () {
  const root = yield* temporaryRoot
  const state = new InstantState()
  const everything = rootsLayer.pipe(
    Layer.provideMerge(syncLayer().pipe(Layer.provide(filesReader()))),
    Layer.provide(instantLayer(state)),
    Layer.provide(nodeFileTree)
  )
  const add = (paths: ReadonlyArray<string>, options: Partial<AddOptions> = {}) =>
    Effect.flatMap(Roots, (roots) => roots.add(paths, { scope: defaultScope, ...options })).pipe(
      Effect.provide(everything),
      Effect.tap((receipt) => Effect.sync(() => assert.strictEqual(receipt.requested, requestedOf(receipt))))
    )
  const syncAll = Effect.flatMap(Sync, (syncs) => syncs.syncAll(defaultScope)).pipe(
    Effect.provide(everything)
  )
  const settings = () =>
    [...state.sources.values()].map(
      (row) => JSON.parse(Buffer.from(state.blobs.get(row.settings) ?? []).toString()) as FilesSettings
    )
  const takeOut = (source: string, path: string) => {
    const id = documentId(defaultScope, sourceId(defaultScope, "files", source), path)
    state.remove(id, "requested")
    state.files.delete(id)
  }
  return { root, state, add, syncAll, settings, takeOut, at: (path: string) => join(root, path) }
})

const counts = ({ added, failed, rejected = 0, skipped, unchanged, updated, removed }: Receipt) => ({
  added,
  unchanged,
  updated,
  removed,
  skipped,
  failed,
  rejected
})
const none = { added: 0, unchanged: 0, updated: 0, removed: 0, skipped: 0, failed: 0, rejected: 0 }

describe("add", () => {
  it.scopedLive("of a directory makes it a source, of a known one syncs it", () =>
    Effect.gen(function* () {
      const { add, at, root, settings, state } = yield* opened
      yield* write(root, { "docs/a.md": "A", "docs/b.md": "B" })
      assert.deepStrictEqual(counts(yield* add([at("docs")])), { ...none, added: 2 })
      writeFileSync(at("docs/b.md"), "B2")
      assert.deepStrictEqual(counts(yield* add([`${at("docs")}/`])), { ...none, unchanged: 1, updated: 1 })
      assert.deepStrictEqual(settings(), [{ kind: "files", root: at("docs"), include: [], exclude: [] }])
      assert.strictEqual(state.commands.filter(({ _tag }) => _tag === "SourceAdd").length, 1)
    })
  )

  it.scopedLive("of a directory through a link is that of the directory", () =>
    Effect.gen(function* () {
      const { add, at, root, state } = yield* opened
      yield* write(root, { "docs/a.md": "A" })
      symlinkSync(at("docs"), at("link"))
      yield* add([at("link")])
      assert.deepStrictEqual(counts(yield* add([at("docs")])), { ...none, unchanged: 1 })
      assert.strictEqual(state.sources.size, 1)
    })
  )

  it.scopedLive(
    "of files takes them alone, and of their directory later the rest, as the same documents",
    () =>
      Effect.gen(function* () {
        const { add, at, root, settings, state } = yield* opened
        yield* write(root, { "a.md": "A", "b.md": "B", "[c].md": "C", "d.md": "D", "sub/e.md": "E" })
        assert.deepStrictEqual(counts(yield* add([at("a.md"), at("[c].md")])), { ...none, added: 2 })
        assert.deepStrictEqual(Object.keys(state.found), ["[c].md", "a.md"])
        assert.deepStrictEqual(settings()[0]?.include, ["a.md", "\\[c\\].md"])
        assert.deepStrictEqual(counts(yield* add([root])), { ...none, added: 3, unchanged: 2 })
        assert.strictEqual(state.sources.size, 1)
      })
  )

  it.scopedLive("of a file that is ignored beside it takes it, because it was named", () =>
    Effect.gen(function* () {
      const { add, at, root, state } = yield* opened
      yield* write(root, { ".gitignore": "*.log", "a.log": "A" })
      assert.deepStrictEqual(counts(yield* add([at("a.log")])), { ...none, added: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["a.log"])
    })
  )

  it.scopedLive("of a file within a known source looks at it alone", () =>
    Effect.gen(function* () {
      const { add, at, root } = yield* opened
      yield* write(root, { "a.md": "A", "sub/b.md": "B", ".gitignore": "*.log" })
      yield* add([root])
      yield* write(root, { "sub/c.md": "C", "sub/d.md": "D", "sub/e.log": "E" })
      assert.deepStrictEqual(counts(yield* add([at("sub/c.md")])), { ...none, added: 1 })
      const ignored = yield* add([at("sub/e.log")])
      assert.deepStrictEqual(counts(ignored), { ...none, skipped: 1 })
      assert.match(ignored.failures[0]?.reason ?? "", /left out/)
    })
  )

  it.scopedLive("of a pattern takes what matches below the directory before it", () =>
    Effect.gen(function* () {
      const { add, at, root, settings, state } = yield* opened
      yield* write(root, { "docs/a.md": "A", "docs/b.txt": "B", "docs/sub/c.md": "C" })
      assert.deepStrictEqual(counts(yield* add([at("docs/**/*.md")])), { ...none, added: 2 })
      assert.deepStrictEqual(settings()[0], {
        kind: "files",
        root: at("docs"),
        include: ["**/*.md"],
        exclude: []
      })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md", "sub/c.md"])
    })
  )

  it.scopedLive("takes no name for a pattern of what is there by just that name", () =>
    Effect.gen(function* () {
      const { add, at, root, settings, state } = yield* opened
      yield* write(root, { "[id]/a.md": "A", "[id]/b.txt": "B", "i/a.md": "not this one" })
      assert.deepStrictEqual(counts(yield* add([at("[id]/*.md")])), { ...none, added: 1 })
      assert.deepStrictEqual(settings(), [
        { kind: "files", root: at("[id]"), include: ["*.md"], exclude: [] }
      ])
      assert.deepStrictEqual(state.found, { "a.md": "A" })
      assert.deepStrictEqual(counts(yield* add([at("[id]/misspelt.md")])), {
        ...none,
        failed: 1,
        rejected: 1
      })
      assert.strictEqual(settings().length, 1)
    })
  )

  it.scopedLive("with globs makes them the source's", () =>
    Effect.gen(function* () {
      const { add, root, state } = yield* opened
      yield* write(root, { "a.md": "A", "b.txt": "B", "draft.md": "D" })
      yield* add([root], { include: ["*.md"], exclude: ["draft*"] })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md"])
      yield* add([root])
      assert.deepStrictEqual(Object.keys(state.found), ["a.md"])
      yield* add([root], { include: ["*"] })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md", "b.txt"])
    })
  )

  it.scopedLive("refuses roots within roots, and says which", () =>
    Effect.gen(function* () {
      const { add, at, root, state } = yield* opened
      yield* write(root, { "a.md": "A", "sub/b.md": "B" })
      yield* add([at("sub")])
      const outer = yield* add([root])
      assert.deepStrictEqual(counts(outer), { ...none, failed: 1, rejected: 1 })
      assert.include(outer.failures[0]?.reason ?? "", at("sub"))
      rmSync(at("sub"), { recursive: true })
      state.sources.clear()
      mkdirSync(at("sub"))
      yield* add([root])
      const inner = yield* add([at("sub")])
      assert.deepStrictEqual(counts(inner), { ...none, failed: 1, rejected: 1 })
      assert.strictEqual(state.sources.size, 1)
    })
  )

  it.scopedLive("of files beside a source, and of sources beside files, is no nesting", () =>
    Effect.gen(function* () {
      const { add, at, root, state } = yield* opened
      yield* write(root, { "todo.md": "T", "notes/a.md": "A", "more/b.md": "B" })
      assert.deepStrictEqual(counts(yield* add([at("notes"), at("todo.md"), at("more")])), {
        ...none,
        added: 3
      })
      assert.strictEqual(state.sources.size, 3)
      const all = yield* add([root])
      assert.deepStrictEqual(counts(all), { ...none, failed: 1, rejected: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md", "b.md", "todo.md"])
    })
  )

  it.scopedLive("brings back what was removed on request, where its path is named again", () =>
    Effect.gen(function* () {
      const { add, at, root, state, syncAll, takeOut } = yield* opened
      yield* write(root, { "a.md": "A", "sub/b.md": "B", "sub/c.md": "C" })
      yield* add([root])
      takeOut(root, "a.md")
      takeOut(root, "sub/b.md")
      yield* syncAll
      yield* add([root])
      assert.deepStrictEqual(Object.keys(state.found), ["sub/c.md"])
      assert.deepStrictEqual(counts(yield* add([at("a.md")])), { ...none, added: 1 })
      assert.deepStrictEqual(counts(yield* add([at("sub")])), { ...none, added: 1, unchanged: 1 })
    })
  )

  it.scopedLive("does what it can, and names each path that it could not take", () =>
    Effect.gen(function* () {
      const { add, at, root } = yield* opened
      yield* write(root, { "docs/a.md": "A" })
      execFileSync("mkfifo", [at("pipe")])
      const receipt = yield* add([
        at("absent"),
        at("docs"),
        at("pipe"),
        at("docs/../docs/absent.md"),
        at("no/*.md"),
        at("docs/../*/../..")
      ])
      assert.deepStrictEqual(counts(receipt).added, 1)
      assert.strictEqual(receipt.rejected, 5)
      assert.strictEqual(receipt.failed, 5)
    })
  )

  it.scopedLive("of a known root that is gone says so, and removes nothing", () =>
    Effect.gen(function* () {
      const { add, at, root, state } = yield* opened
      yield* write(root, { "docs/a.md": "A" })
      yield* add([at("docs")])
      rmSync(at("docs"), { recursive: true })
      const receipt = yield* add([at("docs")])
      assert.deepStrictEqual(counts(receipt), { ...none, failed: 1 })
      assert.deepStrictEqual(Object.keys(state.found), ["a.md"])
    })
  )

  it.scopedLive("refuses globs that take too long to match", () =>
    Effect.gen(function* () {
      const { add, root } = yield* opened
      yield* write(root, { "a.md": "A" })
      const receipt = yield* add([root], { include: ["*a*a*a*a*a*b"] })
      assert.deepStrictEqual(counts(receipt), { ...none, failed: 1, rejected: 1 })
    })
  )
})
