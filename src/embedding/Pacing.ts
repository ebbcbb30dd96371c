/**
 * Asks a provider no more often than it can bear: bounded concurrency, one pause for all callers when it answers 429,
 * retries with backoff, and a circuit breaker whose state is visible.
 *
 * A 429 and a wait for the breaker consume no attempt; a limit on patience bounds both.
 */
import { Cause, Clock, Data, Deferred, Duration, Effect, Exit, Option, Schedule } from "effect"
import * as Breaker from "./Breaker.ts"
import { ProviderUnavailable } from "./EmbeddingModel.ts"
import type { Provider, Purpose, RequestError } from "./Provider.ts"

export interface PacingSettings {
  /** Requests at a time for documents. Queries have lanes of their own, so that they do not stand behind batches. */
  readonly concurrency: number
  /** How often a request is sent that fails (429 does not count). */
  readonly attempts: number
  /** How long a request waits, all in all, for a provider that is busy or known to be down. */
  readonly patience: Duration.Duration
}

export const usualPacing: PacingSettings = {
  concurrency: 4,
  attempts: 3,
  patience: Duration.minutes(5)
}

/** Somebody waits for the answer to a query. */
const queryPacing: PacingSettings = { concurrency: 8, attempts: 2, patience: Duration.seconds(5) }

const firstBackoff = Duration.millis(250)
const longestBackoff = Duration.seconds(10)

/** For people and the status view. Times are wall-clock milliseconds. */
export interface ProviderState {
  readonly provider: string
  readonly circuit: "closed" | "open" | "half-open"
  readonly since: number
  readonly lastError: Option.Option<{ readonly message: string; readonly at: number }>
  /** In how many milliseconds it is asked again, 0 if it may be asked now. */
  readonly pauseMs: number
}

export interface Pace {
  readonly run: <A>(call: Effect.Effect<A, RequestError>, purpose: Purpose) => Effect.Effect<A, RequestError>
  readonly state: Effect.Effect<ProviderState>
}

/** Every request of the provider goes through the pace, those of a divided batch one by one. */
export const paced = (provider: Provider, pace: Pace, settings: PacingSettings): Provider => ({
  ...provider,
  concurrency: settings.concurrency,
  timeout: worstCase(provider.timeout, settings),
  request: (inputs, purpose) => pace.run(provider.request(inputs, purpose), purpose)
})

/** The longest that one request may take, waits and retries included: for documents, or, as a harmless text is asked for, a query. */
const worstCase = (once: Duration.Duration, settings: PacingSettings): Duration.Duration => {
  const inLane = ({ attempts, patience }: PacingSettings) =>
    Duration.sum(patience, Duration.times(Duration.sum(once, longestBackoff), attempts))
  return Duration.max(inLane(settings), inLane(queryPacing))
}

