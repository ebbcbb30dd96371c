/**
 * Where preparing happens: in a pool of threads of which a stuck or dead one is replaced, or in the caller's
 * (`PreparerInThread.ts`, apart because it loads all the parsers).
 */
import { Context, Duration, Effect, Exit, Layer, Schema, Scope } from "effect"
import type { CodeFingerprint } from "../../events/Ids.ts"
import { monotonicMs } from "../../src/clock/Monotonic.ts"
import { type ChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import type { PrepareLimits } from "../../src/documents/PrepareLimits.ts"
import type {
  PrepareAnswer,
  PrepareOperations,
  PrepareRequest
} from "../../src/documents/PrepareOperation.ts"
import { spawn, type Thread } from "../../src/threads/Thread.ts"

/** It took too long, or its thread died. Tried again a bounded number of times. */
export class PreparerFailed extends Schema.TaggedError<PreparerFailed>()("PreparerFailed", {
  code: Schema.Literal("timed-out", "worker-died"),
  detail: Schema.String
}) {
  override get message() {
    return `Preparing failed (${this.code}): ${this.detail}`
  }
}

export interface PreparerService {
  /** The chunkers it has. */
  readonly chunkers: ReadonlyMap<CodeFingerprint, ChunkerSettings>
  readonly prepare: (document: ToPrepare) => Effect.Effect<PrepareAnswer, PreparerFailed>
  /**
   * Several together, in a fraction of the time that one may take. It fails as a whole, whoever of them is to blame: they
   * are then to be prepared one by one.
   */
  readonly prepareAll: (
    documents: ReadonlyArray<ToPrepare>
  ) => Effect.Effect<ReadonlyArray<PrepareAnswer>, PreparerFailed>
}

export type ToPrepare = Pick<PrepareRequest, "documentId" | "raw" | "descriptor" | "chunker">

export class Preparer extends Context.Tag("reprise/actors/Ingestor/Preparer")<Preparer, PreparerService>() {}

export interface PreparerOptions {
  readonly chunkers: ReadonlyArray<ChunkerSettings>
  readonly limits: PrepareLimits
}

/** Chunks of one document. */
export const maxChunks = 50_000

/** How long preparing one document may take. */
export const timeLimit = Duration.minutes(2)

const chunkersOf = (options: PreparerOptions): PreparerService["chunkers"] =>
  new Map(options.chunkers.map((settings) => [makeChunker(settings).fingerprint, settings]))

type Using = (
  requests: ReadonlyArray<PrepareRequest>,
  share: number
) => Effect.Effect<ReadonlyArray<PrepareAnswer>, PreparerFailed>

/** Of the time that one may take. */
const shareOfMany = 1 / 8

/** A Preparer over whatever prepares several together. */
export const preparing = (options: PreparerOptions, using: Using): PreparerService => {
  const requestOf = (document: ToPrepare): PrepareRequest => ({ ...document, limits: options.limits })
  const unanswered = new PreparerFailed({ code: "worker-died", detail: "No answer came." })
  return {
    chunkers: chunkersOf(options),
    prepare: (document) =>
      Effect.flatMap(
        using([requestOf(document)], 1),
        ([answer]): Effect.Effect<PrepareAnswer, PreparerFailed> =>
          answer ? Effect.succeed(answer) : unanswered
      ),
    prepareAll: (documents) => using(documents.map(requestOf), documents.length === 1 ? 1 : shareOfMany)
  }
}

interface Worker {
  readonly thread: Thread<PrepareOperations>
  readonly scope: Scope.CloseableScope
  /** When it has to have answered, in monotonic milliseconds; `undefined` while it has nothing to do. */
  dueAt: number | undefined
  /** Since when it is no longer to blame for who waits, in monotonic milliseconds: its first answer, {@link loading} at the latest. */
  readyAt: number
  /** It was ended because it did not answer in time. */
  late: boolean
}

/**
 * For how long somebody waits in line before another thread is started. One serves a stream of small documents, and each
 * further one loads all parsers and is compiled anew.
 */
const patience = Duration.millis(200)
/** Before its first answer a thread loads its parsers: who waits meanwhile says nothing of how much there is to do. */
const loading = Duration.millis(300)

/** Up to `threads` of them; one that does not answer within `timeout` is ended. */
export const layerInWorkers = (
  options: PreparerOptions & { readonly threads: number; readonly timeout: Duration.Duration }
): Layer.Layer<Preparer> =>
  Layer.scoped(
    Preparer,
    Effect.gen(function* () {
      const free: Array<Worker> = []
      const slots = yield* Effect.makeSemaphore(1)
      let permits = 1
      /** Since when each has waited for a thread, in monotonic milliseconds; the first has waited longest. */
      const inLine = new Set<{ readonly since: number }>()
      const isLine = yield* Effect.makeLatch(false)
      const all = new Set<Worker>()
      const whole = yield* Effect.scope

      const start = Effect.gen(function* () {
        const scope = yield* Scope.fork(whole, { _tag: "Sequential" })
        const thread = yield* Scope.extend(spawn<PrepareOperations>("prepare", undefined), scope)
        const readyAt = (yield* monotonicMs) + Duration.toMillis(loading)
        const worker: Worker = { thread, scope, dueAt: undefined, readyAt, late: false }
        all.add(worker)
        return worker
      })
      const end = (worker: Worker) =>
        Effect.suspend(() => {
          all.delete(worker)
          return Scope.close(worker.scope, Exit.void)
        })

      /** One look at all of them costs less than a timer for each document. */
      yield* Effect.gen(function* () {
        const now = yield* monotonicMs
        for (const worker of all) {
          if (worker.dueAt === undefined || worker.dueAt > now) continue
          worker.late = true
          yield* end(worker)
        }
      }).pipe(Effect.delay(Duration.times(options.timeout, 1 / 8)), Effect.forever, Effect.forkScoped)

      if (options.threads > 1) {
        yield* Effect.gen(function* () {
          yield* isLine.await
          yield* Effect.sleep(patience)
          const now = yield* monotonicMs
          const [first] = inLine
          if (first === undefined) return yield* isLine.close
          const since = Math.max(first.since, ...Array.from(all, ({ readyAt }) => readyAt))
          if (now - since >= Duration.toMillis(patience)) yield* slots.resize(++permits)
        }).pipe(Effect.repeat({ until: () => permits === options.threads }), Effect.forkScoped)
      }
      /** Nothing but the wait itself may be interrupted: a place that was taken is given back by whoever has it. */
      const waitInLine = (restore: <A>(wait: Effect.Effect<A>) => Effect.Effect<A>) =>
        Effect.flatMap(monotonicMs, (since) => {
          const place = { since }
          inLine.add(place)
          return Effect.zipRight(isLine.open, restore(slots.take(1))).pipe(
            Effect.ensuring(Effect.sync(() => inLine.delete(place)))
          )
        })

      /** A worker goes back to the pool only after an answer: whatever else happened to it is not known. */
      const using: Using = (requests, share) =>
        Effect.acquireUseRelease(
          Effect.suspend(() => {
            const worker = free.pop()
            return worker === undefined ? start : Effect.succeed(worker)
          }),
          (worker) =>
            Effect.flatMap(monotonicMs, (now) => {
              worker.dueAt = now + share * Duration.toMillis(options.timeout)
              return Effect.mapError(worker.thread.call("prepare", requests), ({ message }) =>
                worker.late
                  ? new PreparerFailed({
                      code: "timed-out",
                      detail: `It took longer than ${Duration.format(Duration.times(options.timeout, share))}.`
                    })
                  : new PreparerFailed({ code: "worker-died", detail: message.slice(0, 500) })
              )
            }),
          (worker, exit) =>
            Effect.flatMap(monotonicMs, (now) => {
              worker.dueAt = undefined
              if (Exit.isFailure(exit)) return end(worker)
              worker.readyAt = Math.min(worker.readyAt, now)
              free.push(worker)
              return Effect.void
            })
        )

      return preparing(options, (requests, share) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.zipRight(
            waitInLine(restore),
            Effect.ensuring(restore(using(requests, share)), slots.release(1))
          )
        )
      )
    })
  )
