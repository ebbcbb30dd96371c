import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bundleChild } from "../support/bundledChild.ts"
import { runTask } from "../support/runtimeTask.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"
import { killing } from "./killing.ts"
import { otherSettings, smallSettings } from "./Ways.ts"

killing("build", { middle: false })

/** One document, indexed. */
const begun = Effect.gen(function* () {
  const folder = yield* temporaryDirectory
  const root = join(folder, "root")
  const data = join(folder, "data")
  mkdirSync(root)
  writeFileSync(join(root, "note.md"), "# Tides\n\nThe tide comes twice a day.\n")
  const script = yield* Effect.promise(() => bundleChild("runtimeChild"))
  const add = Effect.promise(() =>
    runTask(script, { data, settings: smallSettings, failpoints: "", acts: [{ act: "add", root }] })
  )
  const build = (failpoints: string) =>
    Effect.promise(() =>
      runTask(script, { data, settings: otherSettings, failpoints, acts: [{ act: "build" }] })
    )
  const added = yield* add
  assert.isTrue(added.done, added.errors)
  return { root, data, add, build }
})

describe("P1: a build that was killed", () => {
  it.scopedLive(
    "between the last vector and its use ends when it is run again, though nothing is left to be computed",
    () =>
      Effect.gen(function* () {
        const { build, data } = yield* begun
        const killed = yield* build("vector.write.after:1:kill")
        assert.strictEqual(killed.signal, "SIGKILL", killed.errors)
        const again = yield* build("")
        assert.isTrue(again.done, again.errors)
        assertWhole(data, "built after all")
      }),
    120_000
  )

  it.scopedLive(
    "does not stand in the way of work under the live model, which cannot go on with it",
    () =>
      Effect.gen(function* () {
        const { add, build, root } = yield* begun
        const killed = yield* build("provider.answered:1:kill")
        assert.strictEqual(killed.signal, "SIGKILL", killed.errors)
        writeFileSync(join(root, "other.md"), "# Ebb\n\nThe water goes.\n")
        const added = yield* add
        assert.isTrue(added.done, added.errors)
        const again = yield* build("")
        assert.isTrue(again.done, again.errors)
      }),
    120_000
  )
})
