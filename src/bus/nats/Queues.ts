/**
 * Puts messages into work queues. A full queue makes its sender wait; a queue that the server has lost is made again.
 */
import { Duration, Effect, Schedule } from "effect"
import type { JetStreamPublishOptions, PubAck } from "nats"
import type { NatsService } from "./Connection.ts"
import { apiCodes, NatsUnavailable } from "./NatsErrors.ts"
import { remakeStream, type WorkQueue, whereGone } from "./QueueHealth.ts"
import { duplicateWindow } from "./Streams.ts"

export interface QueuedMessage extends WorkQueue {
  readonly subject: string
  readonly payload: Uint8Array
}

const publishTimeout = Duration.seconds(5)
/** How long a sender waits for a place in a full queue before it is told so. */
const patience = Duration.seconds(30)
/** Copies of a job's orders that are taken out at a time: more than its attempts. */
const mostCopies = 64
const fullAgain = Schedule.exponential("20 millis").pipe(Schedule.union(Schedule.spaced("500 millis")))

/** Adds a message, whatever else waits there. */
export const add = (nats: NatsService, message: QueuedMessage): Effect.Effect<void, NatsUnavailable> =>
  withPatience(message, Effect.asVoid(publish(nats, message, {})))

/**
 * Adds a message unless the queue holds the one with this id as the last of its subject, waiting or in somebody's hands.
 * The server compares: what stands there is expected with the message, so that two senders cannot both add it.
 */
export const addOnce = (
  nats: NatsService,
  message: QueuedMessage & { readonly id: string }
): Effect.Effect<"added" | "was there", NatsUnavailable> =>
  withPatience(
    message,
    Effect.gen(function* () {
      let expected = 0
      while (true) {
        const sent = yield* Effect.either(
          publish(nats, message, { msgID: message.id, expect: { lastSubjectSequence: expected } })
        )
        if (sent._tag === "Right" && !sent.right.duplicate) return "added"
        if (sent._tag === "Left" && sent.left.apiCode !== apiCodes.wrongLastSequence) return yield* sent.left
        const last = yield* lastOf(nats, message)
        if (last?.id === message.id) return "was there"
        // Taken for a copy of one that was done a moment ago: the server forgets it soon.
        if (sent._tag === "Right") yield* Effect.sleep(duplicateWindow)
        expected = last?.sequence ?? 0
      }
    })
  )

/**
 * Takes out all messages of a subject, in hand or not. One by one: a purge by subject would be a single request, but
 * server 2.9.10 then moves the consumer past messages of other subjects, which stay in the stream and reach nobody.
 */
export const takeOut = (
  nats: NatsService,
  at: Pick<QueuedMessage, "stream" | "subject">
): Effect.Effect<void, NatsUnavailable> =>
  Effect.gen(function* () {
    for (let copies = 0; copies < mostCopies; copies++) {
      const last = yield* lastOf(nats, at)
      if (last === undefined) return
      yield* nats
        .attempt(`taking out of ${at.stream}`, () =>
          nats.manager.streams.deleteMessage(at.stream, last.sequence, false)
        )
        .pipe(whereGone(undefined))
    }
  })

const publish = (
  nats: NatsService,
  message: QueuedMessage,
  options: Partial<JetStreamPublishOptions>
): Effect.Effect<PubAck, NatsUnavailable> => {
  const { payload, repair, subject } = message
  const once = nats.attempt(subject, () =>
    nats.jetstream.publish(subject, payload, { timeout: Duration.toMillis(publishTimeout), ...options })
  )
  return Effect.catchIf(
    once,
    (error) => error.reason === "no-responders" || isUnwritable(error),
    (error) =>
      // No stream has the subject: the server lost it. Or it has, and lost the stream's files.
      Effect.zipRight(isUnwritable(error) ? remakeStream(nats, message) : repair, once)
  )
}

const isFull = ({ apiCode, detail }: NatsUnavailable): boolean =>
  apiCode === apiCodes.notStored && detail.startsWith("maximum")
const isUnwritable = (error: NatsUnavailable): boolean =>
  error.apiCode === apiCodes.notStored && /no such file/i.test(error.detail)

const lastOf = (
  nats: NatsService,
  { stream, subject }: Pick<QueuedMessage, "stream" | "subject">
): Effect.Effect<{ readonly sequence: number; readonly id: string } | undefined, NatsUnavailable> =>
  nats
    .attempt(subject, () => nats.manager.streams.getMessage(stream, { last_by_subj: subject }))
    .pipe(
      Effect.map(({ header, seq }) => ({ sequence: seq, id: header.get("Nats-Msg-Id") })),
      whereGone(undefined)
    )

const withPatience = <A>(
  { subject }: QueuedMessage,
  effect: Effect.Effect<A, NatsUnavailable>
): Effect.Effect<A, NatsUnavailable> =>
  effect.pipe(
    Effect.retry({ schedule: fullAgain, while: isFull }),
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () =>
        new NatsUnavailable({ what: subject, reason: "timeout", detail: "its queue stays full" })
    })
  )
