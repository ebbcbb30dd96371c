/**
 * Orders that were sent and that nobody has claimed yet. A server that lost its store, or a stream of it, has lost them:
 * they are sent again as soon as the stream is there again, instead of when the Coordinator's patience with them ends.
 *
 * A stream that was made anew is known by the time of its making, whoever made it.
 */
import { Duration, Effect, Queue, Schedule, type Scope, Stream } from "effect"
import type { JobId } from "../../../events/Ids.ts"
import { Lane } from "../../../events/Job.ts"
import type { Claim, ClaimRequest, WorkOrder } from "../Bus.ts"
import type { NatsService } from "./Connection.ts"
import type { NatsUnavailable } from "./NatsErrors.ts"
import type { StreamConflict } from "./Streams.ts"
import { streamNames } from "./Subjects.ts"

export interface UnclaimedOptions {
  /** Makes a lane's stream where it is missing. */
  readonly remake: (lane: Lane) => Effect.Effect<void, NatsUnavailable | StreamConflict>
  readonly send: (order: WorkOrder) => Effect.Effect<void, NatsUnavailable>
}

export interface Unclaimed {
  /** A stream was missing: looks what was lost with it. */
  readonly look: Effect.Effect<void>
  readonly sent: (order: WorkOrder) => void
  readonly withdrawn: (job: JobId) => void
  /** Somebody works on it, or nobody need: only one whom it does not fit leaves it where it is. */
  readonly answered: (request: ClaimRequest, claim: Claim) => void
}

/** A server that is back may still be reading its store. */
const again = Schedule.spaced("500 millis").pipe(Schedule.upTo(Duration.seconds(30)))

export const makeUnclaimed = (
  nats: NatsService,
  { remake, send }: UnclaimedOptions
): Effect.Effect<Unclaimed, NatsUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const orders = new Map<JobId, WorkOrder>()
    const made = new Map<Lane, string>()
    const madeAt = (lane: Lane) =>
      nats
        .attempt(`looking at the stream ${streamNames[lane]}`, () =>
          nats.manager.streams.info(streamNames[lane])
        )
        .pipe(Effect.map(({ created }) => created))
    for (const lane of Lane.literals) made.set(lane, yield* madeAt(lane))

    const doubts = yield* Queue.sliding<void>(1)

    const lookAt = Effect.fnUntraced(function* (lane: Lane) {
      const lost = [...orders.values()].filter((order) => order.lane === lane)
      if (lost.length === 0) return
      yield* remake(lane)
      const now = yield* madeAt(lane)
      if (now === made.get(lane)) return
      yield* Effect.annotateLogs(Effect.logWarning("A queue on NATS was lost: its orders are sent again"), {
        lane,
        orders: lost.length
      })
      yield* Effect.forEach(
        lost,
        (order) => (orders.get(order.jobId) === order ? send(order) : Effect.void),
        { concurrency: 8, discard: true }
      )
      made.set(lane, now)
    })
    const reconnected = nats.changes.pipe(
      Stream.drop(1),
      Stream.filter(({ connected }) => connected)
    )
    yield* Stream.merge(reconnected, Stream.fromQueue(doubts)).pipe(
      Stream.runForEach(() =>
        Effect.forEach(Lane.literals, lookAt, { concurrency: "unbounded", discard: true }).pipe(
          Effect.retry(again),
          // The Coordinator hands them out again when they have stayed unclaimed for long.
          Effect.catchAll(({ message }) => Effect.logWarning("Lost orders wait to be handed out", message))
        )
      ),
      Effect.forkScoped
    )

    return {
      look: Effect.asVoid(Queue.offer(doubts, undefined)),
      sent: (order) => void orders.set(order.jobId, order),
      withdrawn: (job) => void orders.delete(job),
      answered: ({ attempt, jobId }, claim) => {
        const unfit = claim._tag === "Refused" && claim.unfit === true
        if (!unfit && orders.get(jobId)?.attempt === attempt) orders.delete(jobId)
      }
    }
  })
