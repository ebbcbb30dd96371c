/**
 * The name of a worker, taken for as long as it is connected. Leases are held by name: two workers of one name would count
 * as one, and each would work on what the other has in hand.
 *
 * Whoever has a name answers for it on a subject of its own. Who wants it asks, and takes it where nobody answers; of two
 * that start at the same moment the one with the lower id has it, which both find out. A worker that was cut off or frozen
 * answers nothing and loses its name. It is told when it comes back: once it is connected again it asks who else has the
 * name, and what it answers late is objected to. Of the two the one that took the name later stays; what was worked on
 * twice until then costs time, never truth.
 */
import {
  Clock,
  Context,
  Deferred,
  Duration,
  Effect,
  Option,
  Random,
  Runtime,
  Schedule,
  Schema,
  type Scope,
  Stream
} from "effect"
import type { Msg } from "nats"
import { sha256 } from "../../../events/Ids.ts"
import { NatsConnection } from "./Connection.ts"
import type { NatsUnavailable } from "./NatsErrors.ts"
import { workerSubject } from "./Subjects.ts"

/** Another worker has this name. Give this one a name of its own. */
export class WorkerNameTaken extends Schema.TaggedError<WorkerNameTaken>()("WorkerNameTaken", {
  name: Schema.String,
  /** Host and process. */
  holder: Schema.String,
  /** Wall clock of the holder, in milliseconds. */
  since: Schema.Number
}) {
  override get message() {
    const since = new Date(this.since).toISOString()
    return `Another worker is called ${this.name}: ${this.holder}, since ${since}. Work is held by name: choose another one with --name, or leave that out.`
  }
}

const Claimant = Schema.Struct({
  /** Of one start of a program. */
  instance: Schema.String.pipe(Schema.maxLength(64)),
  holder: Schema.String.pipe(Schema.maxLength(300)),
  since: Schema.Number.pipe(Schema.between(0, 8_640_000_000_000_000)),
  /** False while it still asks. */
  settled: Schema.Boolean
})
type Claimant = typeof Claimant.Type
const ClaimantJson = Schema.parseJson(Claimant)
const encode = Schema.encodeSync(ClaimantJson)
const decode = Schema.decodeUnknownOption(ClaimantJson)

/** How long an answer is waited for. */
const answersWithin = Duration.millis(500)

export interface WorkerNameService {
  /** Fails when another worker has the name, because it took it while we could not be heard: this one must end. */
  readonly lost: Effect.Effect<never, WorkerNameTaken>
}

export class WorkerName extends Context.Tag("reprise/bus/nats/WorkerName")<WorkerName, WorkerNameService>() {}

/** Of two that both have taken the name. Clocks of two machines may name the wrong one, but never both, and never none. */
const tookItLater = (one: Claimant, other: Claimant): boolean =>
  one.since === other.since ? one.instance > other.instance : one.since > other.since

/** Takes the name, or fails with who has it. It is free again when the scope is over. */
export const takeName = (
  name: string,
  holder: string
): Effect.Effect<WorkerNameService, WorkerNameTaken | NatsUnavailable, NatsConnection | Scope.Scope> =>
  Effect.gen(function* () {
    const nats = yield* NatsConnection
    const instance = (yield* Effect.replicateEffect(Random.nextInt, 3)).join("")
    const since = yield* Clock.currentTimeMillis
    const subject = workerSubject(sha256(name).slice(0, 32))
    let settled = false
    /** From then on it is the other one who answers for the name. */
    let isLost = false
    let stronger: Claimant | undefined
    const lost = yield* Deferred.make<never, WorkerNameTaken>()
    const taken = (by: Claimant) => new WorkerNameTaken({ name, holder: by.holder, since: by.since })
    const own = (): Claimant => ({ instance, holder, since, settled })
    const text = new TextDecoder()
    /** Whether the sender is to be told of us: it is another one, and has not the better right. */
    const hear = (data: Uint8Array): boolean => {
      const other = Option.getOrUndefined(decode(text.decode(data)))
      if (other === undefined || other.instance === instance || isLost) return false
      if (!settled) {
        if (other.settled || other.instance < instance) stronger ??= other
        return stronger === undefined
      }
      if (!other.settled || tookItLater(own(), other)) return true
      isLost = true
      Deferred.unsafeDone(lost, taken(other))
      return false
    }

    /** By hand, because both have to stand before the question is sent. */
    const listen = (at: string, act: (message: Msg) => void) =>
      Effect.acquireRelease(
        nats.attempt("listen for other workers of its name", () =>
          nats.client.subscribe(at, { callback: (error, message) => error === null && act(message) })
        ),
        (subscription) => Effect.sync(() => subscription.unsubscribe())
      )
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const inbox = yield* nats.inbox
    const ask = Effect.suspend(() => nats.publish(subject, encode(own()), { reply: inbox }))
    yield* listen(inbox, ({ data }) => {
      // It did not hear of us before it was answered by nobody, and took the name: so it hears now.
      if (hear(data) && settled) run(Effect.ignore(ask))
    })
    yield* listen(subject, (question) => {
      if (hear(question.data)) run(Effect.ignore(nats.respond(question, encode(own()))))
    })
    yield* ask
    yield* Effect.sync(() => stronger).pipe(
      Effect.repeat({ while: (found) => found === undefined, schedule: Schedule.spaced("10 millis") }),
      Effect.timeoutOption(answersWithin)
    )
    if (stronger !== undefined) return yield* taken(stronger)
    settled = true
    yield* nats.changes.pipe(
      Stream.drop(1),
      Stream.filter(({ connected }) => connected),
      Stream.runForEach(() => Effect.ignore(ask)),
      Effect.forkScoped
    )
    return { lost: Deferred.await(lost) }
  })
