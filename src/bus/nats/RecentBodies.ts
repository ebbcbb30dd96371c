/**
 * Bodies that are asked for in pieces: each is read once for all of its pieces, one body at a time, and kept for as long
 * as pieces of it are asked for. Memory is bounded by bytes; the body that was asked for last stays even where it alone is
 * over the bound.
 */
import { Duration, Effect, type Scope } from "effect"

export interface RecentBodies {
  /** What is absent, or could not be read, is looked for again the next time. `key` says whose it is, too. */
  readonly get: <E>(
    key: string,
    read: Effect.Effect<Uint8Array | undefined, E>
  ) => Effect.Effect<Uint8Array | undefined, E>
}

export interface RecentBodiesOptions {
  readonly mostBytes: number
  /** A body goes when nothing of it was asked for during all of such a time. */
  readonly idle: Duration.Duration
}

export const usualRecentBodies: RecentBodiesOptions = {
  mostBytes: 64 * 1024 ** 2,
  idle: Duration.seconds(10)
}

interface Kept {
  readonly body: Uint8Array
  asked: boolean
}

export const makeRecentBodies = ({
  idle,
  mostBytes
}: RecentBodiesOptions): Effect.Effect<RecentBodies, never, Scope.Scope> =>
  Effect.gen(function* () {
    /** The one that was asked for last stands last. */
    const kept = new Map<string, Kept>()
    let bytes = 0
    const drop = (key: string) => {
      bytes -= kept.get(key)?.body.length ?? 0
      kept.delete(key)
    }
    const keep = (key: string, body: Uint8Array) => {
      drop(key)
      kept.set(key, { body, asked: true })
      bytes += body.length
      for (const oldest of kept.keys()) {
        if (bytes <= mostBytes || oldest === key) break
        drop(oldest)
      }
    }
    const reading = yield* Effect.makeSemaphore(1)

    yield* Effect.sync(() => {
      for (const [key, one] of kept) {
        if (!one.asked) drop(key)
        one.asked = false
      }
    }).pipe(Effect.delay(idle), Effect.forever, Effect.forkScoped)

    return {
      get: (key, read) =>
        Effect.suspend(() => {
          const there = kept.get(key)
          if (there !== undefined) return Effect.succeed<Uint8Array | undefined>(there.body)
          return read
        }).pipe(
          Effect.tap((body) => (body === undefined ? Effect.void : Effect.sync(() => keep(key, body)))),
          reading.withPermits(1)
        )
    }
  })
