/** A replay onto Qdrant, killed and run again: the same fingerprint, no embedding call, and no collection left over. */
import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { bundleChild } from "../support/bundledChild.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { makeQdrantDouble, type QdrantDouble } from "../support/qdrant/QdrantDouble.ts"
import type { StoreCopy } from "../support/qdrant/Store.ts"
import { type ChildTask, runTask, type TaskEnd } from "../support/runtimeTask.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** `REPRISE_CRASH=all` kills at every failpoint that a replay reaches, first and last hit, and at ten moments. */
const thorough = process.env["REPRISE_CRASH"] === "all"
const usual = ["index.row", "index.marker.after", "generation.promote.after", "generation.drop.before"]

class Replays extends Context.Tag("Replays")<
  Replays,
  {
    readonly double: QdrantDouble
    /** A data directory as it is before the replay, and the server as it was with it. */
    readonly fresh: Effect.Effect<string>
    readonly run: (data: string, task?: Partial<ChildTask>, killAfterMs?: number) => Effect.Effect<TaskEnd>
    readonly uninterrupted: TaskEnd
    readonly elapsedMs: number
    readonly fingerprint: string
  }
>() {}

const replays = Layer.scoped(
  Replays,
  Effect.gen(function* () {
    const script = yield* Effect.promise(() => bundleChild("runtimeChild"))
    const double = yield* makeQdrantDouble()
    const folder = yield* temporaryDirectory
    const root = join(folder, "root")
    const base = join(folder, "base")
    writeMixedTree(root)
    const settings: ChildTask["settings"] = {
      files: { jobs: 1 },
      embedding: { dimensions: 64 },
      index: "qdrant",
      qdrant: { url: double.url }
    }
    const run = (data: string, task: Partial<ChildTask> = {}, killAfterMs?: number) =>
      Effect.promise(() =>
        runTask(
          script,
          { data, settings, failpoints: "", acts: [{ act: "replay" }], ...task },
          killAfterMs === undefined ? {} : { killAfterMs }
        )
      )
    const added = yield* run(base, { acts: [{ act: "add", root }] })
    assert.isTrue(added.done, added.account)
    rmSync(root, { recursive: true })
    const before: StoreCopy = double.snapshot()
    let copies = 0
    const fresh = Effect.sync(() => {
      const data = join(folder, `data-${++copies}`)
      cpSync(base, data, { recursive: true })
      double.restore(before)
      return data
    })
    const reference = yield* fresh
    const started = performance.now()
    const uninterrupted = yield* run(reference, { note: true })
    const elapsedMs = performance.now() - started
    return { double, fresh, run, uninterrupted, elapsedMs, fingerprint: fingerprintOf(uninterrupted) }
  })
)

const fingerprintOf = (end: TaskEnd): string => {
  const said = end.said.at(-1)
  assert.isTrue(end.done, end.account)
  if (said === undefined || !("replayed" in said)) return assert.fail(end.account)
  assert.deepStrictEqual([said.replayed.fingerprint.equal, said.replayed.embeddings.computed], [true, 0])
  return said.replayed.fingerprint.actual
}

const Aliases = Schema.Struct({
  result: Schema.Struct({
    aliases: Schema.Array(Schema.Struct({ alias_name: Schema.String, collection_name: Schema.String }))
  })
})

/** After a kill: replayed again, it ends as if nothing had happened. */
const assertRecovers = (data: string, what: string) =>
  Effect.gen(function* () {
    const { double, fingerprint, run } = yield* Replays
    assert.strictEqual(fingerprintOf(yield* run(data)), fingerprint, what)
    assert.lengthOf(double.collections(), 1, `${what}: collections left over`)
    const aliases = yield* Effect.promise(async () => {
      const answer = await fetch(`${double.url}/aliases`)
      return Schema.decodeUnknownSync(Aliases)(await answer.json()).result.aliases
    })
    assert.deepStrictEqual(
      aliases.map(({ collection_name }) => collection_name),
      double.collections(),
      `${what}: the alias`
    )
    assert.deepStrictEqual(double.violations, [])
  })

layer(replays, { timeout: "120 seconds", excludeTestServices: true })(
  "a replay onto Qdrant, killed and run again, ends as an uninterrupted one",
  (it) => {
    const killed = (failpoint: string, hit: number) =>
      Effect.gen(function* () {
        const { fresh, run } = yield* Replays
        const data = yield* fresh
        const what = `killed at ${failpoint}, hit ${hit}`
        const end = yield* run(data, { failpoints: `${failpoint}:${hit}:kill` })
        // Each thread counts for itself: a later hit need not come in one of them.
        assert.isTrue(end.signal === "SIGKILL" || (hit > 1 && end.done), `${what}: ${end.account}`)
        yield* assertRecovers(data, what)
      })

    for (const failpoint of usual) it.effect(`at ${failpoint}`, () => killed(failpoint, 1), 120_000)

    it.effect(
      `at ${thorough ? 10 : 1} moments`,
      () =>
        Effect.gen(function* () {
          const { elapsedMs, fresh, run } = yield* Replays
          for (let kill = 0; kill < (thorough ? 10 : 1); kill++) {
            const data = yield* fresh
            const after = Math.ceil(((kill + 0.7) / (thorough ? 10 : 1)) * elapsedMs)
            yield* run(data, {}, after)
            yield* assertRecovers(data, `killed after ${after} ms`)
          }
        }),
      600_000
    )

    it.effect.skipIf(!thorough)(
      "at every failpoint that it reaches",
      () =>
        Effect.gen(function* () {
          const { uninterrupted } = yield* Replays
          for (const [failpoint, count] of uninterrupted.reached)
            for (const hit of new Set([1, count])) yield* killed(failpoint, hit)
        }),
      1_800_000
    )
  }
)
