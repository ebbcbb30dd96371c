/** A generation takes over when it was read back from its own bytes and is what the log says; not before. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Layer, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { addRoot } from "../support/embeddedRuntime.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

describe("a promotion", () => {
  it.scopedLive("is refused where the new generation's bytes are not what the log says; searches stay", () =>
    Effect.gen(function* () {
      const root = yield* temporaryDirectory
      const path = yield* temporaryDirectory
      writeFileSync(join(root, "ferry.md"), "# Ferries\n\nThe ferry crosses the harbour every hour.\n")
      const context = yield* Layer.build(
        Embedded.layer({
          configuration: {
            settings: Schema.decodeSync(Settings)({ embedding: { dimensions: 32 } }),
            directory: { path, origin: "flag", files: filesIn(path, join) }
          },
          command: "test",
          threads: false
        })
      )
      yield* Effect.gen(function* () {
        const { replay } = yield* Writer
        const { search } = yield* Reader
        yield* addRoot(root)
        let spoilt = 0
        const spoil = ({ phase }: { readonly phase: string }) =>
          Effect.sync(() => {
            if (phase !== "verifying" || spoilt > 0) return
            const db = new Database(join(path, "index", "g002-e1", "default.default.sqlite"))
            spoilt += db.prepare("UPDATE points SET dense = zeroblob(length(dense))").run().changes
            db.close()
          })
        const refused = yield* Effect.flip(replay(spoil))
        assert.strictEqual(refused._tag === "PromotionRefused" && refused.code, "differs")
        assert.strictEqual(spoilt, 1)
        const query = { scope: defaultScope, query: "ferry", mode: "hybrid", limit: 5 } as const
        const { degraded, generation, hits } = yield* search(Schema.decodeSync(SearchRequest)(query))
        assert.deepStrictEqual([degraded, generation, hits.length], [false, "g001", 1])
      }).pipe(Effect.provide(context))
    })
  )
})
