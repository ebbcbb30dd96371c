/**
 * When a program that somebody waits for gives up: on a provider or an index that is away, on a lane that is paused. A server would
 * wait; whoever typed a command wants to hear of it, and whoever resumes the lane needs the lock. What was prepared is
 * kept, and the same command goes on from there.
 */
import { Duration, Effect, Option, Schema, Stream } from "effect"
import type * as Outages from "../../actors/Coordinator/Outages.ts"
import type { CoordinatorService } from "../../actors/Coordinator.ts"
import type { IndexerService } from "../../actors/Indexer.ts"
import { Pausable } from "../../events/Job.ts"
import type { ProviderState } from "../embedding/Pacing.ts"
import type { ProvidersService } from "../embedding/Providers.ts"
import { LogFailed } from "../log/Log.ts"

/** The provider is away. Run the same command again when it is back: it does only what is left. */
export class ProviderAway extends Schema.TaggedError<ProviderAway>()("ProviderAway", {
  provider: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.detail.replace(/\.?$/, ".")} What was prepared is kept: run the same command again when ${this.provider} answers. Is it the right one? See: reprise config`
  }
}

/**
 * The provider refuses whatever it is asked: its key, address or model is wrong. Change the configuration, then run the
 * same command again: it does only what is left.
 */
export class ProviderUnfit extends Schema.TaggedError<ProviderUnfit>()("ProviderUnfit", {
  provider: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.detail.replace(/\.?$/, ".")} What was prepared is kept: run the same command again when that is mended. What is in force: reprise config`
  }
}

/** Everything that is left waits for a lane that somebody paused. Resume it, and run the same command again. */
export class LanePaused extends Schema.TaggedError<LanePaused>()("LanePaused", { lane: Pausable }) {
  override get message() {
    return `The lane ${this.lane} is paused, and all that is left waits for it. What was done so far is kept: run the same command again after: reprise lanes resume ${this.lane}`
  }
}

/**
 * What was accepted is not searchable yet: the server that holds the index is away, or holds something else under its
 * name. Nothing is lost; the index catches up with the first command after that is mended.
 */
export class IndexAway extends Schema.TaggedError<IndexAway>()("IndexAway", { detail: Schema.String }) {
  override get message() {
    return `${this.detail.replace(/\.?$/, ".")} What was accepted is in the log, and searches are answered from there: the index catches up with the next command once this is mended.`
  }
}

/**
 * What was accepted is not searchable yet: the index met an event or a body that it cannot take, and stays before it.
 * Searches go on there. Restore what is damaged, or let it be skipped.
 */
export class IndexStopped extends Schema.TaggedError<IndexStopped>()("IndexStopped", {
  detail: Schema.String
}) {
  override get message() {
    return `${this.detail.replace(/\.?$/, ".")} What was accepted is in the log, and searches see what stands before. Restore what is damaged (reprise log verify), then: reprise lanes resume index. Or let it be left out: indexing.recovery = skip`
  }
}

export const Outage = Schema.Union(
  ProviderAway,
  ProviderUnfit,
  LanePaused,
  IndexAway,
  IndexStopped,
  LogFailed
)
export type Outage = typeof Outage.Type

const lookEvery = Duration.millis(200)

/** How long an index that cannot be brought further, and a log that takes nothing, are waited for. */
const diskPatience = Duration.seconds(10)

/** How long nothing but a paused lane is waited for: what a scan brings meanwhile is still prepared. */
const heldFor = Duration.seconds(2)

/**
 * Answers when the log took nothing or the index could not be brought further for ten seconds, or that stopped; once all that is left waits for a paused lane; at
 * once when a provider refuses whatever it is asked; when one is away, at once if it computed nothing since the program
 * started, else when that lasts longer than `patience`, as when stored content cannot be read.
 */
export const outage = (
  providers: ProvidersService,
  coordinator: CoordinatorService,
  indexer: IndexerService,
  patience: Duration.Duration
): Effect.Effect<Outage> =>
  Effect.gen(function* () {
    let away = 0
    let held = 0
    let indexAway = 0
    // Nobody knows it while the Coordinator reads its memory, which it does again and again beside a log that fails.
    const laneHeld = Effect.map(Effect.timeoutOption(coordinator.heldBy, lookEvery), Option.getOrUndefined)
    while (true) {
      yield* Effect.sleep(lookEvery)
      const refused = yield* coordinator.refused
      if (refused !== undefined && refused.forMs >= Duration.toMillis(diskPatience)) return refused.failure
      const index = yield* indexer.status
      const { problem } = index
      indexAway = problem === undefined ? 0 : indexAway + Duration.toMillis(lookEvery)
      if (problem !== undefined && (index.held === "stopped" || indexAway >= Duration.toMillis(diskPatience)))
        return problem._tag === "ProjectionStopped" || problem._tag === "UnknownEvent"
          ? new IndexStopped({ detail: problem.message })
          : new IndexAway({ detail: problem.message })
      const isOver = (yield* coordinator.counted).open === 0
      const lane = index.held === "paused" && isOver ? "index" : yield* laneHeld
      held = lane === undefined ? 0 : held + Duration.toMillis(lookEvery)
      if (lane !== undefined && held >= Duration.toMillis(heldFor)) return new LanePaused({ lane })
      const progress = Option.getOrUndefined(yield* Stream.runHead(coordinator.progress))
      const said = progress?.outage
      if (said?.refused === true && said.provider !== undefined)
        return new ProviderUnfit({ provider: said.provider, detail: said.message })
      // A circuit that opened tells it before the first batch is given back.
      const gone = (yield* providers.states).find(isAway)
      const found: Pick<Outages.Outage, "provider" | "message"> | undefined =
        said ?? (gone && { provider: gone.provider, message: lastWords(gone) })
      if (found === undefined) {
        away = 0
        continue
      }
      away += Duration.toMillis(lookEvery)
      const { provider } = found
      const worked = progress !== undefined && progress.vectorsComputed > 0
      if ((worked || provider === undefined) && away < Duration.toMillis(patience)) continue
      if (provider === undefined)
        return new LogFailed({ operation: "read stored content", cause: found.message })
      return new ProviderAway({ provider, detail: found.message })
    }
  })

const isAway = ({ circuit }: ProviderState): boolean => circuit !== "closed"

const lastWords = ({ lastError, provider }: ProviderState): string =>
  Option.match(lastError, {
    onNone: () => `${provider} does not answer`,
    onSome: ({ message }) => message
  })
