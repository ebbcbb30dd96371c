/** A generation takes over when it was read back from its own bytes and is what the log says; not before. */
import { readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Either, Layer, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { addRoot } from "../support/embeddedRuntime.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** With one document in it. */
const running = Effect.gen(function* () {
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
  return { context, path, root }
})

describe("a promotion", () => {
  it.scopedLive("is refused where the new generation's bytes are not what the log says; searches stay", () =>
    Effect.gen(function* () {
      const { context, path, root } = yield* running
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

  it.scopedLive("is one at a time: a second one is refused, and neither leaves a generation behind", () =>
    Effect.gen(function* () {
      const { context, path, root } = yield* running
      yield* Effect.gen(function* () {
        const { replay } = yield* Writer
        yield* addRoot(root)
        const [first, second] = yield* Effect.all(
          [1, 2].map(() => Effect.either(replay(() => Effect.void))),
          {
            concurrency: "unbounded"
          }
        )
        assert.isTrue(first !== undefined && Either.isRight(first))
        assert.strictEqual(
          second !== undefined &&
            Either.isLeft(second) &&
            second.left._tag === "CommandRefused" &&
            second.left.code,
          "under-way"
        )
        assert.deepStrictEqual(readdirSync(join(path, "index")), ["g002-e1"])
        assert.strictEqual((yield* replay(() => Effect.void)).generation.to, "g003")
      }).pipe(Effect.provide(context))
    })
  )
})
