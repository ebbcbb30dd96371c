/**
 * Builds a generation beside the live one and lets it take over: `replay` under the live spec, `build` under another.
 *
 * Searches stay on the live generation until the new one has nothing missing, was read back from its own bytes, and
 * stands at the log's head. Everything is resumable: a generation that a crash left half built is gone on with.
 */
import { Context, Duration, Effect, Layer, Option, Schedule, Schema } from "effect"
import { GenerationOpen, GenerationPromote, GenerationRetire } from "../../events/Commands.ts"
import type { Spec } from "../../events/Generation.ts"
import { type DocumentId, GenerationId } from "../../events/Ids.ts"
import { Failpoints } from "../../src/faults/Failpoints.ts"
import { Projections, type ProjectionsError } from "../../src/index/Projections.ts"
import { isClean, type VerifyReport } from "../../src/index/VerifyReport.ts"
import { Log, type LogFailed } from "../../src/log/Log.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { type CommandError, CommandRefused, Coordinator } from "../Coordinator.ts"
import { Indexer } from "../Indexer.ts"

/** The new generation must not take over. The live one goes on; what to do is in the message. */
export class PromotionRefused extends Schema.TaggedError<PromotionRefused>()("PromotionRefused", {
  generation: GenerationId,
  code: Schema.Literal("no-live-generation", "unbuilt", "differs", "head-moves"),
  detail: Schema.String
}) {
  override get message() {
    return `Generation ${this.generation} was not promoted (${this.code}): ${this.detail}`
  }
}

export type PromotionError = PromotionRefused | CommandError | ProjectionsError | LogFailed

export interface Promoted {
  readonly from: GenerationId | undefined
  readonly to: GenerationId
  readonly position: number
  readonly events: number
  readonly report: VerifyReport
}

export interface PromotionProgress {
  readonly generation: GenerationId
  readonly checkpoint: number
  readonly head: number
  readonly phase: "applying" | "building" | "verifying" | "promoting"
}

export interface PromotionOptions {
  /** The spec of the new generation; the live one's for a replay. */
  readonly spec: Spec
  readonly reason: "replay" | "build"
  /** Documents whose parked builds may stay behind. */
  readonly excluded: ReadonlyArray<DocumentId>
  readonly onProgress: (progress: PromotionProgress) => Effect.Effect<void>
}

export interface PromotionService {
  readonly run: (options: PromotionOptions) => Effect.Effect<Promoted, PromotionError>
}

export class Promotion extends Context.Tag("reprise/actors/Indexer/Promotion")<
  Promotion,
  PromotionService
>() {}

/** How often the last stretch is tried before appends are held for it. */
const attemptsUnheld = 3
/** So many points that have ended are swept while more is applied: of a long history files hold little more than what lives. */
const mostEnded = 20_000

