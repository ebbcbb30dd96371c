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

const lookEvery = Duration.millis(200)

/**
 * Answers once a provider's circuit is open: at once if it computed nothing since the program started, else when that
 * lasts longer than `patience`.
 */
export const outage = (
  providers: ProvidersService,
  coordinator: CoordinatorService,
  patience: Duration.Duration
): Effect.Effect<ProviderAway> =>
  Effect.gen(function* () {
    let away = 0
    while (true) {
      yield* Effect.sleep(lookEvery)
      const gone = (yield* providers.states).find(isAway)
      if (gone === undefined) {
        away = 0
        continue
      }
      away += Duration.toMillis(lookEvery)
      const progress = yield* Stream.runHead(coordinator.progress)
      const worked = Option.exists(progress, ({ vectorsComputed }) => vectorsComputed > 0)
      if (worked && away < Duration.toMillis(patience)) continue
      const detail = Option.match(gone.lastError, {
        onNone: () => `${gone.provider} does not answer`,
        onSome: ({ message }) => message
      })
      return new ProviderAway({ provider: gone.provider, detail })
    }
  })

const isAway = ({ circuit }: ProviderState): boolean => circuit !== "closed"
