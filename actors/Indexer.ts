/**
 * Reads the log from the live generation's checkpoint and applies it. It knows nothing of the actors upstream: a new
 * head is all it hears.
 *
 * An engine that is away makes it wait and try again, visibly; so does an event or body that it cannot take, unless
 * `IndexRecovery` says otherwise. The generation stays where it is meanwhile, and searches go on there.
 */
import { Cause, Context, Duration, Effect, Layer, Schedule, Stream, SubscriptionRef } from "effect"
import type { GenerationId } from "../events/Ids.ts"
import { monotonicMs } from "../src/clock/Monotonic.ts"
import { Projections, type ProjectionsError } from "../src/index/Projections.ts"
import { IndexRecovery } from "../src/index/Recovery.ts"
import { Log, type LogFailed } from "../src/log/Log.ts"
import { ReadModels } from "../src/log/ReadModels.ts"
import type { ActorStatus } from "./Actor.ts"
import { Supervisor } from "./Supervisor.ts"

export interface IndexerStatus {
  readonly generation: GenerationId | undefined
  /** V: what searches see. */
  readonly visible: number
  readonly applied: number
  readonly failures: number
  readonly problem: ProjectionsError | undefined
  /** Nothing is applied until somebody resumes: they paused it, or it stopped at a problem, as `IndexRecovery` says. */
  readonly held: "paused" | "stopped" | undefined
}

export interface IndexerService {
  /** Waits until searches see everything up to a position; the visible one stays behind it where nothing between is to be seen. */
  readonly untilVisible: (position: number) => Effect.Effect<void>
  readonly status: Effect.Effect<IndexerStatus>
  /** The status each time it changes; starts with the present one. */
  readonly changes: Stream.Stream<IndexerStatus>
  /** Has the live generation looked up anew: after a promotion. */
  readonly refresh: Effect.Effect<void>
  /**
   * While a successor of the live generation is made: the same thread folds it, so that nothing is put in order that goes with the
   * live one, unless points still come to that.
   */
  readonly whileSucceeded: <A, E, R>(making: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Goes on where it was paused or stopped. */
  readonly resume: Effect.Effect<void>
}

export class Indexer extends Context.Tag("reprise/actors/Indexer")<Indexer, IndexerService>() {}

const pause = Schedule.exponential("100 millis", 2).pipe(
  Schedule.either(Schedule.spaced("5 seconds")),
  Schedule.jittered
)

/**
 * What streams in is applied in pieces that are worth it, for a batch costs by its distinct words more than by its chunks:
 * after an apply more is waited for, twice as long as it took and no longer than this, unless somebody waits.
 */
const longestGathering = 200
/** Likewise before the first of a series, as others are about to end with it. Where no document is under way, none is. */
const firstGathering = 25
/**
 * A step of upkeep takes as long as some applies, and whoever waits then waits for it. So it is put off for as long as news
 * come within half a second of each other, and no longer than twenty. Likewise the visible position follows events that change
 * nothing of what is seen: nobody has to wait for those.
 */
const calm = 500
const longestPutOff = 20_000

export const layer: Layer.Layer<Indexer, never, Log | ReadModels | Projections | Supervisor> = Layer.scoped(
  Indexer,
  Effect.gen(function* () {
    const log = yield* Log
    const readModels = yield* ReadModels
    const projections = yield* Projections
    const supervisor = yield* Supervisor
    const status = yield* SubscriptionRef.make<IndexerStatus>({
      generation: undefined,
      visible: 0,
      applied: 0,
      failures: 0,
      problem: undefined,
      held: undefined
    })
    const recovery = yield* IndexRecovery
    /** One wake-up waiting is as good as many: whoever takes it reads the log's head. */
    const news = yield* Effect.makeLatch(false)
    let isNews = false
    /** Open from when there is news, or somebody begins to wait, until that was looked at: one wait for the two. */
    const stir = yield* Effect.makeLatch(false)
    const refresh = Effect.sync(() => {
      isNews = true
      news.unsafeOpen()
      stir.unsafeOpen()
    })
    const takeNews = Effect.sync(() => {
      isNews = false
      news.unsafeClose()
      stir.unsafeClose()
    })

    let waiting = 0
    const awaited = <A>(wait: Effect.Effect<A>): Effect.Effect<A> =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          waiting += 1
          stir.unsafeOpen()
        }),
        () => wait,
        () => Effect.sync(() => waiting--)
      )
    const isSeen = (position: number, visible: number) =>
      visible >= position
        ? Effect.succeed(true)
        : Effect.map(readModels.nextVisible(visible), (next) => next === undefined || next > position)

