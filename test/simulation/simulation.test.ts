/**
 * Schedules of operations and faults against the whole server in one thread, under a clock that only this test moves.
 *
 * REPRISE_SCHEDULES=1000 runs that many, REPRISE_FROM=5000 begins at another seed, REPRISE_SEED=17 runs one alone, and
 * REPRISE_SCHEDULE='{…}' one that was written down.
 */
import { assert, describe, it } from "@effect/vitest"
import { reportCount } from "../support/figures.ts"
import { type Fault, type Operation, type Schedule, scheduleOf } from "./Schedule.ts"
import { shrink } from "./Shrink.ts"
import { report, trial } from "./Trial.ts"

const numberIn = (name: string): number | undefined => {
  const text = process.env[name]
  return text === undefined || text === "" ? undefined : Number(text)
}
const written = process.env["REPRISE_SCHEDULE"]
const seed = numberIn("REPRISE_SEED")
const wide = numberIn("REPRISE_SCHEDULES")
const from = seed ?? numberIn("REPRISE_FROM") ?? 1
/** Without being told how many, as many as fit into this. */
const budgetMs = 15_000
const count = written !== undefined || seed !== undefined ? 1 : (wide ?? 25)

describe("whatever is interleaved, lost, repeated, refused or killed", () => {
  it(
    "nothing acknowledged is lost, nothing is done twice, and the index equals the fold of the log",
    () => {
      const began = Date.now()
      const broken: Array<string> = []
      let ran = 0
      let steps = 0
      for (; ran < count && (wide !== undefined || Date.now() - began < budgetMs); ran++) {
        const schedule: Schedule = written === undefined ? scheduleOf(from + ran) : JSON.parse(written)
        const verdict = trial(schedule)
        steps += verdict.steps
        if (verdict.broken === undefined) continue
        broken.push(report(schedule, verdict))
        // One tells as much as many, and the rest of the time goes into its shortest form.
        if (wide === undefined || broken.length >= 5) break
      }
      const seconds = (Date.now() - began) / 1000
      reportCount({ figure: "simulated schedules", count: ran, seed: from })
      console.info(`${ran} schedules from seed ${from}: ${steps} steps, ${seconds.toFixed(1)} s`)
      assert.deepStrictEqual(broken, [], broken.join("\n\n"))
    },
    wide === undefined ? 120_000 : 24 * 3_600_000
  )

  it("a seed gives the same run to the last byte: every step at its time, and the same log", () => {
    for (const one of [3, 12]) {
      const [first, second] = [trial(scheduleOf(one)), trial(scheduleOf(one))]
      assert.deepStrictEqual(second, first)
      // Written down with the faults that struck, it runs the same way, too.
      assert.deepStrictEqual(trial({ ...scheduleOf(one), faults: first.struck }).head, first.head)
    }
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
