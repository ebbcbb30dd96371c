/**
 * The streams and consumers that Reprise needs, made by the program itself and brought up to date at each start. Running
 * it twice changes nothing. What a server cannot change any more (retention, storage) is never deleted by us: who
 * operates it is told what to do. Needs a server from 2.9 on.
 *
 * Every work queue refuses what is new when it is full, so that senders wait; the stream of events drops what is oldest.
 * The window in which a server looks for duplicates is the shortest there is: a longer one would swallow orders that are
 * handed out again.
 */
import { Duration, Effect, Schedule, Schema } from "effect"
import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  nanos,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
  type StreamConfig
} from "nats"
import type { NatsService } from "./Connection.ts"
import { apiCodes, type NatsUnavailable } from "./NatsErrors.ts"
import { consumerNames, type StreamName, streamNames } from "./Subjects.ts"

/** A stream stands in the way. A person decides: remove it, or give Reprise an account of its own. */
export class StreamConflict extends Schema.TaggedError<StreamConflict>()("StreamConflict", {
  stream: Schema.String,
  found: Schema.String,
  expected: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `The JetStream stream ${this.stream} cannot be used: found ${this.found}, expected ${this.expected}. ${this.remedy}`
  }
}

export interface StreamOptions {
  /** How long an order or a result may stay without a sign of life before it is delivered again. */
  readonly ackWait: Duration.Duration
  /** Orders or results that may wait in one queue; beyond it senders wait. */
  readonly capacity: number
  /** Orders of a lane that may be in workers' hands at once: about the number of their slots. */
  readonly inHand: number
  /** Copies of each message in a cluster, 1 to 5. */
  readonly replicas: number
  readonly eventsMaxBytes: number
  /** Zero keeps them until `eventsMaxBytes`. */
  readonly eventsMaxAge: Duration.Duration
}

export const usualStreamOptions: StreamOptions = {
  ackWait: Duration.seconds(30),
  capacity: 4096,
  inHand: 1024,
  replicas: 1,
  eventsMaxBytes: 1024 ** 3,
  eventsMaxAge: Duration.zero
}

type DeclaredStream = Pick<
  StreamConfig,
  | "subjects"
  | "retention"
  | "storage"
  | "discard"
  | "max_msgs"
  | "max_bytes"
  | "max_age"
  | "max_msgs_per_subject"
  | "duplicate_window"
  | "num_replicas"
  | "allow_direct"
  | "description"
> & { readonly name: StreamName }

type DeclaredConsumer = Pick<
  ConsumerConfig,
  | "durable_name"
  | "ack_policy"
  | "ack_wait"
  | "deliver_policy"
  | "max_ack_pending"
  | "max_deliver"
  | "replay_policy"
> & { readonly durable_name: string }

export interface Declaration {
  readonly stream: DeclaredStream
  readonly consumer: DeclaredConsumer | undefined
}

const MiB = 1024 ** 2
/** The least that a server accepts (0 would mean two minutes). */
export const duplicateWindow = Duration.millis(100)
const answersMaxAge = Duration.days(1)
/** Results hold bodies: so many at a time in the Coordinator's hands. */
const resultsInHand = 64

