/**
 * The first files that differ are looked at while the scan goes on: what is to be done about them is known once all of it
 * is, and their bytes are at hand by then. No more than the first page of what comes, so that no more is held than ever.
 */
import { Effect, Fiber, type Scope } from "effect"
import type { PageLimits } from "./Flow.ts"

export interface LookAheadOptions<Item, Step, E> {
  readonly limits: PageLimits
  readonly sizeOf: (item: Item) => number
  /** What follows from items, in their order. */
  readonly look: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Step>, E>
}

export class LookAhead<Item, Step, E> {
  readonly #options: LookAheadOptions<Item, Step, E>
  #room: PageLimits
  /** By their items: what of them is not known yet. */
  readonly #begun = new Map<Item, Fiber.Fiber<ReadonlyMap<Item, Step>, E>>()

  constructor(options: LookAheadOptions<Item, Step, E>) {
    this.#options = options
    this.#room = options.limits
  }

  /** Of what comes next. From the first that there is no room for nothing more is looked at ahead. */
  begin(items: ReadonlyArray<Item>): Effect.Effect<void, never, Scope.Scope> {
    if (items.length === 0) return Effect.void
    const { look, sizeOf } = this.#options
    const bytes = items.reduce((sum, item) => sum + sizeOf(item), 0)
    this.#room = { items: this.#room.items - items.length, bytes: this.#room.bytes - bytes }
    if (this.#room.items < 0 || this.#room.bytes < 0) return Effect.void
    return look(items).pipe(
      Effect.map((steps) => stepsOf(items, steps)),
      Effect.forkScoped,
      Effect.tap((looking) =>
        Effect.sync(() => {
          for (const item of items) this.#begun.set(item, looking)
        })
      ),
      Effect.asVoid
    )
  }

  /** What follows from items, in their order, ahead or now. */
  steps(items: ReadonlyArray<Item>): Effect.Effect<ReadonlyArray<Step>, E> {
    const { look } = this.#options
    if (this.#begun.size === 0) return look(items)
    return Effect.gen(this, function* () {
      const ahead = new Set(items.flatMap((item) => this.#begun.get(item) ?? []))
      const known = new Map<Item, Step>()
      for (const looking of ahead)
        for (const [item, step] of yield* Fiber.join(looking)) known.set(item, step)
      for (const item of items) this.#begun.delete(item)
      const others = items.filter((item) => !known.has(item))
      if (others.length > 0)
        for (const [item, step] of stepsOf(others, yield* look(others))) known.set(item, step)
      return items.flatMap((item) => known.get(item) ?? [])
    })
  }
}

const stepsOf = <Item, Step>(
  items: ReadonlyArray<Item>,
  steps: ReadonlyArray<Step>
): ReadonlyMap<Item, Step> =>
  new Map(
    steps.flatMap((step, at) => {
      const item = items[at]
      return item === undefined ? [] : [[item, step] as const]
    })
  )
