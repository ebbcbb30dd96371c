/** Bodies that are asked for in pieces: how often they are read, and how many are kept. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, TestClock } from "effect"
import { makeRecentBodies } from "../../src/bus/nats/RecentBodies.ts"

const made = Effect.gen(function* () {
  const bodies = yield* makeRecentBodies({ mostBytes: 100, idle: Duration.seconds(10) })
  const read: Array<string> = []
  const ask = (key: string, bytes: number) =>
    bodies.get(
      key,
      Effect.zipRight(
        Effect.yieldNow(),
        Effect.sync(() => {
          read.push(key)
          return new Uint8Array(bytes)
        })
      )
    )
  return { bodies, ask, read }
})

describe("bodies that are asked for in pieces", () => {
  it.scoped("are read once, however many ask at a time", () =>
    Effect.gen(function* () {
      const { ask, read } = yield* made
      yield* Effect.forEach([1, 2, 3, 4], () => ask("a", 60), { concurrency: "unbounded" })
      yield* ask("a", 60)
      assert.deepStrictEqual(read, ["a"])
    })
  )

  it.scoped("are kept up to a number of bytes: the one that was asked for longest ago goes first", () =>
    Effect.gen(function* () {
      const { ask, read } = yield* made
      for (const key of ["a", "b", "b", "c", "b", "a", "b"]) yield* ask(key, 45)
      assert.deepStrictEqual(read, ["a", "b", "c", "a"])
    })
  )

  it.scoped("stay while they are asked for, even where one alone is over the bound", () =>
    Effect.gen(function* () {
      const { ask, read } = yield* made
      yield* ask("large", 1_000)
      yield* ask("large", 1_000)
      yield* ask("small", 1)
      yield* ask("large", 1_000)
      assert.deepStrictEqual(read, ["large", "small", "large"])
    })
  )

  it.scoped("go when nothing of them was asked for during a while", () =>
    Effect.gen(function* () {
      const { ask, read } = yield* made
      yield* ask("a", 10)
      for (const _ of [1, 2, 3]) {
        yield* TestClock.adjust("10 seconds")
        yield* ask("a", 10)
      }
      assert.deepStrictEqual(read, ["a"])
      yield* TestClock.adjust("20 seconds")
      yield* ask("a", 10)
      assert.deepStrictEqual(read, ["a", "a"])
    })
  )

  it.scoped("are looked for again where they were absent or could not be read", () =>
    Effect.gen(function* () {
      const { bodies } = yield* made
      assert.isUndefined(yield* bodies.get("a", Effect.succeed(undefined)))
      assert.strictEqual(yield* Effect.flip(bodies.get("a", Effect.fail("the disk"))), "the disk")
      assert.lengthOf((yield* bodies.get("a", Effect.succeed(new Uint8Array(3)))) ?? [], 3)
    })
  )
})