    /** When the next apply may begin, by a clock that only rises. */
    let applyAt = 0
    let isSeries = true
    /** Something to see was foreseen: documents under way end in it. */
    let isReady = false
    /** Waits until an apply is worth it. */
    const gather = Effect.gen(function* () {
      const began = yield* monotonicMs
      let quietAt = began + calm
      while (true) {
        const now = yield* monotonicMs
        const { visible } = yield* SubscriptionRef.get(status)
        const isToSee = (yield* readModels.nextVisible(visible)) !== undefined
        if (!isReady && (isToSee || (yield* readModels.counts()).open > 0)) {
          isReady = true
          yield* projections.ready
        }
        if (isToSee && !isSeries) {
          isSeries = true
          applyAt = Math.max(applyAt, now + firstGathering)
        }
        const until = isToSee ? applyAt : Math.min(quietAt, began + longestPutOff)
        if (now >= until) return
        if (isToSee && (waiting > 0 || (yield* readModels.counts()).open === 0)) return
        // Timers know no shorter time; what is left below one rounds to nothing, and would be waited for again and again.
        yield* Effect.timeoutOption(stir.await, Math.ceil(until - now))
        if (isNews) quietAt = (yield* monotonicMs) + calm
        yield* takeNews
      }
    })

    let crashed = false
    let crashes = 0
    let lastError: string | undefined
    let calmAt = yield* monotonicMs
    let moved = -1
    /** As the others of the tree: what waits is the events after the visible position. */
    const asActor: Effect.Effect<ActorStatus> = Effect.gen(function* () {
      const { applied, failures, generation, visible } = yield* SubscriptionRef.get(status)
      const now = yield* monotonicMs
      const unseen = generation === undefined ? 0 : Math.max(0, (yield* log.head).position - visible)
      if (unseen === 0 || moved !== visible + applied) calmAt = now
      moved = visible + applied
      return {
        name: "indexer",
        state: crashed ? "restarting" : "running",
        restarts: crashes,
        mailbox: unseen,
        processed: applied,
        failed: failures,
        lastError,
        stalledMs: now - calmAt
      }
    })
    // An engine that is away is waited for: whether the index gets on is judged by whoever knows of its boundaries.
    yield* supervisor.register(asActor, Duration.infinity)

    /** Asked before every step: a pause takes hold between two, and holds through a restart. */
    const isHeld = Effect.gen(function* () {
      const paused = yield* readModels.indexPaused
      const { held } = yield* SubscriptionRef.get(status)
      const now: IndexerStatus["held"] = held === "stopped" ? held : paused ? "paused" : undefined
      if (now !== held) yield* SubscriptionRef.update(status, (last) => ({ ...last, held: now }))
      return now !== undefined
    })
    const stopsAt = (problem: ProjectionsError | LogFailed): boolean =>
      recovery === "stop" && (problem._tag === "ProjectionStopped" || problem._tag === "UnknownEvent")
    const stop = SubscriptionRef.update(status, (last) => ({ ...last, held: "stopped" as const }))

    let successors = 0
    /** Points have come to the live generation since its successor was begun. */
    let isGrowing = false

    /** Applies until nothing is left of what the log holds now. */
    const catchUp = Effect.gen(function* () {
      while (!(yield* isHeld)) {
        yield* gather
        // Only now: a generation may have been promoted while more was waited for.
        const live = yield* readModels.live
        if (live === undefined) return
        const began = yield* monotonicMs
        const applied = yield* projections.advance(live.generation)
        const ended = yield* monotonicMs
        applyAt = ended + Math.min(longestGathering, 2 * (ended - began))
        crashed = false
        isGrowing ||= applied.inserted > 0
        // Replaced meanwhile, it is asked by nobody: what it holds is visible in its successor alone.
        const isLive = (yield* readModels.live)?.generation === live.generation
        yield* SubscriptionRef.update(status, (last) => ({
          ...last,
          generation: live.generation,
          visible: isLive ? Math.max(last.visible, applied.checkpoint) : last.visible,
          applied: last.applied + applied.events,
          problem: undefined
        }))
        const head = yield* log.head
        if (isLive && (applied.checkpoint >= head.position || applied.events === 0)) return
      }
    }).pipe(
      Effect.tapError((problem) =>
        SubscriptionRef.update(status, (last) => {
          lastError = problem.message
          return {
            ...last,
            failures: last.failures + 1,
            problem: problem._tag === "LogFailed" ? undefined : problem
          }
        }).pipe(
          Effect.zipRight(Effect.logWarning("the live generation could not be advanced", problem.message)),
          Effect.annotateLogs({ actor: "indexer" })
        )
      ),
      // A bug is waited out as an engine is: nobody else would start this again, and whoever waits would wait for ever.
      Effect.tapDefect((defect) =>
        SubscriptionRef.update(status, (last) => {
          crashed = true
          crashes++
          lastError = Cause.pretty(defect).split("\n")[0]
          return { ...last, failures: last.failures + 1 }
        }).pipe(
          Effect.zipRight(Effect.logError("the live generation could not be advanced", defect)),
          Effect.annotateLogs({ actor: "indexer" })
        )
      ),
      Effect.catchIf(stopsAt, () => stop),
      Effect.sandbox,
      Effect.retry({ schedule: pause, while: (cause) => !Cause.isInterrupted(cause) }),
      Effect.unsandbox,
      Effect.orDie
    )

