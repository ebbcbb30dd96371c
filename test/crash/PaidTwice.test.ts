import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bundleChild } from "../support/bundledChild.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { runTask } from "../support/runtimeTask.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

const batchSize = 4
const concurrency = 2

describe("E6: a provider that is paid by input", () => {
  for (const failpoint of [
    "provider.answered:1",
    "provider.answered:3",
    "vector.write.before:2",
    "vector.write.after:2",
    "vectors.recorded.before:1",
    "vectors.recorded.after:2"
  ]) {
    it.scopedLive(
      `answers only the batches in flight twice when it is killed at ${failpoint}`,
      () =>
        Effect.gen(function* () {
          const provider = yield* makeProviderServer()
          const folder = yield* temporaryDirectory
          const root = join(folder, "root")
          writeMixedTree(root)
          const script = yield* Effect.promise(() => bundleChild("runtimeChild"))
          const settings = {
            files: { jobs: 1 },
            embedding: { provider: "openai", url: provider.url, model: "test-model", batchSize, concurrency }
          } as const
          const add = (name: string, failpoints: string) =>
            Effect.promise(() =>
              runTask(script, {
                data: join(folder, name),
                settings,
                failpoints,
                acts: [{ act: "add", root }]
              })
            )
          const whole = yield* add("whole", "")
          assert.isTrue(whole.done, whole.account)
          const once = provider.embedded()
          const killed = yield* add("killed", `${failpoint}:kill`)
          assert.strictEqual(killed.signal, "SIGKILL", killed.errors)
          const again = yield* add("killed", "")
          assert.isTrue(again.done, again.account)
          // Each start that finds no vector of the model yet asks for two more, to learn its length and to know it again.
          assert.isAtMost(provider.embedded() - once, once + batchSize * concurrency + 4)
          assert.strictEqual(
            assertWhole(join(folder, "killed"), failpoint).index.fingerprint,
            assertWhole(join(folder, "whole"), "whole").index.fingerprint
          )
          const asked = provider.connections().opened
          const unchanged = yield* add("killed", "")
          assert.isTrue(unchanged.done, unchanged.account)
          assert.strictEqual(provider.connections().opened, asked, "an unchanged add reached the provider")
        }),
      120_000
    )
  }
})
