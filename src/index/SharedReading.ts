/**
 * Parts that are read by two, in their order: whoever asks reads in its own thread, which it blocks, while another one reads
 * others. So each reads as many as it gets done, and what comes early waits for its turn.
 */
import { Effect, Fiber, Option, Stream } from "effect"

/** Parts that the other one has in hand, so that it has the next one while the caller's thread is blocked. */
const atOnce = 2
/** Parts that wait for their turn at most. */
const mostWaiting = 6

/** Answers of threads come between two turns of the event loop: other fibers' turns alone bring none. */
const turnOfTheLoop: Effect.Effect<void> = Effect.async((resume) => {
  const turn = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(turn))
})

/** `elsewhere` answers `undefined` where it did not read a part: then it is read here. */
export const sharedReading = <Part, A, E>(
  parts: ReadonlyArray<Part>,
  here: (part: Part) => Effect.Effect<A, E>,
  elsewhere: ((part: Part) => Effect.Effect<A | undefined>) | undefined
): Stream.Stream<A, E> => {
  if (elsewhere === undefined || parts.length < 2) return Stream.mapEffect(Stream.fromIterable(parts), here)
  /** By their place among the parts. */
  const read = new Map<number, A>()
  const begun = new Map<number, Fiber.RuntimeFiber<A | undefined>>()
  let next = 0
  const readNext = Effect.suspend(() => {
    const place = next++
    const part = parts[place]
    return part === undefined ? Effect.void : Effect.map(here(part), (one) => void read.set(place, one))
  })
  const handOut = Effect.gen(function* () {
    for (; begun.size < atOnce && next < parts.length; next++) {
      const part = parts[next]
      if (part !== undefined) begun.set(next, yield* Effect.fork(elsewhere(part)))
    }
    // What was handed out is sent, and what came is taken, before this thread is blocked again.
    yield* turnOfTheLoop
    for (const [place, fiber] of begun) {
      const ended = yield* Fiber.poll(fiber)
      if (Option.isSome(ended)) yield* settle(place, fiber)
    }
  })
  const settle = Effect.fnUntraced(function* (place: number, fiber: Fiber.RuntimeFiber<A | undefined>) {
    const one = yield* Fiber.join(fiber)
    begun.delete(place)
    const part = parts[place]
    if (one !== undefined) read.set(place, one)
    else if (part !== undefined) read.set(place, yield* here(part))
  })
  return Stream.paginateEffect(0, (place: number) =>
    Effect.gen(function* () {
      while (!read.has(place)) {
        yield* handOut
        const fiber = begun.get(place)
        if (read.has(place)) break
        if (next < parts.length && read.size < mostWaiting) yield* readNext
        else if (fiber !== undefined) yield* settle(place, fiber)
      }
      const one = read.get(place)
      read.delete(place)
      return [
        Option.fromNullable(one),
        place + 1 < parts.length ? Option.some(place + 1) : Option.none()
      ] as const
    })
  ).pipe(Stream.filterMap((one) => one))
}
