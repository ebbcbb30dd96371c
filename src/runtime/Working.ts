/**
 * A worker: the lanes it is told to run, joined to a server by NATS alone. It has no data directory, sees content and never a
 * path, and may be ended at any time: what it had in hand is handed out again.
 */
import { hostname } from "node:os"
import { Deferred, Duration, Effect, Layer } from "effect"
import * as Embedder from "../../actors/Embedder.ts"
import * as Preparer from "../../actors/Ingestor/Preparer.ts"
import * as Ingestor from "../../actors/Ingestor.ts"
import type { Escalated } from "../../actors/Supervision.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import type { Lane } from "../../events/Job.ts"
import * as Draining from "../bus/Draining.ts"
import { WorkerName, type WorkerNameTaken } from "../bus/nats/WorkerName.ts"
import { Providers } from "../embedding/Providers.ts"
import { analyzerFor } from "./Analyzers.ts"
import * as ConfiguredNats from "./ConfiguredNats.ts"
import { modelLayer } from "./Models.ts"
import type { Settings } from "./Settings.ts"

export interface WorkingOptions {
  readonly settings: Settings
  readonly lanes: ReadonlyArray<Lane>
  /** Unique among all workers of a server, because leases are held under it: the second one of a name is refused. */
  readonly name: string
  readonly version: string
  /** Whether a NATS server that is not there yet is waited for. */
  readonly wait: boolean
}

export const layer = ({ lanes, name, settings, version, wait }: WorkingOptions) => {
  const { chunking, files } = settings
  const preparing = Ingestor.layer({
    ...Ingestor.usualSettings,
    name: `${name}.prepare`,
    slots: files.jobs,
    version
  }).pipe(
    Layer.provide(
      Preparer.layerInWorkers({
        chunkers: [chunking],
        limits: { maxBytes: files.maxBytes, maxChunks: Preparer.maxChunks },
        threads: files.jobs,
        timeout: Preparer.timeLimit
      })
    )
  )
  const embedding = Embedder.layer({ ...Embedder.usualSettings, name: `${name}.embed`, version }).pipe(
    Layer.provide(modelLayer(settings.embedding, analyzerFor(settings.language), [])),
    Layer.provide(Providers.layer)
  )
  return Layer.merge(
    lanes.includes("prepare") ? preparing : Layer.empty,
    lanes.includes("embed") ? embedding : Layer.empty
  ).pipe(
    Layer.provideMerge(Draining.layer),
    Layer.provideMerge(ConfiguredNats.worker(name, `process ${process.pid} on ${hostname()}`)),
    Layer.provideMerge(ConfiguredNats.working(settings, { role: `reprise worker ${name}`, wait })),
    Layer.provideMerge(Supervisor.layer)
  )
}

/** How long what is in hand may take once the worker was told to stop. What is left then is given back. */
export const drainLimit = Duration.seconds(25)

/**
 * Works until `stop` is done, then finishes what it has in hand, within a bound. Fails where an actor was given up, and where
 * another worker has its name: whoever started the process starts it anew. Nothing is given back then: what it has in hand
 * may be the other one's.
 */
export const untilStopped = (
  stop: Deferred.Deferred<void>
): Effect.Effect<void, Escalated | WorkerNameTaken, Supervisor | Draining.Draining | WorkerName> =>
  Effect.gen(function* () {
    const { failure } = yield* Supervisor
    const { drain } = yield* Draining.Draining
    const { lost } = yield* WorkerName
    const over = Effect.raceFirst(failure, lost)
    yield* Effect.raceFirst(Deferred.await(stop), over)
    const left = yield* Effect.raceFirst(drain(drainLimit), over)
    if (left > 0) yield* Effect.logWarning("orders were given back unfinished", left)
  })
