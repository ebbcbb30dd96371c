/** Answers what is asked from outside about one project. Nothing that is answered says anything of another. */
import { Effect, Schema, Stream } from "effect"
import { Indexer } from "../../actors/Indexer.ts"
import { Epoch, type ProjectScope, Sequence, scopeKey } from "../../events/Ids.ts"
import {
  AnswerReadMessage,
  ContentPutMessage,
  type ContentReadAnswer,
  ContentReadMessage,
  type EventsReadAnswer,
  EventsReadMessage,
  type ProjectStatus,
  type PublishedEvent,
  type WireError
} from "../../events/Messages.ts"
import type { PublicQueryName } from "../../events/Subjects.ts"
import { NatsConnection } from "../bus/nats/Connection.ts"
import type { NatsUnavailable } from "../bus/nats/NatsErrors.ts"
import { makeRecentBodies, usualRecentBodies } from "../bus/nats/RecentBodies.ts"
import { Filter } from "../index/Filter.ts"
import { Content } from "../log/Content.ts"
import { Log, type LogFailed, LogReader } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { settingsOf } from "../runtime/Names.ts"
import { Reader } from "../runtime/Reprise.ts"
import { maxLimit, SearchMode } from "../search/Search.ts"
import { makePublishedEvents } from "./PublishedEvents.ts"
import { makePutBodies, usualPutBodies } from "./PutBodies.ts"
import { storedAnswer } from "./StoredAnswer.ts"
import { decodeFields, type WireBody } from "./WireBody.ts"

/** A search, as `SearchRequest` of the package but for the scope. */
export const SearchMessage = Schema.Struct({
  team: AnswerReadMessage.fields.team,
  project: AnswerReadMessage.fields.project,
  query: Schema.String,
  mode: Schema.optional(SearchMode),
  limit: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, maxLimit)), { default: () => 10 }),
  filter: Schema.optionalWith(Filter, { default: () => ({}) }),
  minPosition: Schema.optional(Schema.NonNegativeInt),
  waitMs: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, 60_000)), { default: () => 5_000 })
})

/** How a project stands; its body may only repeat the scope. */
export const StatusMessage = Schema.Struct({
  team: AnswerReadMessage.fields.team,
  project: AnswerReadMessage.fields.project
})

export interface QueriesOptions {
  readonly answers: string
  readonly descriptors: boolean
  readonly mode: SearchMode
  /** Of a body that is put in pieces. */
  readonly maxBytes: number
}

export interface PublicQueries {
  readonly run: (
    scope: ProjectScope,
    query: PublicQueryName,
    body: WireBody
  ) => Effect.Effect<unknown, WireError>
}

/** Room in a message beside events, or beside a body. */
const envelopeBytes = 4_096
/** Of a body's piece, before base64. */
const pieceBytes = 256 * 1024

const unavailable = (what: string): WireError => ({
  code: "unavailable",
  message: `${what} at present. Ask again.`,
  retryAfterMs: 1_000
})

