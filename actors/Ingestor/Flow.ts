/**
 * How files go through a pass: read a page at a time, several files at once, and carried out in the order of the scan
 * while the next page is read. Bounded three ways: files read at a time, bytes held, documents whose end is awaited.
 */
import { Deferred, Effect, FiberSet } from "effect"
import type { SyncSettings } from "./SyncOptions.ts"

export interface FlowOptions<Item, Step, E> {
  readonly settings: Pick<SyncSettings, "readers" | "window" | "inFlightBytes">
  /** When it is done, no further page is read and nothing more carried out; what is under way is finished. */
  readonly stop: Deferred.Deferred<void>
  /** The next items, or `undefined` after the last ones. */
  readonly next: Effect.Effect<ReadonlyArray<Item> | undefined, E>
  /** Bytes that an item holds from its look until `stored` is run. */
  readonly sizeOf: (item: Item) => number
  /** Any number at a time. */
  readonly look: (item: Item) => Effect.Effect<Step, E>
  /** In the order of the items, one after the other. `undefined` where nothing is to be waited for. */
  readonly carryOut: (step: Step, stored: Effect.Effect<void>) => Effect.Effect<void, E> | undefined
}

/** Files of a page: their reading is overlapped with what becomes of those before. */
const pageSize = 128

interface Page<Item> {
  readonly items: ReadonlyArray<Item>
  /** Of each item; no more than all that may be held. */
  readonly shares: ReadonlyArray<number>
  readonly bytes: number
}

/** Over when all of it was carried out. The first failure ends it. */
export const flow = <Item, Step, E>(options: FlowOptions<Item, Step, E>): Effect.Effect<void, E> => {
  const { carryOut, look, next, settings, sizeOf, stop } = options
  const feed = Effect.fnUntraced(function* (carried: FiberSet.FiberSet<void, E>) {
    const bytes = yield* Effect.makeSemaphore(settings.inFlightBytes)
    const window = yield* Effect.makeSemaphore(settings.window)
    const pages = paged(next, sizeOf, settings.inFlightBytes)
    while (!(yield* Deferred.isDone(stop))) {
      const page = yield* pages
      if (page === undefined) break
      if (page.bytes > 0) yield* bytes.take(page.bytes)
      const steps = yield* Effect.forEach(page.items, look, { concurrency: settings.readers })
      for (const [at, step] of steps.entries()) {
        const stored = once(bytes, page.shares[at] ?? 0)
        const work = (yield* Deferred.isDone(stop)) ? undefined : carryOut(step, stored)
        if (work === undefined) {
          yield* stored
          continue
        }
        yield* window.take(1)
        yield* FiberSet.run(carried, Effect.ensuring(work, Effect.zipRight(stored, window.release(1))))
      }
    }
    yield* window.take(settings.window)
  })
  return Effect.scoped(
    Effect.flatMap(FiberSet.make<void, E>(), (carried) =>
      Effect.raceFirst(feed(carried), FiberSet.join(carried))
    )
  )
}

const once = (bytes: Effect.Semaphore, share: number): Effect.Effect<void> => {
  let held = share
  return Effect.suspend(() => {
    const left = held
    held = 0
    return left > 0 ? Effect.asVoid(bytes.release(left)) : Effect.void
  })
}

/** Cuts what comes into pages that may be held at once: an item that is larger than that stands alone. */
const paged = <Item, E>(
  next: Effect.Effect<ReadonlyArray<Item> | undefined, E>,
  sizeOf: (item: Item) => number,
  mostBytes: number
): Effect.Effect<Page<Item> | undefined, E> => {
  let waiting: ReadonlyArray<Item> = []
  let from = 0
  const cut = (): Page<Item> => {
    const shares: Array<number> = []
    let bytes = 0
    for (let at = from; at < waiting.length && shares.length < pageSize; at++) {
      const item = waiting[at]
      const share = item === undefined ? 0 : Math.min(sizeOf(item), mostBytes)
      // A quarter, so that a page is read while others are stored.
      if (shares.length > 0 && bytes + share > mostBytes / 4) break
      shares.push(share)
      bytes += share
    }
    const items = waiting.slice(from, from + shares.length)
    from += shares.length
    return { items, shares, bytes }
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