export const declarations = (
  options: StreamOptions
): { readonly [stream in keyof typeof streamNames]: Declaration } => {
  const stream = (
    name: StreamName,
    subject: string,
    rest: Pick<DeclaredStream, "retention" | "discard" | "max_bytes" | "description"> &
      Partial<DeclaredStream>
  ): DeclaredStream => ({
    name,
    subjects: [subject],
    storage: StorageType.File,
    max_msgs: -1,
    max_age: 0,
    max_msgs_per_subject: -1,
    duplicate_window: nanos(Duration.toMillis(duplicateWindow)),
    num_replicas: options.replicas,
    allow_direct: false,
    ...rest
  })
  const consumer = (name: string, inHand: number): DeclaredConsumer => ({
    durable_name: name,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(Duration.toMillis(options.ackWait)),
    deliver_policy: DeliverPolicy.All,
    replay_policy: ReplayPolicy.Instant,
    // Only the Coordinator gives up on a job.
    max_deliver: -1,
    max_ack_pending: inHand
  })
  const queue = { retention: RetentionPolicy.Workqueue, discard: DiscardPolicy.New }
  const lane = (name: "prepare" | "embed"): Declaration => ({
    stream: stream(streamNames[name], `reprise.work.${name}.*`, {
      ...queue,
      description: `Reprise: work of the lane ${name} that waits or is being done`,
      max_bytes: 64 * MiB,
      max_msgs: options.capacity
    }),
    consumer: consumer(consumerNames.workers, options.inHand)
  })
  return {
    events: {
      stream: stream(streamNames.events, "reprise.event.>", {
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        description: "Reprise: every event, after its append, in the log's order",
        max_bytes: options.eventsMaxBytes,
        max_age: nanos(Duration.toMillis(options.eventsMaxAge))
      }),
      consumer: undefined
    },
    commands: {
      stream: stream(streamNames.commands, "reprise.command.*.*.*", {
        ...queue,
        description: "Reprise: commands that wait for the Coordinator",
        max_bytes: 256 * MiB
      }),
      // Its one reader takes messages by their number, each project's at its own pace, and deletes them: a consumer would
      // hand out everybody's in one line.
      consumer: undefined
    },
    prepare: lane("prepare"),
    embed: lane("embed"),
    results: {
      stream: stream(streamNames.results, "reprise.result.*.*", {
        ...queue,
        description: "Reprise: results of work that the Coordinator has not taken yet",
        max_bytes: 256 * MiB,
        max_msgs: options.capacity
      }),
      consumer: consumer(consumerNames.coordinator, resultsInHand)
    },
    answers: {
      stream: stream(streamNames.answers, "reprise.answer.*.*.*", {
        retention: RetentionPolicy.Limits,
        discard: DiscardPolicy.Old,
        description: "Reprise: outcomes of commands, for senders who were away",
        max_bytes: 128 * MiB,
        max_age: nanos(Duration.toMillis(answersMaxAge)),
        max_msgs_per_subject: 1,
        allow_direct: true
      }),
      consumer: undefined
    }
  }
}

type Ensured = Effect.Effect<void, NatsUnavailable | StreamConflict>

/** Makes what is missing, updates what may be updated, and refuses what cannot be. */
export const ensureStreams = (nats: NatsService, options: StreamOptions): Ensured =>
  Effect.forEach(Object.values(declarations(options)), (one) => ensure(nats, one), { discard: true })

/** One stream with its consumer. */
export const ensure = (nats: NatsService, { consumer, stream }: Declaration): Ensured =>
  Effect.zipRight(
    ensureStream(nats, stream),
    consumer === undefined ? Effect.void : ensureConsumer(nats, stream.name, consumer)
  )

/**
 * How long a name stays unused after its stream is gone. A server (2.9.10) frees the name before it removes the folder: a
 * stream that takes the name at once loses its own folder, accepts messages, and delivers none.
 */
const afterDeletion = Duration.millis(300)

/** As {@link ensure}, of a stream that was there a moment ago. */
export const remake = (nats: NatsService, declaration: Declaration): Ensured => {
  const { name } = declaration.stream
  return nats
    .attempt(`looking at the stream ${name}`, () => nats.manager.streams.info(name))
    .pipe(
      whereMissing(apiCodes.streamNotFound),
      Effect.flatMap((found) => (found === undefined ? Effect.sleep(afterDeletion) : Effect.void)),
      Effect.zipRight(ensure(nats, declaration))
    )
}

/**
 * While a server (2.9.10) makes a stream for one client, another that asks for the same stream hears that its subjects
 * are taken, and sees no stream yet. So we look again, for a second at most, before we say that a foreign stream has them.
 */
const whileSomebodyMakesIt = Schedule.intersect(Schedule.spaced(Duration.millis(50)), Schedule.recurs(20))

const ensureStream = (nats: NatsService, declared: DeclaredStream): Ensured =>
  Effect.retry(ensureOnce(nats, declared), {
    schedule: whileSomebodyMakesIt,
    while: (error) => error._tag === "NatsUnavailable" && error.apiCode === apiCodes.subjectsOverlap
  }).pipe(Effect.mapError((error) => inTheWay(declared, error) ?? error))

