/**
 * Takes messages from a work queue one at a time, each only for a free slot: as many requests stand at the server as
 * takers wait here. What arrives for a taker who gave up goes back at once, so that nobody waits for the server's patience.
 *
 * The server may forget what was asked (a restart, a deleted consumer, a lost store). So a request lives for seconds only,
 * is asked again, and where the server no longer knows stream or consumer, they are made anew. Where it answers that nothing
 * came, it is looked whether that is true.
 */
import { Clock, Deferred, Duration, Effect, FiberId, Queue, Runtime, type Scope, Stream } from "effect"
import { type Msg, nanos } from "nats"
import type { NatsService } from "./Connection.ts"
import { type NatsUnavailable, unavailable } from "./NatsErrors.ts"
import { mend, type WorkQueue } from "./QueueHealth.ts"

/** One copy of a message of a work queue. */
export interface Pulled {
  readonly subject: string
  readonly data: Uint8Array
  readonly ack: Effect.Effect<void, NatsUnavailable>
  /** How often it was delivered so far, this time included. */
  readonly deliveries: number
  /** It comes again after a while; others come before it. */
  readonly postpone: Effect.Effect<void, NatsUnavailable>
  /** Somebody else may have it, at once. */
  readonly giveBack: Effect.Effect<void, NatsUnavailable>
  /** Nobody can do anything with it: it leaves the queue. */
  readonly discard: Effect.Effect<void, NatsUnavailable>
  readonly inProgress: Effect.Effect<void, NatsUnavailable>
}

export interface Puller {
  /** Waits, also for a server that is away. */
  readonly take: Effect.Effect<Pulled>
}

/** How long the server keeps a request open. */
const expires = Duration.seconds(2)
/** How much later it counts as forgotten. */
const slack = Duration.seconds(1)
/** Before a server that refused is asked again. */
const pause = Duration.millis(200)
/** Before a message comes again that could not be read now. */
const postponed = Duration.seconds(2)
/** How often requests are looked at for forgotten ones. */
const look = Duration.seconds(1)
/** How often, at most, a queue that brings nothing is looked into. */
const doubtEvery = Duration.seconds(5)

export const makePuller = (
  nats: NatsService,
  queue: WorkQueue
): Effect.Effect<Puller, NatsUnavailable, Scope.Scope> =>
  Effect.gen(function* () {
    const takers = new Set<Deferred.Deferred<Msg>>()
    /** When each open request counts as forgotten, oldest first; monotonic milliseconds. */
    let open: Array<number> = []
    let refused = false
    const awake = yield* Queue.sliding<void>(1)
    const doubts = yield* Queue.dropping<void>(1)
    const inbox = yield* nats.inbox
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const wake = () => void awake.unsafeOffer(undefined)

    const arrived = (message: Msg) => {
      open.shift()
      const code = message.headers?.code ?? 0
      if (code !== 0) {
        // 404 and 408: nothing came in time. Anything else: the server refuses, or does not know what is asked for.
        if (code === 404 || code === 408) doubts.unsafeOffer(undefined)
        else refused = true
        return wake()
      }
      const [taker] = takers
      if (taker === undefined) {
        run(Effect.ignore(pulled(nats, message).giveBack))
        return
      }
      takers.delete(taker)
      Deferred.unsafeDone(taker, Effect.succeed(message))
    }
    yield* Effect.acquireRelease(
      nats.attempt("subscribing to deliveries", () =>
        nats.client.subscribe(inbox, { callback: (error, message) => error === null && arrived(message) })
      ),
      (subscription) => Effect.sync(() => subscription.unsubscribe())
    )

    const subject = `$JS.API.CONSUMER.MSG.NEXT.${queue.stream}.${queue.consumer}`
    const request = JSON.stringify({ batch: 1, expires: nanos(Duration.toMillis(expires)) })
    const ask = Effect.gen(function* () {
      const now = yield* monotonic
      const known = open.filter((forgottenAt) => forgottenAt > now)
      // Not even "nothing came": the consumer is gone, and nobody else answers for it.
      if (known.length < open.length) refused = true
      open = known
      if (refused) {
        refused = false
        yield* Effect.sleep(pause)
        yield* queue.repair
      }
      while (takers.size > open.length) {
        open.push((yield* monotonic) + Duration.toMillis(expires) + Duration.toMillis(slack))
        yield* nats.publish(subject, request, { reply: inbox }).pipe(
          Effect.catchAll(() =>
            // Asked again when the connection is back.
            Effect.sync(() => void open.pop())
          )
        )
        if (!(yield* nats.state).connected) return
      }
    })
    yield* Effect.raceFirst(Queue.take(awake), Effect.sleep(look)).pipe(
      Effect.zipRight(ask),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Queue.take(doubts).pipe(
      Effect.zipRight(Effect.ignore(mend(nats, queue))),
      Effect.zipRight(Effect.sleep(doubtEvery)),
      Effect.forever,
      Effect.forkScoped
    )
    yield* nats.changes.pipe(
      Stream.runForEach(({ connected }) =>
        Effect.sync(() => {
          open = []
          if (connected) wake()
        })
      ),
      Effect.forkScoped
    )

    return {
      take: Effect.suspend(() => {
        const taker = Deferred.unsafeMake<Msg>(FiberId.none)
        takers.add(taker)
        wake()
        return Deferred.await(taker).pipe(
          Effect.onInterrupt(() =>
            Effect.flatMap(Deferred.poll(taker), (given) => {
              takers.delete(taker)
              return given._tag === "None"
                ? Effect.void
                : Effect.flatMap(given.value, (message) => Effect.ignore(pulled(nats, message).giveBack))
            })
          ),
          Effect.map((message) => pulled(nats, message))
        )
      })
    }
  })

const pulled = (nats: NatsService, { data, reply, subject }: Msg): Pulled => {
  const answer = (word: string) =>
    reply === undefined
      ? Effect.fail(unavailable(subject, new Error("the server gave no subject for acknowledgements")))
      : nats.publish(reply, word)
  return {
    subject,
    data,
    deliveries: deliveriesOf(reply),
    postpone: answer(`-NAK {"delay": ${nanos(Duration.toMillis(postponed))}}`),
    ack: answer("+ACK"),
    giveBack: answer("-NAK"),
    discard: answer("+TERM"),
    inProgress: answer("+WPI")
  }
}

/** `$JS.ACK.[<domain>.<account>.]<stream>.<consumer>.<deliveries>.…`: the longer form has eleven tokens or more. */
const deliveriesOf = (reply: string | undefined): number => {
  const tokens = reply?.split(".") ?? []
  return Number(tokens[tokens.length >= 11 ? 6 : 4] ?? 1)
}

/** Milliseconds that nobody who sets the clock can move. */
const monotonic = Effect.map(Clock.currentTimeNanos, (nanoseconds) => Number(nanoseconds / 1_000n) / 1_000)
