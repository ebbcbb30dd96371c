import { utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import { type Command, SourceAdd } from "../../events/Commands.ts"
import { CommandId, defaultScope, sourceId } from "../../events/Ids.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { layerInThread } from "../../src/sources/NodeFileTree.ts"
import { settingsOf, temporaryRoot } from "../sources/Trees.ts"
import { InstantState, layer as instantLayer } from "./InstantCoordinator.ts"

const inRealTime = Effect.sleep("30 millis")

/** One document was added; what is asked of the Coordinator from then on. */
const added = Effect.gen(function* () {
  const root = yield* temporaryRoot
  const state = new InstantState()
  const source = sourceId(defaultScope, "files", root)
  const write = (name: string) =>
    Effect.sync(() => {
      writeFileSync(join(root, name), name)
      utimesSync(join(root, name), 1_000_000_000, 1_000_000_000)
    })
  yield* write("a.md")
  yield* state.ask(
    SourceAdd.make({
      commandId: CommandId.make("add"),
      scope: defaultScope,
      sourceId: source,
      settings: settingsOf(root, {})
    })
  )
  const scope = yield* Scope.make()
  const files = filesReader().pipe(Layer.provide(layerInThread()))
  const services = yield* Layer.build(
    syncLayer().pipe(Layer.provide(Layer.merge(files, instantLayer(state))))
  ).pipe(Scope.extend(scope))
  const syncs = Context.get(services, Sync)
  assert.strictEqual((yield* syncs.sync(source)).added, 1)
  yield* syncs.recorded
  const begun = state.commands.length
  const asked = () => state.commands.slice(begun).map(({ _tag }) => _tag)
  /** Commands of this kind wait until it is opened. */
  const gate = Effect.fnUntraced(function* (tag: Command["_tag"]) {
    const open = yield* Deferred.make<void>()
    state.before = (command) => (command._tag === tag ? Deferred.await(open) : Effect.void)
    return Deferred.succeed(open, undefined)
  })
  return { asked, close: Scope.close(scope, Exit.void), gate, sync: syncs.sync(source), write }
})

describe("a pass that finds everything as the last one left it", () => {
  it.scopedLive("is answered before it is recorded, and the end of the runtime waits for the record", () =>
    Effect.gen(function* () {
      const { asked, close, gate, sync } = yield* added
      const open = yield* gate("SyncStart")
      assert.strictEqual((yield* sync).unchanged, 1)
      assert.deepStrictEqual(asked(), [])
      const closing = yield* Effect.fork(close)
      yield* inRealTime
      yield* open
      yield* Fiber.join(closing)
      assert.deepStrictEqual(asked(), ["SyncStart", "SyncComplete"])
    })
  )

  it.scopedLive("is recorded before the next one does anything", () =>
    Effect.gen(function* () {
      const { asked, close, gate, sync, write } = yield* added
      const open = yield* gate("SyncComplete")
      assert.strictEqual((yield* sync).unchanged, 1)
      yield* write("b.md")
      const next = yield* Effect.fork(sync)
      yield* inRealTime
      assert.deepStrictEqual(asked(), ["SyncStart"])
      yield* open
      assert.strictEqual((yield* Fiber.join(next)).added, 1)
      const both = ["SyncStart", "SyncComplete", "SyncStart", "DocumentSubmit", "SyncComplete"]
      assert.deepStrictEqual(asked(), both)
      yield* close
    })
  )

  it.scopedLive("leaves one record to be written and no more: the next such pass waits for it", () =>
    Effect.gen(function* () {
      const { asked, close, gate, sync } = yield* added
      const open = yield* gate("SyncStart")
      yield* sync
      const second = yield* Effect.fork(sync)
      yield* inRealTime
      assert.isNull(second.unsafePoll())
      yield* open
      assert.strictEqual((yield* Fiber.join(second)).unchanged, 1)
      yield* close
      assert.deepStrictEqual(asked(), ["SyncStart", "SyncComplete", "SyncStart", "SyncComplete"])
    })
  )
})

describe("a pass that finds news", () => {
  it.scopedLive("is answered when it is recorded", () =>
    Effect.gen(function* () {
      const { close, gate, sync, write } = yield* added
      const open = yield* gate("SyncComplete")
      yield* write("b.md")
      const pass = yield* Effect.fork(sync)
      yield* inRealTime
      assert.isNull(pass.unsafePoll())
      yield* open
      assert.strictEqual((yield* Fiber.join(pass)).added, 1)
      yield* close
    })
  )
})
