/**
 * The bus over NATS: JetStream work queues for orders and results, core requests for claims and bodies.
 *
 * The queues are hints with a payload. An order stands in its queue once for each job and attempt (the server compares),
 * is delivered until it is acknowledged or withdrawn, and who works on it is decided by the claim alone. What a server
 * loses (a stream, a consumer, its whole store) is made anew at the next use, and the Coordinator hands out again.
 */
import { Duration, Effect, Layer, Option, Queue, Schedule, Schema, type Scope, Stream } from "effect"
import { StoredEventJson } from "../../../events/Envelope.ts"
import { CodeFingerprint, JobId } from "../../../events/Ids.ts"
import { Lane } from "../../../events/Job.ts"
import {
  Bus,
  type BusService,
  BusUnavailable,
  type Claim,
  type ClaimRequest,
  claimOneByOne,
  type Delivery,
  type WorkOrder,
  type WorkResult
} from "../Bus.ts"
import { NatsConnection } from "./Connection.ts"
import { divided } from "./Divided.ts"
import { type HeldBodies, type HeldReference, makeHeldBodies } from "./HeldBodies.ts"
import {
  decodeOrder,
  decodeResult,
  encodeHeld,
  encodeOrder,
  encodeResult,
  Undecodable
} from "./MessageCodec.ts"
import type { NatsUnavailable } from "./NatsErrors.ts"
import { makePuller, type Pulled, type Puller } from "./Puller.ts"
import { mend, type WorkQueue } from "./QueueHealth.ts"
import { add, addOnce, takeOut } from "./Queues.ts"
import {
  declarations,
  ensure,
  remake,
  type StreamConflict,
  type StreamOptions,
  usualStreamOptions
} from "./Streams.ts"
import {
  claimSubject,
  consumerNames,
  hintFilter,
  hintSubject,
  streamNames,
  subjectOf,
  workSubject
} from "./Subjects.ts"
import { makeUnclaimed } from "./Unclaimed.ts"

/** Makes or updates the queues that it uses, and fails where they cannot be used. */
export const layer = (
  options: StreamOptions = usualStreamOptions
): Layer.Layer<Bus, BusUnavailable | StreamConflict, NatsConnection> => Layer.scoped(Bus, make(options))

const claimTimeout = Duration.seconds(5)
/** Claims answered at a time. */
const claimsAtATime = 64
/** Bodies of results that are fetched at a time. */
const fetchesAtATime = 8
/** Deliveries of a message whose body cannot be fetched. Then it is handed out again as what was lost. */
const mostFetches = 5
/** How long a result waits for a server that is away: as long as the longest lane's limit. */
const patience = Duration.minutes(15)
const reportedAgain = Schedule.exponential("50 millis").pipe(
  Schedule.union(Schedule.spaced("1 second")),
  Schedule.upTo(patience)
)
/** Room in a message for headers and the protocol, bytes. */
const overhead = 8 * 1024

const ClaimRequestJson = Schema.parseJson(
  Schema.Struct({
    lane: Lane,
    jobId: JobId,
    attempt: Schema.Int,
    worker: Schema.String,
    code: CodeFingerprint,
    version: Schema.optionalWith(Schema.String, { exact: true })
  })
)
const ClaimAnswerJson = Schema.parseJson(
  Schema.Union(
    Schema.TaggedStruct("Granted", {}),
    Schema.TaggedStruct("Refused", {
      reason: Schema.String,
      unfit: Schema.optionalWith(Schema.Boolean, { exact: true })
    }),
    /** Nobody could decide: whoever asked tries again. */
    Schema.TaggedStruct("Unanswered", { detail: Schema.String })
  )
)
const encodeClaim = Schema.encodeSync(ClaimRequestJson)
const decodeClaim = Schema.decodeUnknown(ClaimRequestJson)
const encodeAnswer = Schema.encodeSync(ClaimAnswerJson)
const decodeAnswer = Schema.decodeUnknown(ClaimAnswerJson)

