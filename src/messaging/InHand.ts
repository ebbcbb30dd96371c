/**
 * How many requests are being answered: of a project, of a team, and of all. Each bound is below the next, so that neither
 * a project nor a team that asks without end takes the places of others.
 */
import { Effect, type Option } from "effect"

export interface InHandLimits {
  readonly project: number
  readonly team: number
  readonly all: number
}

export const usualInHand: InHandLimits = { project: 64, team: 256, all: 4_096 }

export interface InHand {
  /** Runs it in a place of its own; nothing where there is none. */
  readonly within: <A, E>(
    scope: { readonly team: string; readonly project: string },
    use: Effect.Effect<A, E>
  ) => Effect.Effect<Option.Option<A>, E>
  readonly count: () => number
}

export const makeInHand = ({ all, project: ofProject, team: ofTeam }: InHandLimits): InHand => {
  const held = new Map<string, number>()
  const add = (keys: ReadonlyArray<string>, change: 1 | -1): void => {
    for (const key of keys) {
      const now = (held.get(key) ?? 0) + change
      if (now === 0) held.delete(key)
      else held.set(key, now)
    }
  }
  const everybody = ""
  return {
    within: ({ project, team }, use) => {
      const places = [
        [`${team} ${project}`, ofProject],
        [team, ofTeam],
        [everybody, all]
      ] as const
      const keys = places.map(([key]) => key)
      return Effect.acquireUseRelease(
        Effect.sync(() => {
          const free = places.every(([key, most]) => (held.get(key) ?? 0) < most)
          if (free) add(keys, 1)
          return free
        }),
        (free) => (free ? Effect.asSome(use) : Effect.succeedNone),
        (free) => Effect.sync(() => (free ? add(keys, -1) : undefined))
      )
    },
    count: () => held.get(everybody) ?? 0
  }
}
