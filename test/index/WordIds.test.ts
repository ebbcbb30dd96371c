import { assert, describe, it } from "@effect/vitest"
import { decodeIds, encodeIds } from "../../src/index/WordIds.ts"

describe("the words of a point", () => {
  it("come back in ascending order", () => {
    const ids = Float64Array.of(70_000, 3, 129, 128, 2 ** 31, 2 ** 32 - 1)
    assert.deepStrictEqual(decodeIds(encodeIds(ids)), [...ids.toSorted()])
  })

  it("come back in ascending order beside each other, whatever was encoded before them", () => {
    const neighbours = Float64Array.from({ length: 2_000 }, (_, at) => ((at * 1_201) % 2_000) + 1)
    const apart = Float64Array.from({ length: 500 }, (_, at) => 4_194_303 - ((at * 367) % 500) * 8_388)
    for (const ids of [neighbours, apart, Float64Array.of(64, 33, 32, 31, 1), apart, neighbours])
      assert.deepStrictEqual(decodeIds(encodeIds(ids)), [...ids.toSorted()])
  })

  it("come back where an id has more than 32 bits", () => {
    const ids = Float64Array.of(2 ** 32 + 1, 2, 2 ** 52)
    assert.deepStrictEqual(decodeIds(encodeIds(ids)), [2, 2 ** 32 + 1, 2 ** 52])
  })

  it("are a byte each where they are neighbours", () => {
    assert.strictEqual(encodeIds(Float64Array.from({ length: 100 }, (_, at) => 100 - at)).length, 100)
  })
})
