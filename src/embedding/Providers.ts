/**
 * The providers that are in use, and how each of them fares: what the status view reads.
 */
import { Context, Effect, Layer } from "effect"
import { makePace, type Pace, type PacingSettings, type ProviderState } from "./Pacing.ts"

export interface ProvidersService {
  /** The pace of a provider. Models that share a provider share its pace; the first one's settings hold. */
  readonly pace: (provider: string, settings: PacingSettings) => Effect.Effect<Pace>
  /** In the order in which they were first used. */
  readonly states: Effect.Effect<ReadonlyArray<ProviderState>>
  /** Shown to people for as long as the process runs: a switched-off check must not be forgotten. */
  readonly warn: (warning: string) => Effect.Effect<void>
  readonly warnings: Effect.Effect<ReadonlyArray<string>>
}

export class Providers extends Context.Tag("reprise/embedding/Providers")<Providers, ProvidersService>() {
  static readonly layer: Layer.Layer<Providers> = Layer.sync(Providers, () => {
    const paces = new Map<string, Pace>()
    const warnings = new Set<string>()
    return {
      pace: (provider, settings) =>
        Effect.gen(function* () {
          const made = yield* makePace(provider, settings)
          const known = paces.get(provider) ?? made
          paces.set(provider, known)
          return known
        }),
      states: Effect.suspend(() => Effect.forEach([...paces.values()], ({ state }) => state)),
      warn: (warning) =>
        Effect.suspend(() => {
          if (warnings.has(warning)) return Effect.void
          warnings.add(warning)
          return Effect.logWarning(warning)
        }),
      warnings: Effect.sync(() => [...warnings])
    }
  })
}
