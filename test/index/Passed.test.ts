import { assert, describe, it } from "@effect/vitest"
import { decodePassed, type Passed, passedBy, withPassed } from "../../src/index/Passed.ts"

const minute = 60_000
const noted = (...entries: Passed): Passed =>
  entries.reduce<Passed>((passed, [at, checkpoint]) => withPassed(passed, at, checkpoint), [])

describe("when a checkpoint was passed", () => {
  it("is known of the last entry at or before a time, and never of a later one", () => {
    const passed = noted([0, 5], [10 * minute, 9], [20 * minute, 12])
    assert.deepStrictEqual(
      [-1, 0, 10 * minute - 1, 10 * minute, 60 * minute].map((at) => passedBy(passed, at)),
      [0, 5, 5, 9, 12]
    )
  })

  it("is known though the checkpoint moves all the time", () => {
    const passed = noted(...Array.from({ length: 6_000 }, (_, at): Passed[number] => [at * 1_000, at]))
    assert.isAtMost(passed.length, 65)
    const known = passedBy(passed, 3_000_000)
    assert.isAtMost(known, 3_000)
    assert.isAbove(known, 2_000)
  })

  it("is forgotten where the clock was set back", () => {
    assert.strictEqual(passedBy(noted([100 * minute, 5], [10 * minute, 6]), 50 * minute), 6)
    assert.strictEqual(passedBy(noted([100 * minute, 5], [10 * minute, 6]), 9 * minute), 0)
  })

  it("is not known of a state that never said", () => {
    assert.deepStrictEqual(decodePassed(undefined), [])
  })
})