export const layer: Layer.Layer<Promotion, never, Log | ReadModels | Projections | Coordinator | Indexer> =
  Layer.effect(
    Promotion,
    Effect.gen(function* () {
      const log = yield* Log
      const readModels = yield* ReadModels
      const projections = yield* Projections
      const coordinator = yield* Coordinator
      const indexer = yield* Indexer
      const failpoints = yield* Failpoints

      const open = Effect.fnUntraced(function* (options: PromotionOptions) {
        const unfinished = (yield* readModels.generations).find(
          (row) =>
            row.state === "building" && row.reason === options.reason && equalSpec(row.spec, options.spec)
        )
        if (unfinished !== undefined) return unfinished.generation
        failpoints.hit("generation.open.before")
        const { generation } = yield* coordinator.operate(
          new GenerationOpen({ spec: options.spec, reason: options.reason })
        )
        failpoints.hit("generation.open.after")
        if (generation === undefined) return yield* Effect.dieMessage("Opening a generation names it.")
        return generation
      })

      /** Unfinished builds under other specs are given up: whoever builds under this one does not want them any more. */
      const abandonOthers = Effect.fnUntraced(function* (generation: GenerationId) {
        const others = (yield* readModels.generations).filter(
          (row) => row.state === "building" && row.generation !== generation
        )
        for (const { generation: abandoned } of others) {
          failpoints.hit("generation.retire.before")
          yield* coordinator.operate(new GenerationRetire({ generation: abandoned }))
          failpoints.hit("generation.retire.after")
          yield* dropFiles(abandoned)
        }
      })

      /** Nobody was shown what ended in a generation that is being built, and nobody is to search among it. */
      const sweepEnded = (generation: GenerationId) =>
        projections.sweep(generation, { graceMs: Number.POSITIVE_INFINITY, dryRun: false })

      /** Applies up to the head; answers how many events that were. */
      const catchUp = (generation: GenerationId, onProgress: PromotionOptions["onProgress"]) =>
        Effect.gen(function* () {
          let events = 0
          let ended = 0
          while (true) {
            const applied = yield* projections.advance(generation)
            events += applied.events
            ended += applied.ended
            if (ended >= mostEnded) {
              yield* sweepEnded(generation)
              ended = 0
            }
            const head = yield* log.head
            const { checkpoint } = applied
            yield* onProgress({ generation, checkpoint, head: head.position, phase: "applying" })
            if (applied.atHead && checkpoint >= head.position) return { events, checkpoint }
            // The log has events that are not yet on this thread's snapshot: look again shortly.
            if (applied.events === 0) yield* Effect.sleep("5 millis")
          }
        })

      /** Waits for the builds that opening under another pair created, applying as they come. */
      const untilBuilt = Effect.fnUntraced(function* (generation: GenerationId, options: PromotionOptions) {
        let events = 0
        while (true) {
          // Asked first: what was finished by then is applied by the time the missing ones are counted.
          const before = yield* coordinator.unfinishedBuilds
          events += (yield* catchUp(generation, options.onProgress)).events
          const { missing, checkpoint } = yield* projections.status(generation)
          if (missing <= options.excluded.length) return events
          if (before.open === 0) {
            return yield* new PromotionRefused({
              generation,
              code: "unbuilt",
              detail: `${missing} document(s) could not be built (${before.parked} parked). See reprise jobs list --state parked: retry them, remove them, or exclude them with --exclude`
            })
          }
          yield* options.onProgress({ generation, checkpoint, head: before.open, phase: "building" })
          yield* Effect.sleep("50 millis")
        }
      })

      /** What differs is begun anew by the next run: gone on with, it would differ for ever. */
      const refuseUnlessClean = Effect.fnUntraced(function* (
        generation: GenerationId,
        report: VerifyReport,
        options: PromotionOptions
      ) {
        const refused = refusalOf(generation, report, options)
        if (refused === undefined) return
        if (!isSound(report)) yield* Effect.ignore(projections.reset(generation))
        return yield* refused
      })

      const promoteAt = Effect.fnUntraced(function* (
        generation: GenerationId,
        options: PromotionOptions,
        full: VerifyReport
      ) {
        const { events, checkpoint } = yield* catchUp(generation, options.onProgress)
        // What was applied since it was read back is read now. Nothing, where the log has been quiet; all of it, where more was
        // applied than had come since: it was begun anew.
        const isAnew = events > checkpoint - full.position
        const report = isAnew
          ? yield* projections.verify(generation, { level: "full", repair: false })
          : checkpoint === full.position
            ? full
            : yield* projections.verify(generation, { level: "ids", repair: false, fullAfter: full.position })
        yield* refuseUnlessClean(generation, report, options)
        failpoints.hit("generation.promote.before")
        const { position } = yield* coordinator.operate(
          new GenerationPromote({
            generation,
            position: checkpoint,
            fingerprint: report.fingerprint.actual,
            documents: report.documents,
            chunks: report.chunks,
            excluded: options.excluded
          })
        )
        failpoints.hit("generation.promote.after")
        return { events, position, report }
      })

      const promotion = Effect.fn("Promotion.run")(function* (options: PromotionOptions) {
        const from = (yield* readModels.live)?.generation
        const generation = yield* open(options)
        yield* abandonOthers(generation)
        const events = yield* untilBuilt(generation, options)
        yield* sweepEnded(generation)
        const { checkpoint } = yield* projections.status(generation)
        yield* options.onProgress({ generation, checkpoint, head: checkpoint, phase: "verifying" })
        failpoints.hit("generation.verify.before")
        const full = yield* projections.verify(generation, { level: "full", repair: false })
        failpoints.hit("generation.verify.after")
        yield* refuseUnlessClean(generation, full, options)
        const promote = promoteAt(generation, options, full)
        const promoted = yield* promote.pipe(
          Effect.retry({ while: (error) => error._tag === "HeadMoved", times: attemptsUnheld }),
          Effect.catchTag("HeadMoved", () => coordinator.whileHeld(promote))
        )
        yield* indexer.refresh
        yield* indexer.untilVisible(promoted.position).pipe(Effect.timeoutOption(Duration.seconds(30)))
        if (from !== undefined) yield* dropFiles(from)
        return {
          from,
          to: generation,
          position: promoted.position,
          events: events + promoted.events,
          report: { ...full, position: promoted.report.position, fingerprint: promoted.report.fingerprint }
        }
      })

      /** The log says that it is retired; here its files go. */
      const dropFiles = (generation: GenerationId) =>
        Effect.gen(function* () {
          failpoints.hit("generation.drop.before")
          yield* projections.drop(generation)
          failpoints.hit("generation.drop.after")
        }).pipe(
          Effect.retry({ times: 3, schedule: Schedule.spaced("100 millis") }),
          Effect.catchAll((error) =>
            Effect.logWarning("a retired generation's files were left", error.message)
          )
        )

      const one = yield* Effect.makeSemaphore(1)
      const run = (options: PromotionOptions) =>
        Effect.flatMap(
          one.withPermitsIfAvailable(1)(indexer.whileSucceeded(promotion(options))),
          Option.match({ onNone: () => underWay, onSome: Effect.succeed })
        )

      return Promotion.of({ run })
    })
  )

/** Two at a time would each give up what the other builds. The later one does not wait: its spec may be outdated by then. */
const underWay = new CommandRefused({
  command: "GenerationOpen",
  code: "under-way",
  detail: "Another replay or build is under way. Wait for its end, or stop it, and run this again."
})

const refusalOf = (
  generation: GenerationId,
  report: VerifyReport,
  options: PromotionOptions
): PromotionRefused | undefined =>
  // What is left out on purpose is left out of this one, too, and stays on record.
  isClean({ ...report, skipped: 0, unbuilt: Math.max(0, report.unbuilt - options.excluded.length) })
    ? undefined
    : new PromotionRefused({
        generation,
        code: "differs",
        detail: `read back from its engine it differs from the log (${report.missing} missing, ${report.extra} extra, ${report.different} different, ${report.unbuilt} unbuilt). Run it again; if it stays so, see reprise doctor`
      })

/** Whatever is still to be built: what is there is what the log says. */
const isSound = (report: VerifyReport): boolean => isClean({ ...report, skipped: 0, unbuilt: 0 })

const equalSpec = (one: Spec, other: Spec): boolean =>
  one.engine === other.engine &&
  one.chunker === other.chunker &&
  one.model === other.model &&
  one.analyzer === other.analyzer &&
  one.payload === other.payload
