/**
 * When a program that somebody waits for gives up on a provider that is away. A server would wait; whoever typed a command
 * wants to hear of it. What was prepared is kept, and the same command goes on from there.
 */
import { Duration, Effect, Option, Schema, Stream } from "effect"
import type { CoordinatorService } from "../../actors/Coordinator.ts"
import type { ProviderState } from "../embedding/Pacing.ts"
import type { ProvidersService } from "../embedding/Providers.ts"

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

const lookEvery = Duration.millis(200)

/**
 * Answers at once when a provider refuses whatever it is asked; when one is away, at once if it computed nothing since the
 * program started, else when that lasts longer than `patience`.
 */
export const outage = (
  providers: ProvidersService,
  coordinator: CoordinatorService,
  patience: Duration.Duration
): Effect.Effect<ProviderAway | ProviderUnfit> =>
  Effect.gen(function* () {
    let away = 0
    while (true) {
      yield* Effect.sleep(lookEvery)
      const progress = Option.getOrUndefined(yield* Stream.runHead(coordinator.progress))
      const said = progress?.outage
      if (said?.refused === true) return new ProviderUnfit({ provider: said.provider, detail: said.message })
      // A circuit that opened tells it before the first batch is given back.
      const gone = (yield* providers.states).find(isAway)
      const found = said ?? (gone && { provider: gone.provider, message: lastWords(gone) })
      if (found === undefined) {
        away = 0
        continue
      }
      away += Duration.toMillis(lookEvery)
      const worked = progress !== undefined && progress.vectorsComputed > 0
      if (worked && away < Duration.toMillis(patience)) continue
      return new ProviderAway({ provider: found.provider, detail: found.message })
    }
  })

const isAway = ({ circuit }: ProviderState): boolean => circuit !== "closed"

const lastWords = ({ lastError, provider }: ProviderState): string =>
  Option.match(lastError, {
    onNone: () => `${provider} does not answer`,
    onSome: ({ message }) => message
  })
