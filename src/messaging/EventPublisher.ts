/**
 * Publishes every event after its append, in the log's order, and goes on after any crash where the stream ends.
 *
 * Each message expects the stream's last sequence, and all but the first after finding the end also the id of the message
 * before it: the sequence alone lets a foreign message slip into a window, the id alone is forgotten by a restarted
 * server. Any answer but the predicted one (an error, `duplicate`, another sequence) ends the window, and the end is
 * looked for again. So the order in the stream is the log's; an event may stand there twice, never be missing.
 */
import {
  Chunk,
  Clock,
  Context,
  Duration,
  Effect,
  Layer,
  Random,
  Schema,
  Stream,
  SubscriptionRef
} from "effect"
import { headers, type PubAck } from "nats"
import type { Supervisor } from "../../actors/Supervisor.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import { headerNames, type PublishedEvent } from "../../events/Messages.ts"
import { NatsConnection } from "../bus/nats/Connection.ts"
import { type NatsUnavailable, unavailable } from "../bus/nats/NatsErrors.ts"
import type { StreamConflict } from "../bus/nats/Streams.ts"
import { Content } from "../log/Content.ts"
import { type LogFailed, LogReader } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { underSupervisor } from "./Fiber.ts"
import { encodeEvent, makePublishedEvents } from "./PublishedEvents.ts"
import { findStreamEnd, sourceOf } from "./StreamEnd.ts"

/** Somebody else wrote to the stream, or the server forgot what it had: the end is looked for again. */
export class Displaced extends Schema.TaggedError<Displaced>()("Displaced", {
  detail: Schema.String
}) {
  override get message() {
    return `The event stream is not where it was left: ${this.detail}. Its end is looked for again.`
  }
}

export interface PublisherStatus {
  /** The position in the log up to which everything is in the stream. */
  readonly published: number
  /** Messages acknowledged by this process. */
  readonly messages: number
  /** How often the end of the stream was looked for. */
  readonly searches: number
  /** Why nothing is published at present. */
  readonly problem: string | undefined
}

export interface EventPublisherService {
  readonly status: Effect.Effect<PublisherStatus & { readonly lag: number }, LogFailed>
  /** Waits until everything up to a position is in the stream. */
  readonly untilPublished: (position: number) => Effect.Effect<void>
}

export class EventPublisher extends Context.Tag("reprise/messaging/EventPublisher")<
  EventPublisher,
  EventPublisherService
>() {}

export interface PublisherOptions {
  readonly stream: string
  /** Messages that are under way at a time: 64 to 256 are equally fast, and less is slower. */
  readonly window: number
  /** Descriptors travel with the events that name one. */
  readonly descriptors: boolean
  /** How long an acknowledgement may take. */
  readonly timeout: Duration.Duration
  /** Makes the stream where it is not there (any more). */
  readonly ready: Effect.Effect<void, NatsUnavailable | StreamConflict>
}

export const usualPublisher: Omit<PublisherOptions, "ready"> = {
  stream: "REPRISE_EVENTS",
  window: 128,
  descriptors: true,
  timeout: Duration.seconds(5)
}

/** Room for headers beside a body. */
const headerBytes = 2_048

/** No shorter than the stream's window for duplicates, within which a repeated id is refused. */
const firstDelay = Duration.millis(120)
const longestDelay = Duration.seconds(5)

