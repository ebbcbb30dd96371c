/**
 * One account of a NATS server is for one data directory: claims, results and commands come to whoever takes them first,
 * and a second directory's would be taken for the first one's. So whoever serves a directory answers for it, and a second
 * one hears of the first before it takes anything. Nobody there is known at once: the server says so.
 *
 * One that is frozen or cut off does not answer. Once it is connected again it asks, and says so in its log.
 */
import { Clock, Duration, Effect, Option, Random, Schedule, Schema, type Scope, Stream } from "effect"
import { NatsConnection } from "./Connection.ts"
import { serverSubject } from "./Subjects.ts"

/** Another data directory is served in this account. Give one of them an account, or a NATS server, of its own. */
export class AccountTaken extends Schema.TaggedError<AccountTaken>()("AccountTaken", {
  /** Program, process and host. */
  holder: Schema.String,
  /** Wall clock of the holder, in milliseconds. */
  since: Schema.Number
}) {
  override get message() {
    const since = new Date(this.since).toISOString()
    return `Another data directory is served in this account of the NATS server: by ${this.holder}, since ${since}. Each would take the work and the commands of the other. Give one of them an account, or a NATS server, of its own.`
  }
}

const Presence = Schema.Struct({
  /** Of one start of a program. */
  instance: Schema.String.pipe(Schema.maxLength(64)),
  holder: Schema.String.pipe(Schema.maxLength(300)),
  since: Schema.Number.pipe(Schema.between(0, 8_640_000_000_000_000))
})
const PresenceJson = Schema.parseJson(Presence)
const encode = Schema.encodeSync(PresenceJson)
const decode = Schema.decodeUnknownOption(PresenceJson)

/** How long an answer is waited for where somebody listens. */
const answersWithin = Duration.millis(500)

/** Fails where somebody else serves in this account; answers for it until the scope is over. */
export const servingAlone = (
  holder: string
): Effect.Effect<void, AccountTaken, NatsConnection | Scope.Scope> =>
  Effect.gen(function* () {
    const nats = yield* NatsConnection
    const instance = (yield* Effect.replicateEffect(Random.nextInt, 3)).join("")
    const own = encode({ instance, holder, since: yield* Clock.currentTimeMillis })
    const text = new TextDecoder()
    const presenceIn = (data: Uint8Array) =>
      Option.filter(decode(text.decode(data)), (presence) => presence.instance !== instance)
    const other = nats.request(serverSubject, own, { timeout: answersWithin }).pipe(
      Effect.map(({ data }) => presenceIn(data)),
      // Nobody is there, or nobody who could take anything now.
      Effect.orElseSucceed(() => Option.none())
    )
    const warned = ({ holder, since }: typeof Presence.Type) =>
      Effect.logError(
        "two data directories are served in one NATS account",
        new AccountTaken({ holder, since }).message
      )

    const found = yield* other
    if (Option.isSome(found)) return yield* new AccountTaken(found.value)
    yield* nats.subscribe(serverSubject).pipe(
      Stream.runForEach((question) =>
        Option.isSome(presenceIn(question.data)) ? Effect.ignore(nats.respond(question, own)) : Effect.void
      ),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.forkScoped
    )
    yield* nats.changes.pipe(
      Stream.drop(1),
      Stream.filter(({ connected }) => connected),
      Stream.runForEach(() =>
        Effect.flatMap(other, Option.match({ onNone: () => Effect.void, onSome: warned }))
      ),
      Effect.forkScoped
    )
  })