/** One for each provider, shared by all its callers. */
export const makePace = (name: string, settings: PacingSettings): Effect.Effect<Pace> =>
  Effect.gen(function* () {
    let breaker = Breaker.initial
    let since = yield* Clock.currentTimeMillis
    let lastError: ProviderState["lastError"] = Option.none()
    let changed = yield* Deferred.make<void>()
    const lanes = {
      document: yield* lane(settings),
      query: yield* lane(queryPacing)
    }

    const become = (next: Breaker.Breaker) =>
      Effect.gen(function* () {
        const before = breaker.circuit.phase
        breaker = next
        if (before === next.circuit.phase) return
        since = yield* Clock.currentTimeMillis
        const waiting = changed
        changed = yield* Deferred.make<void>()
        yield* Deferred.succeed(waiting, undefined)
        yield* Effect.logInfo("provider circuit changed").pipe(
          Effect.annotateLogs({ provider: name, circuit: next.circuit.phase })
        )
      })

    const note = (message: string) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        lastError = Option.some({ message, at })
      })

    /** What an outcome says about the provider. */
    const learn = (error: Option.Option<RequestError>, began: number, trial: boolean) =>
      Effect.gen(function* () {
        const now = yield* monotonicMs
        if (Option.isNone(error)) return yield* become(Breaker.answered(breaker))
        const { value } = error
        yield* note(value.message)
        if (value._tag === "ProviderBusy")
          return yield* become(Breaker.busy(breaker, began, now, value.retryAfterMs))
        if (value._tag === "ProviderUnavailable") return yield* become(Breaker.failed(breaker, now, trial))
        return yield* become(Breaker.answered(breaker))
      })

    /** Holds the caller until the provider may be asked, or tells at once that this will not be in time. */
    const admitted = Effect.fnUntraced(function* (deadline: number) {
      while (true) {
        const now = yield* monotonicMs
        const verdict = Breaker.admission(breaker, now)
        if (verdict.may === "ask" || verdict.may === "trial") return
        const ms = verdict.may === "wait" ? verdict.ms : deadline - now
        if (ms <= 0 || now + ms > deadline) {
          const last = Option.match(lastError, {
            onNone: () => "",
            onSome: ({ message }) => `; last: ${message}`
          })
          const when = verdict.may === "wait" ? ` for another ${Math.ceil(ms)} ms` : ""
          return yield* new OutOfPatience({ detail: `it is not to be asked${when}${last}` })
        }
        if (verdict.may === "wait") yield* Effect.sleep(Duration.millis(ms))
        else yield* Effect.timeoutOption(Deferred.await(changed), Duration.millis(ms))
      }
    })

    /** Sends it, unless the door closed while it waited for a place in its lane. */
    const send = <A>(call: Effect.Effect<A, RequestError>): Effect.Effect<Option.Option<A>, RequestError> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const began = yield* monotonicMs
          const verdict = Breaker.admission(breaker, began)
          if (verdict.may !== "ask" && verdict.may !== "trial") return Option.none()
          const trial = verdict.may === "trial"
          if (trial) yield* become(Breaker.trying(breaker))
          const exit = yield* Effect.exit(restore(call))
          if (Exit.isSuccess(exit)) {
            yield* learn(Option.none(), began, trial)
            return Option.some(exit.value)
          }
          const error = Cause.failureOption(exit.cause)
          if (Option.isSome(error)) yield* learn(error, began, trial)
          else if (trial) yield* become(Breaker.abandoned(breaker, yield* monotonicMs))
          return yield* Effect.failCause(exit.cause)
        })
      )

    const attempt = <A>(call: Effect.Effect<A, RequestError>, { places }: Lane, deadline: number) =>
      Effect.gen(function* () {
        while (true) {
          yield* admitted(deadline)
          const answer = yield* places.withPermits(1)(send(call))
          if (Option.isSome(answer)) return answer.value
        }
      })

    const run: Pace["run"] = (call, purpose) =>
      Effect.gen(function* () {
        const lane = lanes[purpose]
        const deadline = (yield* monotonicMs) + Duration.toMillis(lane.patience)
        return yield* attempt(call, lane, deadline).pipe(
          Effect.retry({ while: ({ _tag }) => _tag === "ProviderBusy" }),
          Effect.retry({ while: ({ _tag }) => _tag === "ProviderUnavailable", schedule: lane.backoff }),
          Effect.catchTag(
            "OutOfPatience",
            ({ detail }) => new ProviderUnavailable({ provider: name, detail, unasked: true })
          )
        )
      })

    const state = Effect.gen(function* () {
      const verdict = Breaker.admission(breaker, yield* monotonicMs)
      const pauseMs = verdict.may === "wait" ? verdict.ms : 0
      return { provider: name, circuit: breaker.circuit.phase, since, lastError, pauseMs }
    })

    return { run, state }
  })

/** Internal: never leaves the pace, so that it is not retried like a failure of the provider. */
class OutOfPatience extends Data.TaggedError("OutOfPatience")<{ readonly detail: string }> {}

interface Lane {
  readonly places: Effect.Semaphore
  readonly patience: Duration.Duration
  readonly backoff: Schedule.Schedule<unknown>
}

const lane = ({ attempts, concurrency, patience }: PacingSettings): Effect.Effect<Lane> =>
  Effect.map(Effect.makeSemaphore(concurrency), (places) => ({
    places,
    patience,
    backoff: Schedule.exponential(firstBackoff).pipe(
      Schedule.union(Schedule.spaced(longestBackoff)),
      Schedule.jittered,
      Schedule.intersect(Schedule.recurs(attempts - 1))
    )
  }))

/** Not moved by anyone who sets the clock. */
const monotonicMs = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos / 1_000n) / 1_000)
