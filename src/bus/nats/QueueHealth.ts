/**
 * Whether what stands in a work queue can reach anybody. A server may hold messages that it delivers to no one, answer
 * every request for them with "nothing came", and tell of nothing wrong; so whoever waits in vain looks.
 *
 * Seen on server 2.9.10: a purge of one subject by hand moves a consumer past messages of others; a stream that is made
 * while one of its name is still being removed loses its files, counts its messages, and finds none of them.
 */
import { Duration, Effect } from "effect"
import type { NatsService } from "./Connection.ts"
import { apiCodes, type NatsUnavailable } from "./NatsErrors.ts"
import type { StreamName } from "./Subjects.ts"

export interface WorkQueue {
  readonly stream: StreamName
  readonly consumer: string
  /** Makes stream and consumer again where they are missing. */
  readonly repair: Effect.Effect<void>
}

/** Between two looks: what is on its way has arrived by the second. */
const between = Duration.millis(500)

interface Look {
  /** Of the oldest message; the stream's making tells two streams of one name apart. */
  readonly created: string
  readonly first: number
  readonly readable: boolean
  readonly pending: number
  /** Requests that stand at the consumer. */
  readonly waiting: number
  readonly inHand: number
  readonly delivered: number
}

/** Looks twice, and makes consumer or stream anew where nothing moves. Of what is in hand another copy may come. */
export const mend = (nats: NatsService, queue: WorkQueue): Effect.Effect<void, NatsUnavailable> =>
  Effect.gen(function* () {
    const before = yield* lookAt(nats, queue)
    if (before === "missing") return yield* queue.repair
    if (before === "empty" || moves(before)) return
    yield* Effect.sleep(between)
    const after = yield* lookAt(nats, queue)
    if (after === "missing") return yield* queue.repair
    if (after === "empty" || moves(after)) return
    if (after.created !== before.created || after.first !== before.first) return
    if (!after.readable) return yield* remakeStream(nats, queue)
    if (after.delivered !== before.delivered) return
    yield* remakeConsumer(nats, queue)
  })

/** Something is in somebody's hands, from where it comes back; or the next is there, and nobody asks for it. */
const moves = ({ inHand, pending, readable, waiting }: Look): boolean =>
  readable && (inHand > 0 || (pending > 0 && waiting === 0))

const lookAt = (
  nats: NatsService,
  { consumer, stream }: WorkQueue
): Effect.Effect<Look | "missing" | "empty", NatsUnavailable> =>
  Effect.gen(function* () {
    const { consumers, streams } = nats.manager
    const info = yield* nats
      .attempt(`looking at the consumer ${consumer} of ${stream}`, () => consumers.info(stream, consumer))
      .pipe(whereGone(undefined))
    const held = yield* nats
      .attempt(`looking at the stream ${stream}`, () => streams.info(stream))
      .pipe(whereGone(undefined))
    if (info === undefined || held === undefined) return "missing"
    const { first_seq: first, messages } = held.state
    if (messages === 0) return "empty"
    const oldest = yield* nats
      .attempt(`reading the oldest message of ${stream}`, () => streams.getMessage(stream, { seq: first }))
      .pipe(whereGone(undefined))
    return {
      created: held.created,
      first,
      readable: oldest !== undefined,
      pending: info.num_pending,
      waiting: info.num_waiting,
      inHand: info.num_ack_pending,
      delivered: info.delivered.consumer_seq
    }
  })

const remakeConsumer = (
  nats: NatsService,
  { consumer, repair, stream }: WorkQueue
): Effect.Effect<void, NatsUnavailable> =>
  Effect.logWarning("A consumer on NATS passes messages over and is made anew").pipe(
    Effect.annotateLogs({ stream, consumer }),
    Effect.zipRight(
      nats.attempt(`removing the consumer ${consumer} of ${stream}`, () =>
        nats.manager.consumers.delete(stream, consumer)
      )
    ),
    whereGone(false),
    Effect.zipRight(repair)
  )

/** What stood in it is lost already. Orders are handed out again; results are made again. */
export const remakeStream = (
  nats: NatsService,
  { repair, stream }: WorkQueue
): Effect.Effect<void, NatsUnavailable> =>
  Effect.logWarning("A stream on NATS has lost its messages' files and is made anew").pipe(
    Effect.annotateLogs({ stream }),
    Effect.zipRight(nats.attempt(`removing the stream ${stream}`, () => nats.manager.streams.delete(stream))),
    whereGone(false),
    Effect.zipRight(repair)
  )

const gone: ReadonlyArray<number | undefined> = [
  apiCodes.noMessage,
  apiCodes.sequenceNotFound,
  apiCodes.deleteFailed,
  apiCodes.consumerNotFound,
  apiCodes.streamNotFound
]

/** What is asked about is not there, or not any more. */
export const whereGone =
  <B>(value: B) =>
  <A>(effect: Effect.Effect<A, NatsUnavailable>): Effect.Effect<A | B, NatsUnavailable> =>
    Effect.catchIf(
      effect,
      ({ apiCode }) => gone.includes(apiCode),
      () => Effect.succeed(value)
    )
