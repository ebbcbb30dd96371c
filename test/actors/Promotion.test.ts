/** A generation takes over when it was read back from its own bytes and is what the log says; not before. */
import { readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Either, Layer, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { Failpoints } from "../../src/faults/Failpoints.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { addRoot } from "../support/embeddedRuntime.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** With one document in it. `at` hears of every failpoint. */
const runningWith = Effect.fnUntraced(function* (at: (name: string, path: string) => void) {
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
  ).pipe(Effect.provideService(Failpoints, { hit: (name) => at(name, path) }))
  return { context, path, root }
})
const running = runningWith(() => {})

const spoiled = (path: string): number => {
  const db = new Database(join(path, "index", "g002-e1", "default.default.sqlite"))
  try {
    return db.prepare("UPDATE points SET dense = zeroblob(length(dense))").run().changes
  } finally {
    db.close()
  }
}

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
            spoilt += spoiled(path)
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

  it.scopedLive("reads all of it again where it was begun anew after it was read", () =>
    Effect.gen(function* () {
      let isRead = false
      const { context, path, root } = yield* runningWith((name, path) => {
        if (name !== "generation.verify.after" || isRead) return
        isRead = true
        for (const file of readdirSync(join(path, "state")))
          if (file.startsWith("g002")) rmSync(join(path, "state", file))
      })
      yield* Effect.gen(function* () {
        const { replay } = yield* Writer
        yield* addRoot(root)
        let spoilt = 0
        const spoil = ({ phase }: { readonly phase: string }) =>
          Effect.sync(() => {
            if (phase === "applying" && isRead && spoilt === 0) spoilt += spoiled(path)
          })
        const refused = yield* Effect.flip(replay(spoil))
        assert.strictEqual(refused._tag === "PromotionRefused" && refused.code, "differs")
        assert.strictEqual(spoilt, 1)
        assert.strictEqual((yield* replay(() => Effect.void)).fingerprint.equal, true)
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
