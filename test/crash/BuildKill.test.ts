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

describe("P1: a build killed between the last vector and its use", () => {
  it.scopedLive(
    "ends when it is run again, though nothing is left to be computed",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        const root = join(folder, "root")
        const data = join(folder, "data")
        mkdirSync(root)
        writeFileSync(join(root, "note.md"), "# Tides\n\nThe tide comes twice a day.\n")
        const script = yield* Effect.promise(() => bundleChild("runtimeChild"))
        const added = yield* Effect.promise(() =>
          runTask(script, { data, settings: smallSettings, failpoints: "", acts: [{ act: "add", root }] })
        )
        assert.isTrue(added.done, added.errors)
        const build = (failpoints: string) =>
          Effect.promise(() =>
            runTask(script, { data, settings: otherSettings, failpoints, acts: [{ act: "build" }] })
          )
        const killed = yield* build("vector.write.after:1:kill")
        assert.strictEqual(killed.signal, "SIGKILL", killed.errors)
        const again = yield* build("")
        assert.isTrue(again.done, again.errors)
        assertWhole(data, "built after all")
      }),
    120_000
  )
})
