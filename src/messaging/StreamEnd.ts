/**
 * Where the publisher stands in the stream: after the last message that is ours.
 *
 * Nothing else is kept of it. A position of our own would leave a gap after a lost store, and repeat after a restored
 * one; what the stream holds is all that subscribers can have.
 */
import { Chunk, Effect, Either, Option, Stream } from "effect"
import type { MsgHdrs } from "nats"
import type { StoredEvent } from "../../events/Envelope.ts"
import { headerNames } from "../../events/Messages.ts"
import { parseSubject } from "../../events/Subjects.ts"
import type { NatsService } from "../bus/nats/Connection.ts"
import { apiCodes, type NatsUnavailable } from "../bus/nats/NatsErrors.ts"
import type { LogFailed, LogReaderService } from "../log/Log.ts"
import type { ReadModelsService } from "../log/ReadModels.ts"

export interface StreamEnd {
  /** Of the stream's last message, whoever sent it. */
  readonly lastSequence: number
  /** The position in the log after which publishing goes on. */
  readonly after: number
  /** Messages after ours that are not ours. */
  readonly foreign: number
  /** The stream holds events of this very log that the log does not have (any more). */
  readonly ahead: boolean
}

export interface StreamEndPorts {
  readonly nats: NatsService
  readonly reader: LogReaderService
  readonly readModels: ReadModelsService
}

/** Says which log an event is of, and nothing else: with `ce-id` unique everywhere. */
export const sourceOf = (logId: string): string => `urn:reprise:log:${logId}`

/** Messages that are looked at together while scanning back. */
const stride = 64

interface Seen {
  readonly subject: string
  readonly header: MsgHdrs
}

/** Finds the end of `stream`, scanning back from its last message. */
export const findStreamEnd = Effect.fn("EventPublisher.findEnd")(function* (
  ports: StreamEndPorts,
  stream: string,
  now: number
): Effect.fn.Return<StreamEnd, NatsUnavailable | LogFailed> {
  const { nats, reader } = ports
  const info = yield* nats.attempt(`look at ${stream}`, () => nats.manager.streams.info(stream))
  const { first_seq: first, last_seq: last, messages } = info.state
  const head = yield* reader.head
  let foreign = 0
  let ahead = false
  for (let from = messages === 0 ? 0 : last; from >= Math.max(1, first); from -= stride) {
    const sequences = Array.from({ length: Math.min(stride, from - first + 1) }, (_, at) => from - at)
    const seen = yield* Effect.forEach(sequences, (sequence) => messageAt(nats, stream, sequence), {
      concurrency: "unbounded"
    })
    for (const message of seen) {
      if (message === undefined) continue
      const verdict = yield* judge(ports, message, head)
      if (verdict._tag === "Ours")
        return { lastSequence: last, after: verdict.event.position, foreign, ahead }
      foreign++
      ahead ||= verdict._tag === "Ahead"
    }
  }
  const maxAgeMs = info.config.max_age / 1e6
  const after = maxAgeMs === 0 ? 0 : yield* lastBefore(reader, now - maxAgeMs, head.position)
  return { lastSequence: last, after, foreign, ahead }
})

/** `undefined` where it was deleted. The leader answers: a copy that lags must not look like an end. */
const messageAt = (
  nats: NatsService,
  stream: string,
  seq: number
): Effect.Effect<Seen | undefined, NatsUnavailable> =>
  nats
    .attempt(`read message ${seq} of ${stream}`, () => nats.manager.streams.getMessage(stream, { seq }))
    .pipe(
      Effect.catchIf(
        ({ apiCode }) => apiCode === apiCodes.noMessage,
        () => Effect.succeed(undefined)
      )
    )

type Verdict =
  | { readonly _tag: "Ours"; readonly event: StoredEvent }
  | { readonly _tag: "Foreign" }
  | { readonly _tag: "Ahead" }

const foreign: Verdict = { _tag: "Foreign" }

/** Ours is what the log has: its source, its id, its place. A copy with another subject or id is not. */
const judge = Effect.fnUntraced(function* (
  { reader, readModels }: StreamEndPorts,
  { header, subject }: Seen,
  head: { readonly logId: string; readonly epoch: number; readonly position: number }
): Effect.fn.Return<Verdict, LogFailed> {
  if (header.get("ce-source") !== sourceOf(head.logId)) return foreign
  const parsed = parseSubject(subject)
  if (Either.isLeft(parsed) || parsed.right.kind !== "event") return foreign
  const { scope, type } = parsed.right
  const sequence = Number(header.get(headerNames.sequence))
  if (!Number.isSafeInteger(sequence) || sequence < 1) return foreign
  const newest = yield* readModels.sequenceAt(scope, head.position)
  if (sequence > newest) {
    return Number(header.get(headerNames.epoch)) === head.epoch ? { _tag: "Ahead" } : foreign
  }
  const position = yield* readModels.positionOf(scope, sequence)
  const event = yield* eventAt(reader, position)
  return event !== undefined && event.id === header.get("Nats-Msg-Id") && event.type === type
    ? { _tag: "Ours", event }
    : foreign
})

const eventAt = (reader: LogReaderService, position: number) =>
  reader.read(position - 1).pipe(
    Stream.take(1),
    Stream.runCollect,
    Effect.map((events) => Option.getOrUndefined(Chunk.head(events)))
  )

/** The last position that was recorded before a time: what is older is what the stream would have dropped by now. */
const lastBefore = Effect.fnUntraced(function* (reader: LogReaderService, time: number, head: number) {
  let low = 0
  let high = head
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    const event = yield* eventAt(reader, middle)
    if (event !== undefined && event.recordedAt < time) low = middle
    else high = middle - 1
  }
  return low
})
