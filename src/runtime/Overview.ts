/**
 * The server as its operator sees it: whether work gets on, what it stands on, who works for it. What `reprise status`
 * shows of a running server, and what the HTTP interface serves.
 */
import { Clock, Context, Duration, Effect, Layer, Option, Schema } from "effect"
import { Settings as CoordinatorSettings } from "../../actors/Coordinator/Settings.ts"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Indexer } from "../../actors/Indexer.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import type { ProjectScope } from "../../events/Ids.ts"
import { Lane } from "../../events/Job.ts"
import { Bus } from "../bus/Bus.ts"
import { monotonicMs } from "../clock/Monotonic.ts"
import { Providers } from "../embedding/Providers.ts"
import { Log, type LogFailed } from "../log/Log.ts"
import { type LaneCounts, ReadModels } from "../log/ReadModels.ts"
import { type Live, withLive } from "./Live.ts"
import { Reader, type Status } from "./Reprise.ts"
import { noStalls, observe, reasons, type Track } from "./Stalls.ts"

/** What the server stands on. */
export const Boundary = Schema.Struct({
  kind: Schema.String,
  state: Schema.Literal("disabled", "active", "errored"),
  detail: Schema.optional(Schema.String)
})
export type Boundary = typeof Boundary.Type

export const Info = Schema.Struct({
  name: Schema.Literal("reprise"),
  version: Schema.String,
  runtime: Schema.Literal("serve"),
  node: Schema.String,
  startedAt: Schema.Number,
  uptimeMs: Schema.Number,
  /** What it works on by itself. */
  lanes: Schema.Array(Lane),
  boundaries: Schema.Struct({ bus: Boundary, index: Boundary, embedding: Boundary, sources: Boundary })
})
export type Info = typeof Info.Type

export interface OverviewService {
  readonly live: Effect.Effect<Live>
  readonly info: Effect.Effect<Info, LogFailed>
  /** As `reprise status --json` answers beside this server. */
  readonly status: (scope?: ProjectScope) => Effect.Effect<Status, LogFailed>
}

export class Overview extends Context.Tag("reprise/runtime/Overview")<Overview, OverviewService>() {}

export interface OverviewOptions {
  readonly version: string
  readonly node: string
  readonly lanes: ReadonlyArray<Lane>
  readonly engine: string
  readonly provider: string
  /** For how long the index may be behind the log without moving. */
  readonly indexStall?: Duration.Duration
  /** For how long a lane may have work without moving; the lane's own time limit unless given. */
  readonly laneStall?: Duration.Duration
  /** How often it is looked whether work gets on. */
  readonly lookEvery?: Duration.Duration
}

type Needs =
  | Bus
  | Coordinator
  | CoordinatorSettings
  | Indexer
  | Log
  | Providers
  | Reader
  | ReadModels
  | Supervisor

export const layer = (options: OverviewOptions): Layer.Layer<Overview, never, Needs> =>
  Layer.scoped(Overview, make(options))

