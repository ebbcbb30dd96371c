/** Files are looked at one after the other where they answer at once, and several at a time where they do not. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, TestClock } from "effect"
import { spreadOver } from "../../src/sources/Spread.ts"

const files = Array.from({ length: 50 }, (_, at) => at)

/** What each lane was asked, where a file takes so many milliseconds and an answer is heard of so much later. */
const asked = (
  spread: ReturnType<typeof spreadOver<string>>,
  items: ReadonlyArray<number>,
  msEach: number,
  heardAfterMs = 0
) =>
  Effect.gen(function* () {
    const lanes: Array<readonly [string, number]> = []
    const fiber = yield* Effect.fork(
      spread(items, (lane, slice) => {
        lanes.push([lane, slice.length])
        const tookMs = msEach * slice.length
        const answer = slice.map((item) => item * 2)
        return Effect.delay(Effect.succeed({ answer, tookMs }), tookMs + heardAfterMs)
      })
    )
    yield* TestClock.adjust("1 hour")
    assert.deepStrictEqual(
      yield* Fiber.join(fiber),
      items.map((item) => item * 2)
    )
    return lanes
  })

const four = ["a", "b", "c", "d"]

describe("what is asked about many files", () => {
  it.effect("goes to one lane for as long as files answer at once", () =>
    Effect.gen(function* () {
      const spread = spreadOver(four)
      for (let pass = 0; pass < 3; pass++) {
        assert.deepStrictEqual(yield* asked(spread, files, 0.1), [["a", 50]])
      }
    })
  )

  it.effect("goes to all lanes once files were slow, and is answered in order", () =>
    Effect.gen(function* () {
      const spread = spreadOver(four)
      assert.deepStrictEqual(yield* asked(spread, files, 5), [["a", 50]])
      assert.deepStrictEqual(yield* asked(spread, files, 5), [
        ["a", 13],
        ["b", 13],
        ["c", 13],
        ["d", 11]
      ])
      assert.deepStrictEqual(yield* asked(spread, [1], 5), [["a", 1]])
      assert.deepStrictEqual(yield* asked(spread, [], 5), [])
    })
  )

  it.effect("takes no file for slow because whoever asked was busy", () =>
    Effect.gen(function* () {
      const spread = spreadOver(four)
      for (let pass = 0; pass < 3; pass++) {
        assert.deepStrictEqual(yield* asked(spread, files, 0.1, 5000), [["a", 50]])
      }
    })
  )

  it.effect("takes nothing for slow because of a few files", () =>
    Effect.gen(function* () {
      const spread = spreadOver(four)
      assert.deepStrictEqual(yield* asked(spread, [1, 2], 500), [["a", 2]])
      assert.deepStrictEqual(yield* asked(spread, files, 0.1), [["a", 50]])
    })
  )
})
