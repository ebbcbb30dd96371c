import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { together } from "../../src/threads/Together.ts"

const crossings = (isIdle: boolean) => {
  const crossed: Array<ReadonlyArray<number>> = []
  const post = together<number>(
    (messages) => crossed.push(messages),
    () => assert.fail("Every message can be cloned."),
    { isIdle: () => isIdle }
  )
  return { crossed, post }
}
const endOfStep = Effect.promise(() => Promise.resolve())

describe("what is sent within one step", () => {
  it.effect("crosses together at its end", () =>
    Effect.gen(function* () {
      const { crossed, post } = crossings(false)
      for (const message of [1, 2, 3]) post(message, [])
      assert.deepStrictEqual(crossed, [])
      yield* endOfStep
      assert.deepStrictEqual(crossed, [[1, 2, 3]])
    })
  )

  it.effect("has its first cross at once where the other side has nothing to do, in every step", () =>
    Effect.gen(function* () {
      const { crossed, post } = crossings(true)
      for (const message of [1, 2, 3]) post(message, [])
      assert.deepStrictEqual(crossed, [[1]])
      yield* endOfStep
      assert.deepStrictEqual(crossed, [[1], [2, 3]])
      post(4, [])
      assert.deepStrictEqual(crossed, [[1], [2, 3], [4]])
    })
  )
})
