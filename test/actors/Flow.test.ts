/** How files go through a pass: what is bounded, and in which order things happen. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { flow } from "../../actors/Ingestor/Flow.ts"

const items = Array.from({ length: 300 }, (_, at) => at)

const settings = { readers: 8, window: 16, inFlightBytes: 1_000 }

/** Hands out items in batches of 70, as a scan does. */
const batches = (): Effect.Effect<ReadonlyArray<number> | undefined> => {
  let from = 0
  return Effect.sync(() => {
    if (from >= items.length) return undefined
    from += 70
    return items.slice(from - 70, from)
  })
}

const never = Deferred.make<void>()

describe("a pass's flow of files", () => {
  it.effect("carries out in the order of the scan, whichever look ends first", () =>
    Effect.gen(function* () {
      const order: Array<number> = []
      yield* flow({
        settings,
        stop: yield* never,
        next: batches(),
        sizeOf: () => 1,
        look: (item) => Effect.as(Effect.repeatN(Effect.yieldNow(), item % 7), item),
        carryOut: (item) => {
          order.push(item)
          return undefined
        }
      })
      assert.deepStrictEqual(order, items)
    })
  )

  it.effect("holds no more bytes and waits for no more ends than it may", () =>
    Effect.gen(function* () {
      let [held, mostHeld, open, mostOpen] = [0, 0, 0, 0]
      yield* flow<number, number, never>({
        settings,
        stop: yield* never,
        next: batches(),
        // One is larger than all that may be held: it stands alone.
        sizeOf: (item) => (item === 150 ? 5_000 : 90),
        look: (item) =>
          Effect.sync(() => {
            held += item === 150 ? 1_000 : 90
            mostHeld = Math.max(mostHeld, held)
            return item
          }),
        carryOut: (item, stored) =>
          Effect.gen(function* () {
            mostOpen = Math.max(mostOpen, ++open)
            yield* Effect.yieldNow()
            held -= item === 150 ? 1_000 : 90
            yield* stored
            yield* Effect.yieldNow()
            open--
          })
      })
      assert.isAtMost(mostHeld, settings.inFlightBytes)
      assert.isAtMost(mostOpen, settings.window)
      assert.strictEqual(open, 0)
    })
  )

  it.effect("finishes what is under way and begins nothing more once it is to stop", () =>
    Effect.gen(function* () {
      const stop = yield* never
      const begun: Array<number> = []
      let ended = 0
      yield* flow<number, number, never>({
        settings,
        stop,
        next: batches(),
        sizeOf: () => 1,
        look: Effect.succeed,
        carryOut: (item) => {
          begun.push(item)
          return Effect.gen(function* () {
            if (item === 20) yield* Deferred.succeed(stop, undefined)
            yield* Effect.yieldNow()
            ended++
          })
        }
      })
      assert.isBelow(begun.length, 70)
      assert.strictEqual(ended, begun.length)
    })
  )

  it.effect("ends with the first failure", () =>
    Effect.gen(function* () {
      const failure = yield* Effect.flip(
        flow<number, number, string>({
          settings: { ...settings, window: 64 },
          stop: yield* never,
          next: batches(),
          sizeOf: () => 1,
          look: Effect.succeed,
          carryOut: (item) => (item === 40 ? Effect.fail("the log failed") : Effect.never)
        })
      )
      assert.strictEqual(failure, "the log failed")
    })
  )
})