export const makePublicQueries = Effect.fnUntraced(function* (options: QueriesOptions) {
  const nats = yield* NatsConnection
  const reader = yield* Reader
  const log = yield* LogReader
  const readModels = yield* ReadModels
  const content = yield* Content
  const indexer = yield* Indexer
  const published = makePublishedEvents(content, options)
  const bodies = yield* makeRecentBodies(usualRecentBodies)
  const puts = yield* makePutBodies(yield* Log, content, usualPutBodies(options.maxBytes))

  /** What went wrong inside is the operator's to see. */
  const quietly = <A>(effect: Effect.Effect<A, LogFailed | NatsUnavailable>, what: string) =>
    Effect.catchAll(effect, ({ message }) =>
      Effect.zipRight(
        Effect.logWarning("a request was not answered", message),
        Effect.fail(unavailable(what))
      )
    )

  const search = Effect.fnUntraced(function* (scope: ProjectScope, body: WireBody) {
    const { filter, limit, minPosition, mode, query, waitMs } = yield* decodeFields(
      SearchMessage,
      scope,
      body.fields
    )
    return yield* reader
      .search({
        scope,
        query,
        mode: mode ?? options.mode,
        limit,
        filter,
        ...(minPosition !== undefined && { minPosition }),
        waitMs
      })
      .pipe(Effect.catchAll(searchRefused))
  })

  const searchRefused = (
    error: Effect.Effect.Error<ReturnType<typeof reader.search>>
  ): Effect.Effect<never, WireError> => {
    switch (error._tag) {
      case "QueryTooLong":
        return Effect.fail({ code: "query-too-long", message: error.message })
      case "NotYetVisible":
        return Effect.fail({ code: "not-yet-visible", message: error.message })
      case "SearchFailed":
        return Effect.zipRight(
          Effect.logWarning("a search was not answered", error.message),
          Effect.fail(unavailable("The search cannot be answered"))
        )
      default:
        return Effect.zipRight(
          Effect.logWarning("a query could not be embedded", error.message),
          Effect.fail(unavailable("The embedding provider does not answer"))
        )
    }
  }

  const status = Effect.fnUntraced(function* (scope: ProjectScope) {
    const head = yield* log.head
    const { visible } = yield* indexer.status
    const counts = yield* readModels.counts(scope)
    const sources = yield* readModels.sources(scope)
    const answer: ProjectStatus = {
      ...scope,
      documents: counts.documents,
      chunks: counts.chunks,
      preparing: counts.open,
      parked: counts.parked,
      epoch: Epoch.make(head.epoch),
      headPosition: Sequence.make(yield* readModels.sequenceAt(scope, head.position)),
      indexedPosition: Sequence.make(yield* readModels.sequenceAt(scope, visible)),
      sources: yield* Effect.forEach(
        sources.filter(({ removed }) => !removed),
        (source) =>
          Effect.map(settingsOf(content, scope, source.settings), (settings) => ({
            source: source.sourceId,
            kind: source.kind,
            name: settings === undefined ? "" : settings.kind === "files" ? settings.root : settings.name,
            sync: source.sync,
            state: source.syncState,
            held: source.held?.count ?? 0,
            ...(source.syncState === "failed" &&
              source.lastFailure !== undefined && { failure: source.lastFailure.message })
          }))
      )
    }
    return answer
  })

  const eventsRead = Effect.fnUntraced(function* (
    scope: ProjectScope,
    { epoch, fromSequence, limit }: typeof EventsReadMessage.Type
  ): Effect.fn.Return<EventsReadAnswer, LogFailed | WireError> {
    const head = yield* log.head
    if (epoch !== undefined && epoch !== head.epoch) {
      return yield* Effect.fail<WireError>({
        code: "epoch-changed",
        message: `The log is in epoch ${head.epoch}: an older copy of it was accepted. What was read since may be gone; read from sequence 1.`
      })
    }
    const headSequence = Sequence.make(yield* readModels.sequenceAt(scope, head.position))
    const none = { epoch: Epoch.make(head.epoch), headSequence, events: [] }
    if (fromSequence > headSequence) return none
    const from = yield* readModels.positionOf(scope, fromSequence)
    const budget = (yield* nats.maxPayload) - envelopeBytes
    const events: Array<PublishedEvent> = []
    let bytes = 0
    yield* log.read(from - 1, scope).pipe(
      Stream.take(limit),
      Stream.mapEffect(published.publish),
      Stream.takeWhile((event) => {
        bytes += Buffer.byteLength(JSON.stringify(event)) + 1
        if (bytes > budget && events.length > 0) return false
        events.push(bytes > budget ? lean(event) : event)
        return true
      }),
      Stream.runDrain
    )
    const last = events.at(-1)?.sequence ?? headSequence
    return {
      ...none,
      events,
      ...(last < headSequence && { nextSequence: Sequence.make(last + 1) })
    }
  })

  const contentRead = Effect.fnUntraced(function* (
    scope: ProjectScope,
    { digest, offset }: typeof ContentReadMessage.Type
  ): Effect.fn.Return<ContentReadAnswer, LogFailed | WireError> {
    // Looked at for each piece: what was erased meanwhile is answered no longer, however often it is asked for.
    const stored = yield* content.hasBlobs(scope, [digest])
    const body = stored.has(digest)
      ? yield* bodies.get(`${scopeKey(scope)}/${digest}`, content.blob(scope, digest))
      : undefined
    if (body === undefined) {
      return yield* Effect.fail<WireError>({
        code: "unknown-content",
        message: "The project has no such body (any more)."
      })
    }
    const room = Math.floor((((yield* nats.maxPayload) - envelopeBytes) * 3) / 4)
    const piece = body.subarray(offset, offset + Math.min(pieceBytes, room))
    const end = offset + piece.length
    return {
      digest,
      bytes: body.length,
      offset,
      base64: Buffer.from(piece).toString("base64"),
      ...(end < body.length && { nextOffset: end })
    }
  })

  const answerRead = Effect.fnUntraced(function* (
    scope: ProjectScope,
    { commandId }: typeof AnswerReadMessage.Type
  ) {
    const stored = yield* storedAnswer(nats, options.answers, scope, commandId)
    if (stored !== undefined) return stored.answer
    return yield* Effect.fail<WireError>({
      code: "unknown-command",
      message: "No answer is kept under this id: it was not decided yet, or more than a day ago."
    })
  })

  const orUnavailable = <A>(effect: Effect.Effect<A, LogFailed | NatsUnavailable | WireError>) =>
    Effect.catchAll(effect, (error) =>
      "_tag" in error ? quietly(Effect.fail(error), "The log cannot be read") : Effect.fail(error)
    )

  const run: PublicQueries["run"] = (scope, query, body) => {
    const decode = <A, I>(schema: Schema.Schema<A, I>) => decodeFields(schema, scope, body.fields)
    switch (query) {
      case "Search":
        return search(scope, body)
      case "Status":
        return Effect.zipRight(decode(StatusMessage), orUnavailable(status(scope)))
      case "EventsRead":
        return Effect.flatMap(decode(EventsReadMessage), (asked) => orUnavailable(eventsRead(scope, asked)))
      case "AnswerRead":
        return Effect.flatMap(decode(AnswerReadMessage), (asked) => orUnavailable(answerRead(scope, asked)))
      case "ContentPut":
        return Effect.flatMap(decode(ContentPutMessage), (piece) => orUnavailable(puts.put(scope, piece)))
      case "ContentRead":
        return Effect.flatMap(decode(ContentReadMessage), (asked) => orUnavailable(contentRead(scope, asked)))
    }
  }

  return { run } satisfies PublicQueries
})

const lean = ({ descriptor, ...event }: PublishedEvent): PublishedEvent => ({
  ...event,
  omitted: "too-large"
})