const ensureOnce = Effect.fnUntraced(function* (
  nats: NatsService,
  declared: DeclaredStream
): Effect.fn.Return<void, NatsUnavailable | StreamConflict> {
  const { name } = declared
  const { streams } = nats.manager
  const found = yield* nats
    .attempt(`looking at the stream ${name}`, () => streams.info(name))
    .pipe(whereMissing(apiCodes.streamNotFound))
  if (found === undefined) {
    yield* nats
      .attempt(`creating the stream ${name}`, () => streams.add(declared))
      .pipe(
        Effect.catchIf(
          // Somebody made it at the same time, with what may be other limits.
          ({ apiCode }) => apiCode === apiCodes.streamNameInUse,
          () => ensureStream(nats, declared)
        )
      )
    return
  }
  for (const key of ["retention", "storage"] as const) {
    if (found.config[key] === declared[key]) continue
    return yield* new StreamConflict({
      stream: name,
      found: `${key} ${found.config[key]}`,
      expected: `${key} ${declared[key]}`,
      remedy: `A server cannot change it. If nothing else uses the stream, remove it (nats stream rm ${name}) and start again: what waited in it is handed out anew.`
    })
  }
  if (!differs(declared, found.config)) return
  yield* nats.attempt(`updating the stream ${name}`, () => streams.update(name, declared))
})

const inTheWay = (
  { max_bytes, name, subjects }: DeclaredStream,
  error: NatsUnavailable | StreamConflict
): StreamConflict | undefined => {
  if (error._tag === "StreamConflict") return undefined
  const { apiCode } = error
  if (apiCode === apiCodes.subjectsOverlap)
    return new StreamConflict({
      stream: name,
      found: `another stream that holds subjects of ${subjects.join(", ")}`,
      expected: "these subjects to be free",
      remedy: "Remove that stream, or give Reprise an account of its own."
    })
  if (apiCode === apiCodes.storageFull)
    return new StreamConflict({
      stream: name,
      found: "too little storage left for JetStream",
      expected: `room for ${Math.ceil(max_bytes / MiB)} MiB`,
      remedy: "Raise the server's max_file_store, or lower nats.eventsMaxMiB."
    })
  return undefined
}

const ensureConsumer = Effect.fnUntraced(function* (
  nats: NatsService,
  stream: StreamName,
  declared: DeclaredConsumer
): Effect.fn.Return<void, NatsUnavailable | StreamConflict> {
  const { consumers } = nats.manager
  const name = declared.durable_name
  const what = `the consumer ${name} of ${stream}`
  const found = yield* nats
    .attempt(`looking at ${what}`, () => consumers.info(stream, name))
    .pipe(whereMissing(apiCodes.consumerNotFound))
  if (found === undefined) {
    yield* nats.attempt(`creating ${what}`, () => consumers.add(stream, declared))
    return
  }
  for (const key of ["ack_policy", "deliver_policy"] as const) {
    if (found.config[key] === declared[key]) continue
    return yield* new StreamConflict({
      stream: `${stream} (consumer ${name})`,
      found: `${key} ${found.config[key]}`,
      expected: `${key} ${declared[key]}`,
      remedy: `A server cannot change it. Remove the consumer (nats consumer rm ${stream} ${name}) and start again: nothing that waits is lost by it.`
    })
  }
  if (!differs(declared, found.config)) return
  yield* nats.attempt(`updating ${what}`, () => consumers.add(stream, declared))
})

const whereMissing =
  (code: number) =>
  <A>(effect: Effect.Effect<A, NatsUnavailable>): Effect.Effect<A | undefined, NatsUnavailable> =>
    Effect.catchIf(
      effect,
      ({ apiCode }) => apiCode === code,
      () => Effect.succeed(undefined)
    )

/** A server leaves out what is zero, false or empty, and adds what we do not declare. */
const differs = (declared: object, found: object): boolean => {
  const there = new Map<string, unknown>(Object.entries(found))
  return Object.entries(declared).some(
    ([key, value]) => JSON.stringify(there.get(key) || emptyAs(value)) !== JSON.stringify(value)
  )
}

const emptyAs = (value: unknown): unknown =>
  typeof value === "number" ? 0 : typeof value === "boolean" ? false : value === "" ? "" : undefined
