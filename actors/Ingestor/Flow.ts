/**
 * How files go through a pass: page by page. A page is looked at as a whole and carried out in the order of the scan, while
 * the next one is looked at. Bounded twice: bytes held, documents whose end is awaited.
 */
import { Deferred, Effect, FiberSet } from "effect"
import type { SyncSettings } from "./SyncOptions.ts"

export interface FlowOptions<Item, Step, E> {
  readonly settings: Pick<SyncSettings, "window" | "inFlightBytes">
  /** When it is done, no further page is looked at and nothing more carried out; what is under way is finished. */
  readonly stop: Deferred.Deferred<void>
  /** The next items, or `undefined` after the last ones. */
  readonly next: Effect.Effect<ReadonlyArray<Item> | undefined, E>
  /** Bytes that an item holds from its look until `stored` is run. */
  readonly sizeOf: (item: Item) => number
  /** What follows from a page's items, in their order. */
  readonly look: (items: ReadonlyArray<Item>) => Effect.Effect<ReadonlyArray<Step>, E>
  /** Begun in the order of the pages; several may be under way. */
  readonly carryOut: (steps: ReadonlyArray<Step>, held: Held) => Effect.Effect<void, E>
}

/** What a page holds while it is carried out. What is left at its end is let go. */
export interface Held {
  /** Its bytes need not be held any more. */
  readonly stored: Effect.Effect<void>
  /** So many of its steps are over: others may begin. */
  readonly over: (steps: number) => Effect.Effect<void>
}

const mostOfPage = 128

export interface PageLimits {
  readonly items: number
  readonly bytes: number
}

/**
 * Half a window, so that a page is carried out while the one before it comes to its end; a quarter of the bytes, so that a page is
 * read while others are stored. What is larger than that stands alone.
 */
export const pageLimits = ({
  inFlightBytes,
  window
}: Pick<SyncSettings, "window" | "inFlightBytes">): PageLimits => ({
  items: Math.max(1, Math.min(mostOfPage, Math.floor(window / 2))),
  bytes: inFlightBytes / 4
})

interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  /** No more than all that may be held. */
  readonly bytes: number
}

/** Over when all of it was carried out. The first failure ends it. */
export const flow = <Item, Step, E>(options: FlowOptions<Item, Step, E>): Effect.Effect<void, E> => {
  const { carryOut, look, next, settings, sizeOf, stop } = options
  const feed = Effect.fnUntraced(function* (carried: FiberSet.FiberSet<void, E>) {
    const bytes = yield* Effect.makeSemaphore(settings.inFlightBytes)
    const window = yield* Effect.makeSemaphore(settings.window)
    const pages = paged(next, sizeOf, settings.inFlightBytes, pageLimits(settings))
    while (!(yield* Deferred.isDone(stop))) {
      const page = yield* pages
      if (page === undefined) break
      if (page.bytes > 0) yield* bytes.take(page.bytes)
      const steps = yield* look(page.items)
      yield* window.take(steps.length)
      if (yield* Deferred.isDone(stop)) {
        yield* window.release(steps.length)
        break
      }
      const held = share(bytes, page.bytes)
      const places = share(window, steps.length)
      const work = carryOut(steps, { stored: held(page.bytes), over: places })
      yield* FiberSet.run(
        carried,
        Effect.ensuring(work, Effect.zipRight(held(page.bytes), places(steps.length)))
      )
    }
    yield* window.take(settings.window)
  })
  return Effect.scoped(
    Effect.flatMap(FiberSet.make<void, E>(), (carried) =>
      Effect.raceFirst(feed(carried), FiberSet.join(carried))
    )
  )
}

/** Gives back permits, as many as are asked for and no more in all than were taken. */
const share = (permits: Effect.Semaphore, taken: number): ((count: number) => Effect.Effect<void>) => {
  let left = taken
  return (count) =>
    Effect.suspend(() => {
      const now = Math.min(count, left)
      left -= now
      return now > 0 ? Effect.asVoid(permits.release(now)) : Effect.void
    })
}

/** Cuts what comes into pages that may be held at once: an item that is larger than that stands alone. */
const paged = <Item, E>(
  next: Effect.Effect<ReadonlyArray<Item> | undefined, E>,
  sizeOf: (item: Item) => number,
  mostBytes: number,
  limits: PageLimits
): Effect.Effect<Page<Item> | undefined, E> => {
  let waiting: ReadonlyArray<Item> = []
  let from = 0
  const cut = (): Page<Item> => {
    let until = from
    let bytes = 0
    for (; until < waiting.length && until - from < limits.items; until++) {
      const item = waiting[until]
      const size = item === undefined ? 0 : Math.min(sizeOf(item), mostBytes)
      if (until > from && bytes + size > limits.bytes) break
      bytes += size
    }
    const items = waiting.slice(from, until)
    from = until
    return { items, bytes }
  }
  return Effect.gen(function* () {
    while (from === waiting.length) {
      const more = yield* next
      if (more === undefined) return undefined
      waiting = more
      from = 0
    }
    return cut()
  })
}
