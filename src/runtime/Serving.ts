/**
 * The server of a data directory: the embedded runtime with a door. Command lines of this machine reach it through a
 * socket, everybody else through the interface layers that it is given; it syncs its sources by itself; it ends in order.
 */
import { Cause, Deferred, type Duration, Effect, Layer, Metric, MetricBoundaries, Schedule } from "effect"
import type { Escalated } from "../../actors/Supervision.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { type ProjectScope, scopeKey } from "../../events/Ids.ts"
import type { Lane } from "../../events/Job.ts"
import type { LogFailed } from "../log/Log.ts"
import { type Configuration, settingsDigest } from "./Config.ts"
import * as ControlServer from "./control/ControlServer.ts"
import * as Embedded from "./Embedded.ts"
import * as Overview from "./Overview.ts"
import { Reader, Writer } from "./Reprise.ts"

export interface ServingOptions {
  readonly configuration: Configuration
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly version: string
  /** What this process works on by itself. */
  readonly lanes: ReadonlyArray<Lane>
  /** Whether a NATS server that is not there yet is waited for. */
  readonly wait?: boolean
  /** How patient the look at the work is. */
  readonly watch?: Pick<Overview.OverviewOptions, "indexStall" | "laneStall" | "lookEvery">
  /** Failpoints to arm in the threads. */
  readonly failpoints?: string
}

/** The runtime and its socket. */
export const layer = (options: ServingOptions) => {
  const { configuration, environment, failpoints, lanes, version } = options
  const runtime = Embedded.layer({
    configuration,
    command: "reprise serve",
    lanes,
    version,
    ...(options.wait !== undefined && { wait: options.wait }),
    ...(failpoints !== undefined && { failpoints })
  })
  const control = ControlServer.layer({
    directory: configuration.directory.path,
    environment,
    version,
    settings: settingsDigest(configuration)
  })
  const { embedding, index } = configuration.settings
  const overview = Overview.layer({
    version,
    node: process.versions.node,
    lanes,
    engine: index,
    provider: embedding.provider,
    ...options.watch
  })
  return control.pipe(Layer.provideMerge(overview), Layer.provideMerge(counting), Layer.provideMerge(runtime))
}

const searches = Metric.counter("reprise_searches_total", {
  description: "Searches that this process answered, by mode and outcome.",
  incremental: true
})
const searchSeconds = Metric.histogram(
  "reprise_search_duration_seconds",
  MetricBoundaries.fromIterable([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]),
  "How long searches took."
)

/** Counts the searches that interfaces ask for. */
const counting: Layer.Layer<Reader, never, Reader> = Layer.effect(
  Reader,
  Effect.map(Reader, (reader) => ({
    ...reader,
    search: (request) =>
      reader.search(request).pipe(
        Effect.tapBoth({
          onFailure: () => Metric.increment(Metric.tagged(counted(request.mode), "outcome", "failed")),
          onSuccess: ({ tookMs }) =>
            Effect.zipRight(
              Metric.increment(Metric.tagged(counted(request.mode), "outcome", "answered")),
              Metric.update(searchSeconds, tookMs / 1000)
            )
        })
      )
  }))
)

const counted = (mode: string) => Metric.tagged(searches, "mode", mode)

/**
 * Serves until `stop` is done, then ends in order: commands that run finish or are rolled back. Fails where an actor was
 * given up: whoever started the process starts it anew.
 */
export const untilStopped = (
  every: { readonly sync: Duration.Duration | "off"; readonly gc: Duration.Duration | "off" },
  stop: Deferred.Deferred<void>
): Effect.Effect<void, Escalated, ControlServer.ControlServer | Supervisor | Reader | Writer> =>
  Effect.gen(function* () {
    const { drain } = yield* ControlServer.ControlServer
    const { failure } = yield* Supervisor
    if (every.sync !== "off") yield* Effect.forkScoped(syncs(every.sync, stop))
    if (every.gc !== "off") yield* Effect.forkScoped(collections(every.gc))
    yield* Effect.raceFirst(Deferred.await(stop), failure)
    yield* drain
  }).pipe(Effect.scoped)

/** Every source of every project, one project after the other; the next round begins an interval after the last one. */
const syncs = Effect.fnUntraced(function* (interval: Duration.Duration, stop: Deferred.Deferred<void>) {
  const reader = yield* Reader
  const writer = yield* Writer
  const scopes: Effect.Effect<ReadonlyArray<ProjectScope>, LogFailed> = Effect.map(
    reader.sources(),
    (sources) => [
      ...new Map(
        sources.filter(({ removed }) => !removed).map(({ scope }) => [scopeKey(scope), scope])
      ).values()
    ]
  )
  const once = Effect.gen(function* () {
    for (const scope of yield* scopes) {
      const receipt = yield* writer.sync([], { scope, full: false, approveRemovals: false, stop })
      const { added, failed, held, moved, parked, removed, requested, updated } = receipt
      yield* Effect.logInfo("synced").pipe(
        Effect.annotateLogs({ project: scopeKey(scope), requested, added, updated, moved, removed }),
        Effect.annotateLogs({ held, parked, failed })
      )
    }
  })
  yield* Effect.repeat(goingOn("a sync", once), Schedule.spaced(interval))
})

/** A collection an interval after the start, and after each one: it is never in a hurry. */
export const collections = Effect.fnUntraced(function* (interval: Duration.Duration) {
  const writer = yield* Writer
  const once = Effect.gen(function* () {
    const { bodies, bytes, elapsedMs, points, vectors } = yield* writer.collect({ dryRun: false })
    yield* Effect.logInfo("collected").pipe(
      Effect.annotateLogs({ points, bodies, vectors, bytes, elapsedMs })
    )
  })
  return yield* Effect.forever(Effect.delay(goingOn("a collection", once), interval))
})

/** What fails now may pass by the next round; `status` names it meanwhile. */
const goingOn = <E, R>(what: string, once: Effect.Effect<void, E, R>) =>
  Effect.catchAllCause(once, (cause) =>
    Cause.isInterruptedOnly(cause) ? Effect.interrupt : Effect.logWarning(`${what} failed`, cause)
  )
