/**
 * Schedules of operations and faults against the whole server in one thread, under a clock that only this test moves.
 *
 * REPRISE_SCHEDULES=1000 runs that many in REPRISE_JOBS processes, as many as fit into REPRISE_SECONDS; REPRISE_FROM=5000
 * begins at another seed, REPRISE_SEED=17 runs one alone, and REPRISE_SCHEDULE='{…}' one that was written down.
 */
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { setImmediate } from "node:timers/promises"
import { afterAll, assert, describe, it } from "@effect/vitest"
import { reportCount } from "../support/figures.ts"
import { removeTemplates } from "./Disk.ts"
import { bundleFolder, bundleWorker, runFleet } from "./Fleet.ts"
import { type Fault, type Operation, type Schedule, scheduleOf } from "./Schedule.ts"
import { shrink } from "./Shrink.ts"
import { pairOf, toldToFirst } from "./Tenants.ts"
import { report, trial } from "./Trial.ts"

const numberIn = (name: string): number | undefined => {
  const text = process.env[name]
  return text === undefined || text === "" ? undefined : Number(text)
}
const written = process.env["REPRISE_SCHEDULE"]
const seed = numberIn("REPRISE_SEED")
const wide = numberIn("REPRISE_SCHEDULES")
const from = numberIn("REPRISE_FROM") ?? 1
/** Without being told how many, as many as fit into this, in one process: the machine has other tests to run. */
const budgetMs = 15_000
const root = join(import.meta.dirname, "..", "..")

afterAll(removeTemplates)

describe("whatever is interleaved, lost, repeated, refused or killed", () => {
  const promise =
    "nothing acknowledged is lost, nothing is done twice, and the index equals the fold of the log"

  if (written !== undefined || seed !== undefined) {
    it(promise, { timeout: 3_600_000 }, () => {
      const schedule: Schedule = written === undefined ? scheduleOf(seed ?? from) : JSON.parse(written)
      const verdict = trial(schedule)
      reportCount({ figure: "simulated schedules", count: 1, seed: schedule.seed })
      assert.isUndefined(verdict.broken, verdict.broken === undefined ? "" : report(schedule, verdict))
    })
  } else {
    it(promise, { timeout: 48 * 3_600_000 }, async () => {
      const began = Date.now()
      const bundle = join(bundleFolder(root), "worker.mjs")
      await bundleWorker(root, bundle)
      const limit = numberIn("REPRISE_SECONDS")
      const { broken, cpuMs, ran, steps } = await runFleet({
        bundle,
        from,
        count: wide ?? 60,
        jobs: wide === undefined ? 1 : (numberIn("REPRISE_JOBS") ?? availableParallelism()),
        limitMs: limit !== undefined ? limit * 1000 : wide === undefined ? budgetMs : 48 * 3_600_000,
        mostBroken: 3,
        shrinking: true,
        yields: wide !== undefined
      })
      const seconds = (Date.now() - began) / 1000
      reportCount({ figure: "simulated schedules", count: ran, seed: from })
      console.info(
        `${ran} schedules from seed ${from}: ${steps} steps, ${seconds.toFixed(1)} s, ${(cpuMs / ran).toFixed(0)} ms of processor time each`
      )
      assert.deepStrictEqual(
        broken.map(({ broken, seed }) => `${seed}: ${broken}`),
        [],
        broken.map(({ report }) => report).join("\n\n")
      )
    })
  }

  // 300016 and 2956291 break again with their bugs planted; the others mean other schedules by now: what they met is held by the tests of
  // the Indexer (upkeep that fails) and of Reach (answers that go back), too.
  for (const once of [1020, 204_530, 300_016, 300_702, 300_733, 2_956_291])
    it(`seed ${once}, which broke a promise once, keeps all of them`, () => {
      assert.isUndefined(trial(scheduleOf(once)).broken)
    })

  it("a seed gives the same run to the last byte: every step at its time, and the same log", () => {
    for (const one of [3, 12]) {
      const [first, second] = [trial(scheduleOf(one)), trial(scheduleOf(one))]
      assert.deepStrictEqual(second, first)
      // Written down with the faults that struck, it runs the same way, too.
      assert.deepStrictEqual(trial({ ...scheduleOf(one), faults: first.struck }).head, first.head)
    }
  })
})

describe("two tenants", () => {
  /** `REPRISE_TENANTS` pairs from seed `REPRISE_FROM`. */
  const pairs = numberIn("REPRISE_TENANTS") ?? 10

  it("G5: one is told the same to the last byte, with the other one's data and without", {
    timeout: 48 * 3_600_000
  }, async () => {
    for (let seed = from; seed < from + pairs; seed++) {
      // Whoever runs the tests is to hear of this process between two pairs.
      await setImmediate()
      const { alone, together } = pairOf(seed)
      const told = toldToFirst(together)
      assert.isAbove(told.length, 0)
      assert.deepStrictEqual(told, toldToFirst(alone), `seed ${seed}`)
    }
    reportCount({ figure: "two-tenant pairs", count: pairs, seed: from })
  })
})

describe("the shortest schedule", () => {
  it("keeps the operations and faults that it takes, and no others", () => {
    const removal = (document: number, pauseMs: number): Operation => ({
      kind: "remove",
      sender: 0,
      pauseMs,
      document: String(document)
    })
    const operations = Array.from({ length: 12 }, (_, n) => removal(n, 100))
    const faults = Array.from({ length: 9 }, (_, n): Fault => ({ place: "step", nth: n, kind: "kill" }))
    const fails = (one: Schedule): boolean => {
      const documents = one.operations.flatMap((operation) =>
        "document" in operation ? [operation.document] : []
      )
      const nths = Array.isArray(one.faults) ? one.faults.map(({ nth }: Fault) => nth) : []
      return documents.includes("2") && documents.includes("9") && nths.includes(7)
    }
    const shortest = shrink({ seed: 1, inOrder: false, operations, faults }, fails)
    assert.deepStrictEqual(shortest, {
      seed: 1,
      inOrder: true,
      operations: [removal(2, 0), removal(9, 0)],
      faults: [{ place: "step", nth: 7, kind: "kill" }]
    })
  })
})
