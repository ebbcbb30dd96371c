import { spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { rows } from "./Rows.ts"

const root = join(import.meta.dirname, "..", "..")

const figures = (counted: string) =>
  spawnSync(process.execPath, ["scripts/figures.js", "--ci", "--from", counted], {
    cwd: root,
    encoding: "utf8"
  })

describe("the table of figures", () => {
  it.scoped("passes where each row has what CI asks for, and names the one that falls short", () =>
    Effect.gen(function* () {
      const counted = join(yield* temporaryDirectory, "counted")
      const enough = rows.map(({ ci, figure }) => ({ figure, count: ci, seed: 7 }))
      const write = (all: ReadonlyArray<object>) =>
        writeFileSync(counted, all.map((one) => `${JSON.stringify(one)}\n`).join(""))
      write(enough)
      const passed = figures(counted)
      assert.strictEqual(passed.status, 0, passed.stderr)
      assert.include(passed.stdout, "from 7")
      write(enough.filter(({ figure }) => figure !== "power-cut images"))
      const failed = figures(counted)
      assert.strictEqual(failed.status, 1)
      assert.include(failed.stdout, "power-cut images: fewer were run than were asked for")
    })
  )

  it("has tests for each of its rows, and these report it", () => {
    const sources = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && !file.startsWith("figures"))
      .map((file) => readFileSync(join(root, "test", file), "utf8"))
      .join("\n")
    for (const { figure, option, run } of rows) {
      if (run.kind === "tests")
        for (const file of run.files) assert.isTrue(existsSync(join(root, file)), `${option}: ${file}`)
      if (option !== "soak") assert.include(sources, `figure: "${figure}"`, option)
    }
  })
})
