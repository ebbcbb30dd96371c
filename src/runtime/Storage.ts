/**
 * What a data directory keeps, and how it gets rid of what nobody needs any more.
 */
import { Clock, Duration, Effect } from "effect"
import { stopwatch } from "../clock/Monotonic.ts"
import { probeKey } from "../embedding/Probe.ts"
import { Projections, type ProjectionsError } from "../index/Projections.ts"
import { Log, type LogFailed } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import type { Settings } from "./Settings.ts"
import type { Collected, CollectOptions } from "./StorageReports.ts"

export type CollectError = ProjectionsError | LogFailed

/** What a collection keeps, whoever asks for it: by the settings, and the one input that belongs to no document. */
export const collectionRules = ({ grace, keepFor, keepVersions }: Settings["storage"], now: number) => ({
  now,
  keepForMs: Duration.toMillis(Duration.max(keepFor, grace)),
  keepVersions,
  keptInputs: [probeKey]
})

/**
 * Points first: content that an index may have to be filled with again stays until its points are gone. Every step is
 * durable for itself and may be repeated, so a run that was killed is gone on with by the next.
 */
export const collecting = Effect.fnUntraced(function* (settings: Settings["storage"]) {
  const log = yield* Log
  const readModels = yield* ReadModels
  const projections = yield* Projections
  return Effect.fn("Storage.collect")(function* ({
    dryRun
  }: CollectOptions): Effect.fn.Return<Collected, CollectError> {
    const started = yield* Clock.currentTimeMillis
    const elapsed = yield* stopwatch
    const kept = (yield* readModels.generations).filter(
      ({ state }) => state === "live" || state === "building"
    )
    const swept = yield* Effect.forEach(kept, ({ generation }) =>
      Effect.map(
        projections.sweep(generation, { graceMs: Duration.toMillis(settings.grace), dryRun }),
        ({ horizon, points }) => ({ generation, horizon, points })
      )
    )
    const { blobs, bytes, documents, vectors } = yield* log.collect({
      ...collectionRules(settings, started),
      horizon: Math.min(...swept.map(({ horizon }) => horizon)),
      erased: new Set(),
      ended: new Set(),
      erasedSources: new Set(),
      dryRun
    })
    return {
      dryRun,
      documents,
      generations: swept.map(({ generation, points }) => ({ generation, points })),
      points: swept.reduce((sum, { points }) => sum + points, 0),
      bodies: blobs,
      vectors,
      bytes,
      elapsedMs: yield* elapsed
    }
  })
})