const EventHint = Schema.parseJson(StoredEventJson)
const decodeEvent = Schema.decodeUnknown(EventHint)

const away = (detail: string): BusUnavailable => new BusUnavailable({ bus: "nats", detail })
const asAway = <A, R>(effect: Effect.Effect<A, NatsUnavailable, R>): Effect.Effect<A, BusUnavailable, R> =>
  Effect.mapError(effect, ({ message }) => away(message))

const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const make = Effect.fnUntraced(function* (
  options: StreamOptions
): Effect.fn.Return<BusService, BusUnavailable | StreamConflict, NatsConnection | Scope.Scope> {
  const nats = yield* NatsConnection
  const declared = declarations(options)
  yield* Effect.forEach([declared.prepare, declared.embed, declared.results], (one) => ensure(nats, one), {
    discard: true
  }).pipe(Effect.catchTag("NatsUnavailable", ({ message }) => away(message)))
  const held = yield* makeHeldBodies(nats)

  const repair = (queue: Lane | "results"): Effect.Effect<void> =>
    remake(nats, declared[queue]).pipe(
      Effect.tap(() => (queue === "results" ? Effect.void : unclaimed.look)),
      Effect.tapError((error) => Effect.logWarning("A queue on NATS cannot be used", error.message)),
      Effect.ignore
    )
  const queueOf = (queue: Lane | "results"): WorkQueue => ({
    stream: streamNames[queue],
    consumer: queue === "results" ? consumerNames.coordinator : consumerNames.workers,
    repair: repair(queue)
  })
  const pullerOf = (queue: Lane | "results") => asAway(makePuller(nats, queueOf(queue)))
  const lanes: { readonly [lane in Lane]: Puller } = {
    prepare: yield* pullerOf("prepare"),
    embed: yield* pullerOf("embed")
  }
  const results = yield* pullerOf("results")

  /** Frames of orders that were too large for a message, until somebody works on them. */
  const heldFor = new Map<JobId, HeldReference>()
  const forget = (job: JobId) =>
    Effect.suspend(() => {
      const reference = heldFor.get(job)
      heldFor.delete(job)
      return reference === undefined ? Effect.void : held.forget(reference)
    })
  /** A frame as it can be sent: itself, or a reference where it is too large. */
  const sendable = Effect.fnUntraced(function* (frame: Uint8Array) {
    if (frame.length + overhead <= (yield* nats.maxPayload)) return { payload: frame, reference: undefined }
    const reference = yield* held.hold(frame)
    return { payload: encodeHeld(reference), reference }
  })

  const send = Effect.fnUntraced(function* (order: WorkOrder) {
    const { payload, reference } = yield* sendable(encodeOrder(order))
    if (reference !== undefined) heldFor.set(order.jobId, reference)
    return yield* addOnce(nats, {
      ...queueOf(order.lane),
      subject: workSubject(order.lane, order.jobId),
      id: `${order.jobId}.${order.attempt}`,
      payload
    })
  })
  const unclaimed = yield* asAway(
    makeUnclaimed(nats, { remake: (lane) => remake(nats, declared[lane]), send })
  )

  const dispatch: BusService["dispatch"] = (orders) =>
    Effect.gen(function* () {
      for (const order of orders) {
        unclaimed.sent(order)
        // Sent again because nobody claimed it: does the queue still deliver?
        if ((yield* send(order)) === "was there") yield* mend(nats, queueOf(order.lane))
      }
    }).pipe(asAway)

  const withdraw: BusService["withdraw"] = (lane, job) => {
    unclaimed.withdrawn(job)
    return Effect.zipRight(
      forget(job),
      asAway(takeOut(nats, { stream: streamNames[lane], subject: workSubject(lane, job) }))
    )
  }

  const report = (result: WorkResult) =>
    Effect.flatMap(sendable(encodeResult(result)), ({ payload }) =>
      // What was worked for is not thrown away because the server is away.
      Effect.retry(add(nats, { ...queueOf("results"), subject: subjectOf(result), payload }), {
        schedule: reportedAgain,
        while: ({ reason }) => reason !== "too-large" && reason !== "refused"
      })
    ).pipe(asAway)

  const claim = (request: ClaimRequest) =>
    nats.request(claimSubject, encodeClaim(request), { timeout: claimTimeout }).pipe(
      asAway,
      Effect.flatMap(({ data }) =>
        Effect.mapError(decodeAnswer(textOf(data)), ({ message }) => away(message))
      ),
      Effect.flatMap((answer) =>
        answer._tag === "Unanswered" ? Effect.fail(away(answer.detail)) : Effect.succeed<Claim>(answer)
      )
    )

  const serveClaims: BusService["serveClaims"] = (answer) =>
    nats.subscribe(claimSubject).pipe(
      Stream.mapEffect(
        (request) =>
          decodeClaim(textOf(request.data)).pipe(
            Effect.flatMap((asked) =>
              Effect.map(answer([asked]), ([claim]) => {
                if (claim === undefined) return unanswered("It was not answered.")
                unclaimed.answered(asked, claim)
                return claim
              })
            ),
            Effect.catchTag("ParseError", ({ message }) => Effect.succeed(unanswered(message))),
            Effect.catchAllDefect((defect) => Effect.succeed(unanswered(String(defect)))),
            Effect.flatMap((one) => nats.respond(request, encodeAnswer(one))),
            Effect.ignore
          ),
        { concurrency: claimsAtATime, unordered: true }
      ),
      Stream.runDrain,
      asAway,
      Effect.zipRight(Effect.never)
    )

  const next = (lane: Lane) =>
    taking(lanes[lane], (pulled) =>
      Effect.map(
        readFrame(held, pulled, decodeOrder, (order) => workSubject(order.lane, order.jobId)),
        ({ value }): Delivery<WorkOrder> => ({
          value,
          ack: asAway(pulled.ack),
          inProgress: asAway(pulled.inProgress)
        })
      )
    )

  return {
    dispatch,
    withdraw,
    report: (results) =>
      Effect.flatMap(nats.maxPayload, (most) =>
        Effect.forEach(
          results.flatMap((result) => divided(result, most - overhead)),
          report,
          { discard: true }
        )
      ),
    claim: claimOneByOne(claim),
    serveClaims,
    // One, however many may be taken: what a queue hands out to a worker is out of others' reach until it is acknowledged.
    receive: (lane) => Effect.map(next(lane), (delivery) => [delivery]),
    results: Stream.unwrapScoped(resultsOf(held, results)),
    publish: (event) => asAway(nats.publish(hintSubject(event), JSON.stringify(event))),
    events: (filter) =>
      nats.subscribe(hintFilter(filter)).pipe(
        Stream.mapError(({ message }) => away(message)),
        Stream.mapEffect(({ data }) => Effect.option(decodeEvent(textOf(data)))),
        Stream.filterMap((event) => event)
      ),
    state: Effect.map(nats.state, (state) => ({
      kind: "nats",
      connected: state.connected,
      detail: state.connected ? undefined : `${state.detail} (${state.server})`
    }))
  }
})

