import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { Descending } from "../../src/index/embedded/Descending.ts"

/** Few and many, crowds that share a score, scores far apart and next to each other, and what is left out. */
const anyScores = fc
  .record({
    count: fc.constantFrom(0, 1, 2, 30, 500, 9000, 20_000),
    kind: fc.constantFrom("spread", "crowds", "outlier", "equal", "tiny", "mixed"),
    seed: fc.integer({ min: 1, max: 1000 }),
    leftOut: fc.constantFrom(0, 3, 1)
  })
  .map(({ count, kind, leftOut, seed }) => {
    const scoreOf = (at: number): number => {
      const any = Math.sin(seed * 12.9898 + at * 78.233)
      if (kind === "spread") return any
      if (kind === "crowds") return Math.round(any * 5)
      if (kind === "outlier") return at === 7 ? 1e9 : any
      if (kind === "equal") return 0.5
      if (kind === "tiny") return Math.round(any * 9) * 2 ** -1074
      return any > 0.9 ? any * 1e6 : any < -0.5 ? 0 : any * 1e-6
    }
    return Float64Array.from({ length: count }, (_, at) =>
      leftOut > 0 && at % leftOut === 0 ? Number.NEGATIVE_INFINITY : scoreOf(at)
    )
  })

/** All that it gives, with a floor that rises as a search's does. */
const givenBy = (
  descending: Descending,
  scores: Float64Array,
  asks: ReadonlyArray<number>,
  enough: number
): ReadonlyArray<number> => {
  const given: Array<number> = []
  let floor = Number.NEGATIVE_INFINITY
  for (let ask = 0; ; ask++) {
    const wanted = asks[ask % asks.length] ?? 1
    const found = Array.from(descending.next(wanted, floor))
    assert.isAtMost(found.length, wanted)
    if (found.length === 0) return given
    given.push(...found)
    if (given.length >= enough) floor = Math.max(floor, scores[given[enough - 1] ?? 0] ?? 0)
  }
}

describe("members by descending score", () => {
  it("come each once, the best first, until none is left that reaches the floor", () => {
    fc.assert(
      fc.property(
        anyScores,
        fc.array(fc.constantFrom(1, 7, 32, 100, 1000), { minLength: 1, maxLength: 3 }),
        fc.constantFrom(1, 50, 300, Number.POSITIVE_INFINITY),
        fc.constantFrom("all", "some"),
        (scores, asks, enough, which) => {
          const some = Uint32Array.from(scores.keys()).filter((member) => member % 3 !== 1)
          const members = which === "all" ? Array.from(scores.keys()) : Array.from(some)
          const descending = new Descending(scores, which === "all" ? scores.length : some)
          const given = givenBy(descending, scores, asks, enough)
          const expected = members
            .filter((member) => scores[member] !== Number.NEGATIVE_INFINITY)
            .sort((one, other) => (scores[other] ?? 0) - (scores[one] ?? 0))
          const floor = scores[expected[enough - 1] ?? -1] ?? Number.NEGATIVE_INFINITY
          const reaching = expected.filter((member) => (scores[member] ?? 0) >= floor)
          assert.strictEqual(new Set(given).size, given.length)
          // Those below the floor may come before it is known.
          assert.isAtLeast(given.length, reaching.length)
          assert.deepStrictEqual(
            given.map((member) => scores[member]),
            expected.slice(0, given.length).map((member) => scores[member])
          )
          const among = new Set(members)
          assert.isTrue(given.every((member) => among.has(member)))
        }
      ),
      { numRuns: 150, seed: 11 }
    )
  })
})
