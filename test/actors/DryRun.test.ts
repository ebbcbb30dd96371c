import { renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { DryRun, layer as dryRunLayer } from "../../actors/Ingestor/DryRun.ts"
import { Roots, layer as rootsLayer } from "../../actors/Ingestor/Roots.ts"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import { defaultScope, sourceId } from "../../events/Ids.ts"
import type { Quote } from "../../events/Quote.ts"
import { type Receipt, requestedOf } from "../../events/Receipt.ts"
import { LogReader } from "../../src/log/Log.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import { temporaryRoot, write } from "../sources/Trees.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { writeSide } from "../support/writeSide.ts"

const everything = (directory: string) =>
  Layer.mergeAll(rootsLayer, dryRunLayer()).pipe(
    Layer.provideMerge(syncLayer()),
    Layer.provide(filesReader()),
    Layer.provide(nodeFileTree),
    Layer.provideMerge(writeSide({ directory }))
  )

const counted = ({
  added,
  failed,
  held,
  moved,
  parked,
  removed,
  skipped,
  unchanged,
  updated
}: Quote | Receipt) => ({
  added,
  failed,
  held,
  moved,
  parked,
  removed,
  skipped,
  unchanged,
  updated
})

const acts = ({ documents }: Quote) =>
  documents.map(({ act, from, uri }) =>
    [act, ...[from, uri].flatMap((one) => (one === undefined ? [] : [one.split("/").at(-1)]))].join(" ")
  )

describe("a dry run", () => {
  it.scopedLive(
    "foretells what is then done, what it costs included, and changes nothing",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryRoot
        const directory = yield* temporaryDirectory
        yield* Effect.gen(function* () {
          const dry = yield* DryRun
          const roots = yield* Roots
          const syncs = yield* Sync
          const reader = yield* LogReader
          const text = (name: string) => `# ${name}\n\nWhat ${name} says stands here, and nowhere else.\n`
          yield* write(root, {
            "a.md": text("a"),
            "b.md": text("b"),
            "c.md": text("c"),
            "empty.md": "",
            "same.md": text("a")
          })
          const before = (yield* reader.head).position
          const first = yield* dry.add([root, join(root, "absent")], { scope: defaultScope })
          assert.strictEqual((yield* reader.head).position, before)
          assert.strictEqual(first.requested, requestedOf(first))
          assert.strictEqual(first.rejected, 1)
          assert.deepStrictEqual(acts(first), ["add a.md", "add b.md", "add c.md", "add same.md"])
          const receipt = yield* roots.add([root, join(root, "absent")], { scope: defaultScope })
          assert.deepStrictEqual(counted(first), counted(receipt))
          assert.strictEqual(first.vectors.compute, receipt.embeddings.computed)
          assert.strictEqual(first.chunks, receipt.embeddings.computed + receipt.embeddings.reused)
          assert.isAbove(first.tokens, 3 * 10)

          writeFileSync(join(root, "b.md"), text("another b"))
          renameSync(join(root, "c.md"), join(root, "z.md"))
          unlinkSync(join(root, "same.md"))
          const quoted = (yield* reader.head).position
          const second = yield* dry.syncAll(defaultScope)
          assert.strictEqual((yield* reader.head).position, quoted)
          assert.deepStrictEqual(acts(second), ["update b.md", "move c.md z.md", "remove same.md"])
          const synced = yield* syncs.syncAll(defaultScope)
          assert.deepStrictEqual(counted(second), counted(synced))
          assert.strictEqual(second.vectors.compute, synced.embeddings.computed)
          assert.strictEqual(second.vectors.compute, 1)

          rmSync(root, { recursive: true })
          const gone = yield* dry.sync([sourceId(defaultScope, "files", root)])
          assert.deepStrictEqual({ failed: gone.failed, removed: gone.removed }, { failed: 1, removed: 0 })
        }).pipe(Effect.provide(everything(directory)))
      }),
    30_000
  )
})
