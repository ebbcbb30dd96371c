/** Health means progress. */
import { assert, describe, it } from "@effect/vitest"
import { noStalls, observe, reasons, type Track } from "../../src/runtime/Stalls.ts"

const track = (waiting: number, mark: string): Track => ({ name: "lane", waiting, mark, limitMs: 100 })

/** Looks at each moment in turn; answers what is said at the last. */
const said = (...moments: ReadonlyArray<readonly [at: number, track: Track]>) => {
  let stalls = noStalls
  let last: ReadonlyArray<string> = []
  for (const [at, one] of moments) {
    stalls = observe(stalls, [one], at)
    last = reasons(stalls, [one], at)
  }
  return last
}

describe("work", () => {
  it("stalls when something waits for longer than it may and nothing is done", () => {
    assert.deepStrictEqual(said([0, track(3, "a")], [101, track(3, "a")]), [
      "lane: 3 waiting, nothing done for 0 s"
    ])
  })

  it("does not stall before that", () => {
    assert.deepStrictEqual(said([0, track(3, "a")], [100, track(3, "a")]), [])
  })

  it("does not stall while anything is done, however much waits", () => {
    assert.deepStrictEqual(said([0, track(3, "a")], [90, track(9, "b")], [180, track(9, "b")]), [])
  })

  it("does not stall where nothing waits, and waits anew from when something does", () => {
    assert.deepStrictEqual(said([0, track(0, "a")], [900, track(0, "a")]), [])
    assert.deepStrictEqual(said([0, track(0, "a")], [900, track(0, "a")], [950, track(1, "a")]), [])
  })

  it("is over its stall when something is done", () => {
    assert.deepStrictEqual(said([0, track(1, "a")], [500, track(1, "a")], [501, track(1, "b")]), [])
  })
})
