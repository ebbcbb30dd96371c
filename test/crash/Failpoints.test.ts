import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { type FailpointName, failpointNames } from "../../src/faults/Failpoints.ts"
import {
  reachedByAdd,
  reachedByArchive,
  reachedByBuild,
  reachedByCollect,
  reachedByErase,
  reachedByPark,
  reachedByRepair,
  reachedByReplay,
  reachedByRest,
  reachedBySync
} from "./reached.ts"

const killed = new Set<FailpointName>([
  ...reachedByAdd,
  ...reachedBySync,
  ...reachedByReplay,
  ...reachedByBuild,
  ...reachedByRepair,
  ...reachedByCollect,
  ...reachedByErase,
  ...reachedByPark,
  ...reachedByRest,
  ...reachedByArchive
])

/** Steps that none of these ways takes, with the test that stops a program there. */
const elsewhere: Readonly<Partial<Record<FailpointName, string>>> = {
  "wal.checkpoint.before": "crash/LogKill.test.ts",
  "wal.checkpoint.after": "crash/LogKill.test.ts"
}

describe("every durable step", () => {
  for (const name of failpointNames) {
    it(`${name} has a test that stops the program there`, () => {
      if (killed.has(name)) return
      const test = elsewhere[name]
      assert.isDefined(test, `Add ${name} to reached.ts, or name the test that has it.`)
      const source = readFileSync(join(import.meta.dirname, "..", test ?? ""), "utf8")
      assert.include(source, name)
    })
  }
})
