import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { ascending } from "../../src/documents/RadixSort.ts"

/** By key, equal ones by place. */
const expected = (keys: ReadonlyArray<number>) =>
  keys.map((_, at) => at).sort((one, other) => (keys[one] ?? 0) - (keys[other] ?? 0) || one - other)

const sorted = (keys: ReadonlyArray<number>) => [
  ...ascending(Uint32Array.from(keys), keys.length).subarray(0, keys.length)
]

describe("the order of numbers", () => {
  it("ascends, and leaves equal ones as they stood, however they are spread", () => {
    const keys = fc.oneof(
      fc.array(fc.integer({ min: 0, max: 2 ** 32 - 1 })),
      fc.array(fc.integer({ min: 0, max: 20 })),
      fc.array(fc.constantFrom(0, 1, 255, 256, 65_536, 2 ** 31, 2 ** 32 - 1))
    )
    fc.assert(fc.property(keys, (keys) => assert.deepStrictEqual(sorted(keys), expected(keys))))
  })

  it("ascends where nearly all numbers share their highest bits, and beyond the size that buckets are for", () => {
    for (const size of [1_000, 5_000]) {
      const keys = Array.from({ length: size }, (_, at) => (at === 0 ? 2 ** 32 - 1 : size - at))
      assert.deepStrictEqual(sorted(keys), expected(keys))
    }
  })
})