const unanswered = (detail: string) => ({ _tag: "Unanswered" as const, detail: detail.slice(0, 500) })

/**
 * A body that is held is fetched beside the stream: a worker that hangs with one in its hands would hold up the results
 * of all others.
 */
const resultsOf = Effect.fnUntraced(function* (held: HeldBodies, puller: Puller) {
  const scope = yield* Effect.scope
  const places = yield* Effect.makeSemaphore(fetchesAtATime)
  const fetched = yield* Queue.bounded<Delivery<WorkResult>>(1)
  const deliver = (pulled: Pulled): Effect.Effect<Delivery<WorkResult>, Undecodable | NatsUnavailable> =>
    Effect.map(readFrame(held, pulled, decodeResult, subjectOf), ({ reference, value }) => ({
      value,
      ack: Effect.zipRight(
        asAway(pulled.ack),
        reference === undefined ? Effect.void : held.release(reference)
      ),
      inProgress: asAway(pulled.inProgress)
    }))
  const beside = (pulled: Pulled) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.zipRight(
        restore(places.take(1)),
        settled(pulled, deliver(pulled)).pipe(
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.void,
              onSome: (one) => Effect.asVoid(Queue.offer(fetched, one))
            })
          ),
          Effect.ensuring(places.release(1)),
          Effect.interruptible,
          Effect.forkIn(scope)
        )
      )
    )
  const next = Effect.gen(function* () {
    while (true) {
      const pulled = yield* puller.take
      const first = yield* Effect.option(decodeResult(pulled.data))
      if (Option.isSome(first) && "holder" in first.value) {
        yield* beside(pulled)
        continue
      }
      const found = yield* settled(pulled, deliver(pulled))
      if (Option.isSome(found)) return found.value
    }
  })
  return Stream.merge(Stream.repeatEffect(next), Stream.fromQueue(fetched, { maxChunkSize: 1 }))
})