    /** Nobody would start this again: a bug beside the applying is told, and the applying goes on. */
    const survived =
      (what: string) =>
      <R>(work: Effect.Effect<void, never, R>): Effect.Effect<void, never, R> =>
        Effect.catchAllDefect(work, (defect) =>
          Effect.zipRight(
            Effect.sync(() => {
              crashes++
              lastError = Cause.pretty(Cause.die(defect)).split("\n")[0]
            }),
            Effect.logError(what, defect)
          )
        )

    let putOffSince: number | undefined
    /** Whether there is something new to apply before upkeep may begin. */
    const isDisturbed = Effect.gen(function* () {
      const now = yield* monotonicMs
      putOffSince ??= now
      if (now - putOffSince >= longestPutOff) return false
      // Waited for, not taken: what is taken while the time runs out would be lost.
      yield* Effect.timeoutOption(news.await, calm)
      return isNews
    })

    /** A step of upkeep, and more for as long as there is nothing new to apply. */
    const maintain = Effect.gen(function* () {
      let more = true
      while (more && !(yield* isHeld) && (successors === 0 || isGrowing)) {
        const live = yield* readModels.live
        const left = live !== undefined && (yield* projections.maintain(live.generation))
        more = left && !isNews
      }
    }).pipe(
      Effect.catchAll((problem) => Effect.logDebug("index upkeep put off", problem.message)),
      survived("the index was not put in order")
    )

    const clear = projections.clear.pipe(
      Effect.catchAll((problem) =>
        Effect.logWarning("retired generations' files were left", problem.message)
      ),
      survived("retired generations' files were left")
    )

    /** Nothing is applied to a generation that stands as the last process left it before there is something to see. */
    const stand = Effect.gen(function* () {
      const live = yield* readModels.live
      const visible = live && (yield* projections.standing(live.generation))
      if (live === undefined || visible === undefined) return
      yield* SubscriptionRef.update(status, (last) => ({ ...last, generation: live.generation, visible }))
    }).pipe(Effect.ignore, survived("the live generation was not looked at"))

    yield* Stream.runForEach(log.heads, () => refresh).pipe(Effect.forkScoped)
    const bringUpToDate = Effect.zipRight(takeNews, catchUp).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          isSeries = false
        })
      )
    )
    yield* news.await.pipe(
      Effect.zipRight(Effect.repeat(Effect.zipRight(bringUpToDate, isDisturbed), { while: Boolean })),
      Effect.zipRight(maintain),
      Effect.tap(() => {
        putOffSince = undefined
      }),
      Effect.forever,
      (applying) => Effect.zipRight(Effect.zipRight(stand, clear), applying),
      Effect.annotateLogs({ actor: "indexer" }),
      Effect.forkScoped
    )

    return Indexer.of({
      untilVisible: (position) => {
        // Where the log cannot be read, somebody else says so; it is waited for here.
        const isVisible = ({ visible }: IndexerStatus) =>
          Effect.orElseSucceed(isSeen(position, visible), () => false)
        const changed = status.changes.pipe(Stream.filterEffect(isVisible), Stream.runHead)
        return SubscriptionRef.get(status).pipe(
          Effect.flatMap(isVisible),
          Effect.flatMap((already) => (already ? Effect.void : Effect.asVoid(awaited(changed))))
        )
      },
      status: SubscriptionRef.get(status),
      changes: status.changes,
      refresh,
      whileSucceeded: (making) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            if (successors++ === 0) isGrowing = false
          }),
          () => making,
          () =>
            Effect.zipRight(
              Effect.sync(() => successors--),
              refresh
            )
        ),
      resume: Effect.zipRight(
        SubscriptionRef.update(status, (last) => ({ ...last, held: undefined })),
        refresh
      )
    })
  })
)