const make = Effect.fnUntraced(function* (options: OverviewOptions) {
  const { lookEvery = Duration.seconds(2), indexStall = Duration.minutes(1), laneStall } = options
  const bus = yield* Bus
  const coordinator = yield* Coordinator
  const settings = yield* CoordinatorSettings
  const indexer = yield* Indexer
  const log = yield* Log
  const providers = yield* Providers
  const reader = yield* Reader
  const readModels = yield* ReadModels
  const supervisor = yield* Supervisor
  const startedAt = yield* Clock.currentTimeMillis
  let stalls = noStalls
  let stuck: ReadonlyArray<string> = []

  const index: Effect.Effect<Track, LogFailed> = Effect.map(
    Effect.all([log.head, indexer.status, readModels.live]),
    ([{ position }, { applied, held, problem, visible }, generation]) => ({
      name: "indexer",
      // An engine that is away is waited for, and said where the boundaries are. Who paused it knows.
      waiting:
        generation === undefined || held === "paused" || problem?._tag === "EngineUnavailable"
          ? 0
          : position - visible,
      mark: `${visible} ${applied}`,
      limitMs: Duration.toMillis(indexStall)
    })
  )

  /** With what workers elsewhere say of a provider that this process did not ask, or asked with more luck. */
  const asked: Effect.Effect<Live["providers"]> = Effect.gen(function* () {
    const own = (yield* providers.states).map(({ circuit, lastError, pauseMs, provider }) => ({
      provider,
      circuit,
      pauseMs,
      ...(Option.isSome(lastError) && { lastError: lastError.value })
    }))
    const { outage } = yield* coordinator.counted
    if (outage?.provider === undefined) return own
    const { message, provider } = outage
    if (own.some((one) => one.provider === provider && one.circuit !== "closed")) return own
    const at = yield* Clock.currentTimeMillis
    const told = { provider, circuit: "open" as const, pauseMs: 0, lastError: { message, at } }
    return [...own.filter((one) => one.provider !== provider), told]
  })

  const lane = (counts: LaneCounts, vectors: number, outage: boolean, connected: boolean): Track => {
    const { cancelled, completed, failed, parked, paused, processing, queued } = counts
    const held = paused || !connected || (counts.lane === "embed" && outage)
    return {
      name: `lane ${counts.lane}`,
      waiting: held ? 0 : queued + processing,
      mark: [completed, cancelled, failed, parked, counts.lane === "embed" ? vectors : 0].join(" "),
      limitMs: laneStall === undefined ? settings.lanes[counts.lane].limitMs : Duration.toMillis(laneStall)
    }
  }

  const look = Effect.gen(function* () {
    const now = yield* monotonicMs
    const outage = (yield* asked).some(({ circuit }) => circuit !== "closed")
    const { connected } = yield* bus.state
    const { vectorsComputed } = yield* coordinator.counted
    const lanes = (yield* readModels.lanes).map((counts) => lane(counts, vectorsComputed, outage, connected))
    const tracks = [yield* index, ...lanes]
    stalls = observe(stalls, tracks, now)
    stuck = reasons(stalls, tracks, now)
  })
  // A log that cannot be read says so wherever it is asked; here nothing is known then.
  yield* Effect.ignore(look).pipe(Effect.delay(lookEvery), Effect.forever, Effect.forkScoped)

  const live: OverviewService["live"] = Effect.gen(function* () {
    const health = yield* supervisor.health
    const { connected, detail, kind } = yield* bus.state
    const now = yield* Clock.currentTimeMillis
    const actors = yield* supervisor.actors
    const workers = yield* coordinator.workers
    // A crash that is being answered by a restart is no reason to end the process.
    const restarting = actors.some(({ state }) => state === "restarting")
    const away = connected ? [] : [`The ${kind} bus is not connected: ${detail ?? "no reason is known"}`]
    return {
      actors: actors.map(({ lastError, stalledMs, ...actor }) => ({
        ...actor,
        ...(lastError !== undefined && { lastError })
      })),
      bus: { kind, connected, ...(detail !== undefined && { detail }) },
      providers: yield* asked,
      workers: workers.map(({ seenAt, unfit, version, ...worker }) => ({
        ...worker,
        ...(version !== undefined && { version }),
        seenMsAgo: Math.max(0, now - seenAt),
        ...(unfit !== undefined && { unfit })
      })),
      ready: health.ready && connected && stuck.length === 0,
      alive: health.healthy && (health.ready || restarting) && stuck.length === 0,
      reasons: [...health.reasons, ...stuck, ...away]
    }
  })

  const embedding: Effect.Effect<Boundary> = Effect.map(asked, (states) => {
    const kind = options.provider
    if (options.lanes.length === 0 && states.length === 0)
      return { kind, state: "disabled", detail: "no work is done in this process" }
    const away = states.find(({ circuit }) => circuit !== "closed")
    if (away === undefined) return { kind, state: "active" }
    return { kind, state: "errored", detail: `${away.provider}: ${away.lastError?.message ?? ""}` }
  })

  const sources: Effect.Effect<Boundary, LogFailed> = Effect.map(reader.sources(), (rows) => {
    const kind = "files"
    const there = rows.filter(({ removed }) => !removed)
    if (there.length === 0) return { kind, state: "disabled", detail: "none was added" }
    const failed = there.filter(({ syncState }) => syncState === "failed")
    if (failed.length === 0) return { kind, state: "active", detail: `${there.length}` }
    const said = failed.map(({ lastFailure, sourceId }) => `${sourceId}: ${lastFailure?.message ?? "failed"}`)
    return { kind, state: "errored", detail: said.slice(0, 20).join("; ") }
  })

  const info: OverviewService["info"] = Effect.gen(function* () {
    const { connected, detail, kind } = yield* bus.state
    const { problem } = yield* indexer.status
    const now = yield* Clock.currentTimeMillis
    return {
      name: "reprise",
      version: options.version,
      runtime: "serve",
      node: options.node,
      startedAt,
      uptimeMs: now - startedAt,
      lanes: options.lanes,
      boundaries: {
        bus: { kind, state: connected ? "active" : "errored", ...(detail !== undefined && { detail }) },
        index:
          problem === undefined
            ? { kind: options.engine, state: "active" }
            : { kind: options.engine, state: "errored", detail: problem.message },
        embedding: yield* embedding,
        sources: yield* sources
      }
    }
  })

  return Overview.of({
    live,
    info,
    status: (scope) => Effect.zipWith(reader.status(scope), live, withLive)
  })
})
