/** How files go through a pass: what is bounded, and in which order things happen. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"
import { flow } from "../../actors/Ingestor/Flow.ts"

const items = Array.from({ length: 300 }, (_, at) => at)

const settings = { window: 16, inFlightBytes: 1_000 }

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
  it.effect("carries out in the order of the scan, page by page", () =>
    Effect.gen(function* () {
      const order: Array<number> = []
      yield* flow<number, number, never>({
        settings,
        stop: yield* never,
        next: batches(),
        sizeOf: () => 1,
        look: (page) => Effect.as(Effect.repeatN(Effect.yieldNow(), (page[0] ?? 0) % 7), page),
        carryOut: (page) =>
          Effect.sync(() => {
            order.push(...page)
          })
      })
      assert.deepStrictEqual(order, items)
    })
  )

  it.effect("holds no more bytes and waits for no more ends than it may", () =>
    Effect.gen(function* () {
      let [held, mostHeld, open, mostOpen, pages, mostPages] = [0, 0, 0, 0, 0, 0]
      // One is larger than all that may be held: it stands alone.
      const heldBy = (item: number) => (item === 150 ? 1_000 : 40)
      yield* flow<number, number, never>({
        settings,
        stop: yield* never,
        next: batches(),
        sizeOf: (item) => (item === 150 ? 5_000 : 40),
        look: (page) =>
          Effect.sync(() => {
            for (const item of page) held += heldBy(item)
            mostHeld = Math.max(mostHeld, held)
            return page
          }),
        carryOut: (page, { over, stored }) =>
          Effect.gen(function* () {
            open += page.length
            mostOpen = Math.max(mostOpen, open)
            mostPages = Math.max(mostPages, ++pages)
            yield* Effect.yieldNow()
            for (const item of page) held -= heldBy(item)
            yield* stored
            for (const _ of page) {
              yield* Effect.yieldNow()
              open--
              yield* over(1)
            }
            pages--
          })
      })
      assert.isAtMost(mostHeld, settings.inFlightBytes)
      assert.isAtMost(mostOpen, settings.window)
      assert.isAbove(mostPages, 1)
      assert.strictEqual(open, 0)
    })
  )

  it.effect("one whose end is long in coming holds up no page but those that have no room beside it", () =>
    Effect.gen(function* () {
      const slow = yield* Deferred.make<void>()
      const ended: Array<number> = []
      yield* flow<number, number, never>({
        settings,
        stop: yield* never,
        next: batches(),
        sizeOf: () => 1,
        look: Effect.succeed,
        carryOut: (page, { over }) =>
          Effect.gen(function* () {
            const others = page.filter((item) => item !== 3)
            ended.push(...others)
            yield* over(others.length)
            if (others.length < page.length) yield* Deferred.await(slow)
            if (page.includes(299)) yield* Deferred.succeed(slow, undefined)
          })
      })
      assert.strictEqual(ended.length, items.length - 1)
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
        carryOut: (page) =>
          Effect.gen(function* () {
            begun.push(...page)
            if (page.includes(20)) yield* Deferred.succeed(stop, undefined)
            yield* Effect.yieldNow()
            ended += page.length
          })
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
          carryOut: (page) => (page.includes(40) ? Effect.fail("the log failed") : Effect.never)
        })
      )
      assert.strictEqual(failure, "the log failed")
    })
  )
})
