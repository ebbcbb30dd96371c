/** What is looked at once everything has come to rest, and what the program itself says of its index then. */
import { Context, Duration, Effect, Schema } from "effect"
import { Promotion } from "../../actors/Indexer/Promotion.ts"
import { type GenerationId, type Spec, samePair } from "../../events/index.ts"
import { Projections } from "../../src/index/Projections.ts"
import type { Recomputed, VerifyReport } from "../../src/index/VerifyReport.ts"
import { type JobRow, ReadModels } from "../../src/log/ReadModels.ts"
import { erasing } from "../../src/runtime/Erasing.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { collecting } from "../../src/runtime/Storage.ts"
import { idOf, scopeOf } from "./Commands.ts"
import type { Served } from "./Server.ts"

export interface AtRest {
  readonly directory: string
  /** Hash of the log's last event. */
  readonly head: string
  readonly generation: string
  /** Asked for where something was collected, and in every fifth run: it takes as long as all the rest. */
  readonly proof: Proof | undefined
  readonly parked: ReadonlyArray<{ readonly documentId: string; readonly reason: string | undefined }>
}

/** What the program itself says of its index. */
export interface Proof {
  readonly verified: VerifyReport
  readonly recomputed: Recomputed
  readonly replayed: VerifyReport
  /** Inputs that the provider was asked for during the replay. */
  readonly paidByReplay: number
}

type Use<A, E> = (served: Context.Context<Served>) => Effect.Effect<A, E>

export const parkedJobs: Use<ReadonlyArray<JobRow>, unknown> = (served) =>
  Effect.map(Context.get(served, ReadModels).jobs({ state: "parked", limit: 100 }), ({ rows }) => rows)

const usualPromotion = { excluded: [], onProgress: () => Effect.void } as const

/** Under the live generation's spec. */
export const replay = (served: Context.Context<Served>) =>
  Effect.gen(function* () {
    const live = yield* Context.get(served, ReadModels).live
    if (live === undefined) return yield* Effect.dieMessage("No generation is live.")
    const { spec } = live
    return yield* Context.get(served, Promotion).run({ ...usualPromotion, spec, reason: "replay" })
  })

/** Nothing where the live generation has that spec. */
export const build = (spec: Spec) => (served: Context.Context<Served>) =>
  Effect.gen(function* () {
    const live = yield* Context.get(served, ReadModels).live
    if (live !== undefined && samePair(live.spec, spec)) return
    yield* Context.get(served, Promotion).run({ ...usualPromotion, spec, reason: "build" })
  })

/** A schedule lasts for seconds: the grace is over within it, while messages and vectors are still on their way. */
export const grace = Duration.millis(300)
const storage = { keepFor: Duration.zero, keepVersions: 0, grace, gcInterval: "off" as const }

/** Deletes what nobody needs any more. */
export const collect = (served: Context.Context<Served>) =>
  collecting(storage).pipe(
    Effect.flatMap((run) => run({ dryRun: false })),
    Effect.provide(served)
  )

const usual = Schema.decodeSync(Settings)({})

/** `undefined` where no such document was ever submitted. */
export const erase = (project: string, document: string) => (served: Context.Context<Served>) =>
  erasing({ ...usual, storage }).pipe(
    Effect.flatMap((run) =>
      run({ scope: scopeOf(project), names: [idOf(project, document)], dryRun: false })
    ),
    Effect.catchTag("DocumentUnknown", () => Effect.succeed(undefined)),
    Effect.provide(served)
  )

/** `until` asks again and again, until it is answered; `paid` says how many inputs the provider has answered for. */
export const prove = (
  until: <A, E>(use: Use<A, E>) => Effect.Effect<A>,
  generation: GenerationId,
  paid: () => number
): Effect.Effect<Proof> =>
  Effect.gen(function* () {
    const verified = yield* until((served) =>
      Context.get(served, Projections).verify(generation, { level: "full", repair: false })
    )
    const recomputed = yield* until((served) => Context.get(served, Projections).recompute(generation))
    const before = paid()
    const { report } = yield* until(replay)
    return { verified, recomputed, replayed: report, paidByReplay: paid() - before }
  })
