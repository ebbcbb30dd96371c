/** Who may have how many requests answered at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { makeInHand } from "../../src/messaging/InHand.ts"

const limits = { project: 2, team: 3, all: 5 }

describe("requests in hand", () => {
  it.effect("are bounded for a project, for a team and for all, and others have places of their own", () =>
    Effect.gen(function* () {
      const inHand = makeInHand(limits)
      const began = (team: string, project: string) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.fork(inHand.within({ team, project }, Effect.never))
          yield* Effect.yieldNow()
          return (yield* Fiber.poll(fiber))._tag === "None"
        })
      const asked = ["a/x", "a/x", "a/x", "a/y", "a/z", "b/x", "b/x", "c/x"]
      const outcomes = yield* Effect.forEach(asked, (one) => began(one.slice(0, 1), one.slice(2)))
      assert.deepStrictEqual(outcomes, [true, true, false, true, false, true, true, false])
      assert.strictEqual(inHand.count(), 5)
    })
  )

  it.effect("give their places back, however they end", () =>
    Effect.gen(function* () {
      const inHand = makeInHand(limits)
      const scope = { team: "a", project: "x" }
      for (const _ of [1, 2, 3, 4]) {
        yield* Effect.exit(inHand.within(scope, Effect.die("planted")))
        yield* Effect.exit(inHand.within(scope, Effect.fail("planted")))
        const waits = yield* Effect.fork(inHand.within(scope, Effect.never))
        yield* Effect.yieldNow()
        yield* Fiber.interrupt(waits)
      }
      assert.deepStrictEqual(yield* inHand.within(scope, Effect.succeed(1)), Option.some(1))
      assert.strictEqual(inHand.count(), 0)
    })
  )
})
