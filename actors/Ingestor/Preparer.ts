/**
 * Where preparing happens: in the caller's thread, or in a pool of threads of which a stuck or dead one is replaced.
 */
import { Context, Duration, Effect, Exit, Layer, Schema, Scope } from "effect"
import type { CodeFingerprint } from "../../events/Ids.ts"
import { type ChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import type { PrepareLimits } from "../../src/documents/PrepareLimits.ts"
import {
  type PrepareAnswer,
  type PrepareOperations,
  type PrepareRequest,
  prepareOperation
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
  readonly prepare: (
    request: Pick<PrepareRequest, "documentId" | "raw" | "descriptor" | "chunker">
  ) => Effect.Effect<PrepareAnswer, PreparerFailed>
}

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

/** For tests and the simulation. */
export const layerInThread = (options: PreparerOptions): Layer.Layer<Preparer> =>
  Layer.succeed(Preparer, {
    chunkers: chunkersOf(options),
    prepare: (request) => Effect.sync(() => prepareOperation({ ...request, limits: options.limits }))
  })

interface Worker {
  readonly thread: Thread<PrepareOperations>
  readonly scope: Scope.CloseableScope
}

/** `threads` of them; one that does not answer within `timeout` is ended. */
export const layerInWorkers = (
  options: PreparerOptions & { readonly threads: number; readonly timeout: Duration.Duration }
): Layer.Layer<Preparer> =>
  Layer.scoped(
    Preparer,
    Effect.gen(function* () {
      const free: Array<Worker> = []
      const slots = yield* Effect.makeSemaphore(options.threads)
      const all = yield* Effect.scope

      const start = Effect.gen(function* () {
        const scope = yield* Scope.fork(all, { _tag: "Sequential" })
        const thread = yield* Scope.extend(spawn<PrepareOperations>("prepare", undefined), scope)
        return { thread, scope }
      })
      const end = ({ scope }: Worker) => Scope.close(scope, Exit.void)

      /** A worker goes back to the pool only after an answer: whatever else happened to it is not known. */
      const using = (request: PrepareRequest): Effect.Effect<PrepareAnswer, PreparerFailed> =>
        Effect.acquireUseRelease(
          Effect.suspend(() => {
            const worker = free.pop()
            return worker === undefined ? start : Effect.succeed(worker)
          }),
          ({ thread }) =>
            thread.call("prepare", request).pipe(
              Effect.mapError(
                ({ message }) => new PreparerFailed({ code: "worker-died", detail: message.slice(0, 500) })
              ),
              Effect.timeoutFail({
                duration: options.timeout,
                onTimeout: () =>
                  new PreparerFailed({
                    code: "timed-out",
                    detail: `It took longer than ${Duration.format(options.timeout)}.`
                  })
              })
            ),
          (worker, exit) => (Exit.isSuccess(exit) ? Effect.sync(() => void free.push(worker)) : end(worker))
        )

      return Preparer.of({
        chunkers: chunkersOf(options),
        prepare: (request) => slots.withPermits(1)(using({ ...request, limits: options.limits }))
      })
    })
  )
