import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { isVector, unitVector } from "../../src/embedding/UnitVector.ts"

const length = (vector: Float32Array): number =>
  Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))

describe("unitVector", () => {
  it("scales whatever is finite and not zero to unit length, without −0", () => {
    const component = fc.oneof(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.constantFrom(0, -0, 1e308, -1e308, 1e-300, -1e-40, 5e-324)
    )
    fc.assert(
      fc.property(fc.array(component, { minLength: 1, maxLength: 64 }), (raw) => {
        fc.pre(raw.some((value) => Math.abs(value) > 1e-30))
        const vector = unitVector(raw, raw.length)
        if (!isVector(vector)) return assert.fail(vector.problem)
        assert.approximately(length(vector), 1, 1e-6)
        assert.isFalse(vector.some((value) => Object.is(value, -0)))
      })
    )
  })

  it("turns a negative that float32 cannot hold into +0", () => {
    const vector = unitVector([1, -1e-60, -0], 3)
    assert.deepStrictEqual(vector, Float32Array.from([1, 0, 0]))
  })

  it("changes a unit vector by no more than rounding", () => {
    const vector = unitVector([0.6, 0.8], 2)
    assert.deepStrictEqual(isVector(vector) ? unitVector(vector, 2) : undefined, vector)
  })

  const refused: ReadonlyArray<readonly [string, unknown, string]> = [
    ["NaN", [1, Number.NaN], "has NaN as component 1"],
    ["infinity", [Number.NEGATIVE_INFINITY, 1], "has -Infinity as component 0"],
    ["null", [null, 1], "has null as component 0"],
    ["text among numbers", [1, "1"], "has a string as component 1"],
    ["zeros", [0, -0], "is the zero vector"],
    ["next to nothing", [1e-45, 0], "is the zero vector"],
    ["too few", [1], "has 1 dimensions instead of 2"],
    ["too many", [1, 2, 3], "has 3 dimensions instead of 2"],
    ["base64", "AACAPw==", "is a string, not a list of numbers"],
    ["nothing", undefined, "is undefined, not a list of numbers"],
    [
      "an object that looks like a list",
      { length: 2, 0: 1, 1: 1 },

      "is an object, not a list of numbers"
    ]
  ]
  for (const [name, raw, problem] of refused)
    it(`refuses ${name}`, () => assert.deepStrictEqual<unknown>(unitVector(raw, 2), { problem }))
})
