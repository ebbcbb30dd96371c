import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { LookAhead } from "../../actors/Ingestor/LookAhead.ts"

interface Item {
  readonly name: number
  readonly bytes: number
}

const itemsOf = (sizes: ReadonlyArray<number>): ReadonlyArray<Item> =>
  sizes.map((bytes, name) => ({ name, bytes }))

/** Cut where it is said, one after the other. */
const cut = (items: ReadonlyArray<Item>, lengths: ReadonlyArray<number>) => {
  const parts: Array<ReadonlyArray<Item>> = []
  let from = 0
  for (const length of lengths) {
    parts.push(items.slice(from, from + length))
    from += length
  }
  return [...parts, items.slice(from)]
}

const lengths = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 6 })

describe("a look ahead", () => {
  it.effect(
    "leads to what a look at each page leads to, at each item once and no more of them than may be held",
    () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 16 }),
            lengths,
            lengths,
            (sizes, batches, pages) =>
              Effect.gen(function* () {
                const limits = { items: 6, bytes: 12 }
                const items = itemsOf(sizes)
                const seen: Array<number> = []
                const ahead = new LookAhead<Item, string, never>({
                  limits,
                  sizeOf: ({ bytes }) => bytes,
                  look: (some) =>
                    Effect.forEach(some, ({ name }) =>
                      Effect.as(Effect.yieldNow(), `step ${name}`).pipe(
                        Effect.tap(() => Effect.sync(() => seen.push(name)))
                      )
                    )
                })
                for (const batch of cut(items, batches)) yield* ahead.begin(batch)
                yield* Effect.repeatN(Effect.yieldNow(), 100)
                const early = seen.map((name) => sizes[name] ?? 0)
                assert.isAtMost(early.length, limits.items)
                assert.isAtMost(
                  early.reduce((sum, bytes) => sum + bytes, 0),
                  limits.bytes
                )
                const steps: Array<string> = []
                for (const page of cut(items, pages)) steps.push(...(yield* ahead.steps(page)))
                assert.deepStrictEqual(
                  steps,
                  items.map(({ name }) => `step ${name}`)
                )
                assert.deepStrictEqual(
                  [...seen].sort((one, other) => one - other),
                  items.map(({ name }) => name)
                )
              }).pipe(Effect.scoped, Effect.runPromise)
          )
        )
      )
  )

  it.scoped(
    "looks before anybody asks at what there is room for, and at nothing after the first that there is none for",
    () =>
      Effect.gen(function* () {
        const seen: Array<number> = []
        const ahead = new LookAhead<Item, number, never>({
          limits: { items: 6, bytes: 3 },
          sizeOf: ({ bytes }) => bytes,
          look: (some) => Effect.sync(() => some.map(({ name }) => seen.push(name)))
        })
        for (const item of itemsOf([1, 2, 1, 0])) yield* ahead.begin([item])
        yield* Effect.yieldNow()
        assert.deepStrictEqual(seen, [0, 1])
      })
  )

  it.scoped("that fails fails the page of what it looked at", () =>
    Effect.gen(function* () {
      const [item] = itemsOf([1])
      if (item === undefined) return
      const ahead = new LookAhead<Item, string, string>({
        limits: { items: 1, bytes: 1 },
        sizeOf: ({ bytes }) => bytes,
        look: () => Effect.fail("no disk")
      })
      yield* ahead.begin([item])
      assert.strictEqual(yield* Effect.flip(ahead.steps([item])), "no disk")
    })
  )
})
