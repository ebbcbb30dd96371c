/**
 * What a data directory keeps, and how it gets rid of what nobody needs any more.
 */
import { Clock, Duration, Effect } from "effect"
import { probeKey } from "../embedding/Probe.ts"
import { Projections, type ProjectionsError } from "../index/Projections.ts"
import { Log, type LogFailed } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import type { Settings } from "./Settings.ts"
import type { Collected, CollectOptions } from "./StorageReports.ts"

export type CollectError = ProjectionsError | LogFailed

/**
 * Points first: content that an index may have to be filled with again stays until its points are gone. Every step is
 * durable for itself and may be repeated, so a run that was killed is gone on with by the next.
 */
export const collecting = Effect.fnUntraced(function* ({
  grace,
  keepFor,
  keepVersions
}: Settings["storage"]) {
  const log = yield* Log
  const readModels = yield* ReadModels
  const projections = yield* Projections
  return Effect.fn("Storage.collect")(function* ({
    dryRun
  }: CollectOptions): Effect.fn.Return<Collected, CollectError> {
    const started = yield* Clock.currentTimeMillis
    const kept = (yield* readModels.generations).filter(
      ({ state }) => state === "live" || state === "building"
    )
    const swept = yield* Effect.forEach(kept, ({ generation }) =>
      Effect.map(
        projections.sweep(generation, { graceMs: Duration.toMillis(grace), dryRun }),
        ({ horizon, points }) => ({ generation, horizon, points })
      )
    )
    const { blobs, bytes, documents, vectors } = yield* log.collect({
      now: started,
      keepForMs: Duration.toMillis(Duration.max(keepFor, grace)),
      keepVersions,
      horizon: Math.min(...swept.map(({ horizon }) => horizon)),
      keptInputs: [probeKey],
      erased: new Set(),
      erasedSources: new Set(),
      dryRun
    })
    const ended = yield* Clock.currentTimeMillis
    return {
      dryRun,
      documents,
      generations: swept.map(({ generation, points }) => ({ generation, points })),
      points: swept.reduce((sum, { points }) => sum + points, 0),
      bodies: blobs,
      vectors,
      bytes,
      elapsedMs: ended - started
    }
  })
})