/** The next message that is one of ours. */
const taking = <A>(
  puller: Puller,
  read: (pulled: Pulled) => Effect.Effect<A, Undecodable | NatsUnavailable>
): Effect.Effect<A> =>
  Effect.gen(function* () {
    while (true) {
      const pulled = yield* puller.take
      const found = yield* settled(pulled, read(pulled))
      if (Option.isSome(found)) return found.value
    }
  })

/** What a message says. One that is none of ours is taken out of its queue, and said. */
const settled = <A>(
  pulled: Pulled,
  read: Effect.Effect<A, Undecodable | NatsUnavailable>
): Effect.Effect<Option.Option<A>> =>
  Effect.matchEffect(read, {
    onSuccess: (value) => Effect.succeedSome(value),
    onFailure: (error) => {
      const unread = error._tag === "NatsUnavailable"
      // Its body is somewhere and cannot be fetched now: again, in a moment, but not for ever.
      if (unread && (error.reason === "disconnected" || pulled.deliveries < mostFetches))
        return Effect.as(Effect.ignore(pulled.postpone), Option.none())
      return Effect.logWarning("A message that cannot be used is taken out of its queue").pipe(
        Effect.annotateLogs({
          subject: pulled.subject,
          reason: (unread ? error.message : error.detail).slice(0, 500)
        }),
        Effect.zipRight(Effect.ignore(pulled.discard)),
        Effect.as(Option.none())
      )
    }
  })

/** What a message says, from itself or from where it is held. A message under a foreign subject is none of ours. */
const readFrame = <A extends object>(
  held: HeldBodies,
  { data, subject }: Pulled,
  decode: (bytes: Uint8Array) => Effect.Effect<A | HeldReference, Undecodable>,
  itsSubject: (value: A) => string
): Effect.Effect<
  { readonly value: A; readonly reference: HeldReference | undefined },
  Undecodable | NatsUnavailable
> =>
  Effect.gen(function* () {
    const first = yield* decode(data)
    const reference = "holder" in first ? first : undefined
    const value = "holder" in first ? yield* Effect.flatMap(fetchHeld(held, first), decode) : first
    if ("holder" in value) return yield* new Undecodable({ detail: "it refers to a reference" })
    if (itsSubject(value) !== subject)
      return yield* new Undecodable({ detail: "it does not belong under its subject" })
    return { value, reference }
  })

const fetchHeld = (
  held: HeldBodies,
  reference: HeldReference
): Effect.Effect<Uint8Array, Undecodable | NatsUnavailable> =>
  held.fetch(reference).pipe(
    Effect.catchTag("BodyAbsent", () => new Undecodable({ detail: "its body is not held any more" })),
    Effect.catchIf(
      (error) => error._tag === "NatsUnavailable" && error.reason === "no-responders",
      () => new Undecodable({ detail: "the process that held its body is gone" })
    )
  )