export const make = Effect.fnUntraced(function* (options: PublisherOptions) {
  const nats = yield* NatsConnection
  const reader = yield* LogReader
  const readModels = yield* ReadModels
  const published = makePublishedEvents(yield* Content, options)
  const { logId } = yield* reader.head
  const status = yield* SubscriptionRef.make<PublisherStatus>({
    published: 0,
    messages: 0,
    searches: 0,
    problem: undefined
  })
  const source = sourceOf(logId)

  /** Sends a window's messages in order and waits for all of their answers. */
  const send = Effect.fnUntraced(function* (
    events: ReadonlyArray<StoredEvent>,
    after: number,
    former: string | undefined
  ) {
    const bodies = yield* Effect.forEach(events, published.publish)
    const maxBytes = (yield* nats.maxPayload) - headerBytes
    const answers = yield* nats.attempt("publish events", () =>
      Promise.allSettled(
        events.map((event, at) => {
          const lastMsgID = at === 0 ? former : events[at - 1]?.id
          return nats.jetstream.publish(
            `reprise.event.${event.team}.${event.project}.${event.type}`,
            encodeEvent(bodies[at] ?? unreachable(), maxBytes),
            {
              msgID: event.id,
              headers: headersOf(event, source),
              timeout: Duration.toMillis(options.timeout),
              expect: {
                streamName: options.stream,
                lastSequence: after + at,
                ...(lastMsgID !== undefined && { lastMsgID })
              }
            }
          )
        })
      )
    )
    const sent = answers.findIndex((answer, at) => !isPredicted(answer, after + at + 1))
    const good = sent === -1 ? events.length : sent
    const last = events[good - 1]
    if (last !== undefined) {
      yield* SubscriptionRef.update(status, (now) => ({
        ...now,
        published: last.position,
        messages: now.messages + good,
        problem: undefined
      }))
    }
    if (sent !== -1) return yield* refusalOf(answers[sent])
  })

  /** From the end of the stream on, until something is not as predicted. */
  const publishing = Effect.gen(function* () {
    yield* options.ready
    const end = yield* findStreamEnd(
      { nats, reader, readModels },
      options.stream,
      yield* Clock.currentTimeMillis
    )
    if (end.ahead) yield* Effect.logError("the event stream holds events of this log that the log has lost")
    if (end.foreign > 0) {
      yield* Effect.annotateLogs(Effect.logWarning("messages of others stand in the event stream"), {
        count: end.foreign
      })
    }
    yield* SubscriptionRef.update(status, (now) => ({
      ...now,
      published: end.after,
      searches: now.searches + 1,
      problem: undefined
    }))
    let sequence = end.lastSequence
    let former: string | undefined
    yield* Stream.runForEachChunk(reader.subscribe(end.after), (chunk) =>
      Effect.gen(function* () {
        const events = Chunk.toReadonlyArray(chunk)
        for (let from = 0; from < events.length; from += options.window) {
          const window = events.slice(from, from + options.window)
          yield* send(window, sequence, former)
          sequence += window.length
          former = window.at(-1)?.id
        }
      })
    )
  })

  /** What is expected to go wrong (the server away, somebody else in the stream) is waited out, visibly. */
  const run = Effect.gen(function* () {
    let failures = 0
    while (true) {
      const before = (yield* SubscriptionRef.get(status)).messages
      const problem = yield* Effect.flip(Effect.zipRight(publishing, Effect.never))
      const now = yield* SubscriptionRef.updateAndGet(status, (last) => ({
        ...last,
        problem: problem.message
      }))
      failures = now.messages > before ? 1 : failures + 1
      yield* Effect.logInfo("event publishing was interrupted", problem.message)
      const jitter = yield* Random.nextRange(1, 1.5)
      const delay = Math.min(
        Duration.toMillis(firstDelay) * 2 ** Math.min(failures - 1, 10) * jitter,
        Duration.toMillis(longestDelay)
      )
      yield* Effect.sleep(Duration.millis(Math.round(delay)))
    }
  })

  return {
    run,
    service: EventPublisher.of({
      status: Effect.zipWith(SubscriptionRef.get(status), reader.head, (now, { position }) => ({
        ...now,
        lag: Math.max(0, position - now.published)
      })),
      untilPublished: (position) =>
        status.changes.pipe(
          Stream.filter((now) => now.published >= position),
          Stream.runHead,
          Effect.asVoid
        )
    })
  }
})

/** Runs the publisher under the supervisor, where its lag is seen as its mailbox. */
export const layer = (
  options: PublisherOptions
): Layer.Layer<EventPublisher, LogFailed, NatsConnection | LogReader | ReadModels | Content | Supervisor> =>
  Layer.scoped(
    EventPublisher,
    Effect.gen(function* () {
      const { run, service } = yield* make(options)
      const look = Effect.map(Effect.orDie(service.status), ({ lag, messages, problem, published }) => ({
        mailbox: lag,
        processed: messages,
        failed: 0,
        lastError: problem,
        mark: published
      }))
      yield* underSupervisor("publisher", run, look)
      return service
    })
  )

const isPredicted = (answer: PromiseSettledResult<PubAck> | undefined, sequence: number): boolean =>
  answer?.status === "fulfilled" && !answer.value.duplicate && answer.value.seq === sequence

const refusalOf = (answer: PromiseSettledResult<PubAck> | undefined): NatsUnavailable | Displaced => {
  if (answer?.status === "rejected") return unavailable("publish events", answer.reason)
  const detail = answer?.value.duplicate === true ? "a message was taken for a repeated one" : "it moved"
  return new Displaced({ detail })
}

const headersOf = (event: StoredEvent, source: string) => {
  const all = headers()
  all.set("ce-specversion", "1.0")
  all.set("ce-id", event.id)
  all.set("ce-source", source)
  all.set("ce-type", event.type)
  all.set("ce-subject", event.stream)
  all.set("ce-time", new Date(event.recordedAt).toISOString())
  all.set("ce-datacontenttype", "application/json")
  if (event.metadata.traceparent !== undefined) all.set("ce-traceparent", event.metadata.traceparent)
  all.set(headerNames.epoch, String(event.metadata.epoch))
  all.set(headerNames.sequence, String(event.sequence))
  return all
}

const unreachable = (): PublishedEvent => {
  throw new Error("Every event of a window has a body.")
}
