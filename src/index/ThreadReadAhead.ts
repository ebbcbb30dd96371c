/**
 * The reading thread as the fold uses it: pieces are asked for a window ahead, so that they are read while batches are
 * applied. A thread that fails is done without.
 */
import { Effect, Exit, Fiber, Scope } from "effect"
import type { Spec } from "../../events/Generation.ts"
import { spawn, type Thread } from "../threads/Thread.ts"
import { pageEvents } from "./Fold.ts"
import type { ReadBackPart, ReadElsewhere, ReadPart } from "./Index.ts"
import { type AheadPiece, type AheadRequest, AheadWords, type VersionsAhead } from "./ReadAhead.ts"

/** What the thread is started with. */
export interface ReaderThreadData {
  readonly directory: string
}

export type ReaderOperations = {
  readonly read: (request: AheadRequest) => Promise<AheadPiece>
  readonly readBack: (part: ReadBackPart) => Promise<ReadPart>
}

/** For one generation, which asks in the order of the log. */
export interface ReadAhead {
  /** How many events are worth it. */
  readonly worthFrom: number
  /** What was opened of the page after a position; `undefined` where nothing can be said. */
  readonly take: (after: number, upTo: number) => Effect.Effect<VersionsAhead | undefined>
  /** A batch begins after a position: nobody looks any more at what was taken for those before it. */
  readonly begin: (after: number) => Effect.Effect<void>
  /** Reads back while it has nothing to read ahead. Where there is no thread, nothing is. */
  readonly elsewhere?: ReadElsewhere
  /** Ends the thread, until something is asked for again. */
  readonly release: Effect.Effect<void>
}

/**
 * Pieces that are read, waiting, or in hand at a time: some 4,000 chunks, or 15 MB. As many as a batch has, so that the reader
 * works on while one is applied.
 */
const window = 10

interface Reading {
  readonly scope: Scope.CloseableScope
  readonly thread: Thread<ReaderOperations>
  readonly words: AheadWords
  /** A piece is lost, and what it told of words with it: those after it cannot be read. */
  isBroken: boolean
  /** By page. */
  readonly pieces: Map<number, Fiber.Fiber<VersionsAhead | undefined>>
  /** The memory of pieces that arrived, by page; and that of those which are over. */
  readonly inUse: Map<number, ArrayBuffer>
  readonly free: Array<ArrayBuffer>
  next: number
}

/** What was read of the pages before one is not asked for again. */
const forget = ({ pieces }: Reading, page: number): void => {
  for (const passed of pieces.keys()) if (passed < page) pieces.delete(passed)
}

/** For as many generations as there are; one at a time is read ahead for, the others go on without. */
export const make = (
  data: ReaderThreadData
): ((spec: Spec) => Effect.Effect<ReadAhead, never, Scope.Scope>) => {
  const shared: Shared = { isTaken: false }
  return (spec) => makeFor(data, spec, shared)
}

interface Shared {
  isTaken: boolean
}

const makeFor = (
  data: ReaderThreadData,
  spec: Spec,
  shared: Shared
): Effect.Effect<ReadAhead, never, Scope.Scope> =>
  Effect.gen(function* () {
    let reading: Reading | undefined

    const begin = Effect.fnUntraced(function* (page: number) {
      const scope = yield* Scope.make()
      const thread = yield* Scope.extend(spawn<ReaderOperations>("reader", data), scope)
      const words = new AheadWords()
      const pieces: Reading["pieces"] = new Map()
      const memory = { inUse: new Map<number, ArrayBuffer>(), free: [] }
      return { scope, thread, words, isBroken: false, pieces, next: page, ...memory } satisfies Reading
    })

    const ask = (from: Reading, page: number, upTo: number) => {
      const memory = from.free.pop()
      const [after, end] = [page * pageEvents, Math.min(upTo, (page + 1) * pageEvents)]
      return from.thread
        .call("read", { spec, after, upTo: end, ...(memory && { memory }) }, memory && [memory])
        .pipe(
          Effect.map((piece) => {
            if (from.isBroken) return undefined
            from.inUse.set(page, piece.memory)
            return from.words.take(piece)
          }),
          Effect.catchAllCause((cause) => {
            from.isBroken = true
            return Effect.as(Effect.logDebug("versions are not read ahead any more", cause), undefined)
          }),
          Effect.forkIn(from.scope)
        )
    }

    const release = Effect.suspend(() => {
      if (reading === undefined) return Effect.void
      const { scope } = reading
      reading = undefined
      shared.isTaken = false
      return Scope.close(scope, Exit.void)
    })
    yield* Effect.addFinalizer(() => release)

    return {
      worthFrom: 2_000,
      begin: (after) =>
        Effect.sync(() => {
          if (reading === undefined) return
          const first = Math.floor(after / pageEvents)
          forget(reading, first)
          for (const [page, memory] of reading.inUse) {
            if (page >= first) continue
            reading.inUse.delete(page)
            reading.free.push(memory)
          }
        }),
      take: (after, upTo) =>
        Effect.gen(function* () {
          if (reading === undefined && shared.isTaken) return undefined
          const page = Math.floor(after / pageEvents)
          shared.isTaken = true
          const current = reading ?? (yield* begin(page))
          reading = current
          forget(current, page)
          for (; current.next < page + window && current.next * pageEvents < upTo; current.next++)
            current.pieces.set(current.next, yield* ask(current, current.next, upTo))
          // What was asked for is sent now, and not after an apply that blocks this thread.
          yield* Effect.yieldNow()
          const piece = current.pieces.get(page)
          return piece === undefined ? undefined : yield* Fiber.join(piece)
        }),
      elsewhere: {
        part: (part) =>
          Effect.suspend(() =>
            reading === undefined ? Effect.succeed(undefined) : reading.thread.call("readBack", part)
          ).pipe(
            Effect.catchAllCause((cause) =>
              Effect.as(Effect.logDebug("a part is read back here", cause), undefined)
            )
          )
      },
      release
    }
  })
