/**
 * An actor: a supervised fiber with a name, a bounded typed mailbox, and state that nobody else sees.
 *
 * A full mailbox makes the sender wait. A crash fails every ask that is pending and restarts the behaviour from its
 * beginning, so that it reads back what matters; what is still in the mailbox stays there. A stop fails what is left:
 * nobody waits for ever.
 */
import { Cause, Deferred, Effect, Either, Exit, FiberId, Mailbox, Option, Schema, type Scope } from "effect"
import { monotonicMs } from "../src/clock/Monotonic.ts"
import { Escalated, type SupervisionPolicy, supervised, usualPolicy } from "./Supervision.ts"
import { Supervisor } from "./Supervisor.ts"

/** The actor crashed with the request in hand. Nothing unacknowledged is promised; ask again under the same id. */
export class ActorRestarted extends Schema.TaggedError<ActorRestarted>()("ActorRestarted", {
  actor: Schema.String
}) {
  override get message() {
    return `The ${this.actor} was restarted or stopped with this request in hand. Send it again under the same id.`
  }
}

export type ActorState = "starting" | "running" | "restarting" | "failed" | "stopped"

export interface ActorStatus {
  readonly name: string
  readonly state: ActorState
  readonly restarts: number
  /** Messages that wait. */
  readonly mailbox: number
  readonly processed: number
  readonly failed: number
  readonly lastError: string | undefined
  /** For how long something has been waiting to be done without anything being done. */
  readonly stalledMs: number
}

/** Where an answer goes; the first one counts. Answering is no step of a fiber: an actor answers hundreds in a turn. */
export interface Reply<A, E> {
  readonly succeed: (answer: A) => void
  readonly fail: (error: E | ActorRestarted) => void
}

const replyTo = <A, E>(asked: Deferred.Deferred<A, E | ActorRestarted>): Reply<A, E> => ({
  succeed: (answer) => Deferred.unsafeDone(asked, Effect.succeed(answer)),
  fail: (error) => Deferred.unsafeDone(asked, Effect.fail(error))
})

export interface Actor<Message> {
  readonly name: string
  /** Waits while the mailbox is full. */
  readonly tell: (message: Message) => Effect.Effect<void, ActorRestarted>
  /** As `tell`, in this order. */
  readonly tellAll: (messages: ReadonlyArray<Message>) => Effect.Effect<void, ActorRestarted>
  /** Fails when the actor crashes or stops. `via` takes another way to it than the mailbox. */
  readonly ask: <A, E>(
    message: (reply: Reply<A, E>) => Message,
    via?: (message: Message) => Effect.Effect<void, ActorRestarted>
  ) => Effect.Effect<A, E | ActorRestarted>
  /** Asks in this order and waits for all answers. */
  readonly askAll: <A, E>(
    messages: ReadonlyArray<(reply: Reply<A, E>) => Message>
  ) => Effect.Effect<ReadonlyArray<Either.Either<A, E | ActorRestarted>>>
  readonly status: Effect.Effect<ActorStatus>
}

/** What the behaviour sees of its actor. */
export interface Inbox<Message> {
  /** Everything that waits, at least one message. */
  readonly takeAll: Effect.Effect<ReadonlyArray<Message>>
  /** Everything that waits, if anything does. */
  readonly poll: Effect.Effect<ReadonlyArray<Message>>
  /** Counts messages as done, or as failed with the reason that the status shows. */
  readonly done: (count: number) => void
  readonly failed: (reason: string) => void
}

export interface ActorOptions<Message, E, R> {
  readonly name: string
  readonly capacity: number
  readonly policy?: SupervisionPolicy
  /** Runs until it crashes, then from its beginning again. */
  readonly behaviour: (inbox: Inbox<Message>) => Effect.Effect<unknown, E, R>
}

/** Starts an actor under the {@link Supervisor}; it stops with the scope. */
export const spawn = <Message, E, R>(
  options: ActorOptions<Message, E, R>
): Effect.Effect<Actor<Message>, never, R | Supervisor | Scope.Scope> =>
  Effect.gen(function* () {
    const { behaviour, capacity, name, policy = usualPolicy } = options
    const supervisor = yield* Supervisor
    const mailbox = yield* Mailbox.make<Message>(capacity)
    const pending = new Set<Pick<Reply<never, never>, "fail">>()
    const gone = new ActorRestarted({ actor: name })
    let state: ActorState = "starting"
    let restarts = 0
    let processed = 0
    let failures = 0
    let lastError: string | undefined
    /** Monotonic, in milliseconds: when something was last done, or when there was last nothing to do. */
    let calmAt = yield* monotonicMs
    let inHand = 0
    /** Something was done since the status was last looked at: one batch may take long, and each message is progress. */
    let gotOn = false

    const waiting = () => Option.getOrElse(mailbox.unsafeSize(), () => 0)
    const inbox: Inbox<Message> = {
      takeAll: Effect.suspend(() => {
        inHand = 0
        return Effect.flatMap(mailbox.takeAll, ([messages, ended]) =>
          ended
            ? Effect.never
            : Effect.map(monotonicMs, (now) => {
                calmAt = now
                inHand = messages.length
                return [...messages]
              })
        )
      }),
      poll: Effect.map(mailbox.clear, (messages) => [...messages]),
      done: (count) => {
        processed += count
        if (count > 0) gotOn = true
      },
      failed: (reason) => {
        failures++
        lastError = reason
      }
    }

    const failPending = Effect.sync(() => {
      const asks = [...pending]
      pending.clear()
      for (const reply of asks) reply.fail(gone)
    })

    const status: Effect.Effect<ActorStatus> = Effect.map(monotonicMs, (now) => {
      const idle = waiting() === 0 && inHand === 0
      if (gotOn) calmAt = now
      gotOn = false
      return {
        name,
        state,
        restarts,
        mailbox: waiting(),
        processed,
        failed: failures,
        lastError,
        stalledMs: idle ? 0 : Math.max(0, now - calmAt)
      }
    })

    yield* supervisor.register(status)
    yield* supervised(
      name,
      Effect.suspend(() => {
        state = "running"
        return behaviour(inbox)
      }),
      {
        policy,
        onCrash: (cause) =>
          Effect.suspend(() => {
            state = "restarting"
            inHand = 0
            inbox.failed(Cause.pretty(cause).split("\n")[0] ?? "unknown")
            return failPending
          }),
        onRestart: Effect.sync(() => {
          restarts++
        })
      }
    ).pipe(
      Effect.onExit((exit) =>
        Effect.gen(function* () {
          state = Exit.isFailure(exit) && Cause.isInterruptedOnly(exit.cause) ? "stopped" : "failed"
          yield* mailbox.shutdown
          yield* failPending
          if (state === "stopped" || !Exit.isFailure(exit)) return
          const cause = Cause.squash(exit.cause)
          yield* supervisor.escalate(
            cause instanceof Escalated ? cause : new Escalated({ actor: name, crashes: restarts + 1, cause })
          )
        })
      ),
      Effect.annotateLogs({ actor: name }),
      Effect.forkScoped
    )

    const offer = (message: Message) =>
      Effect.flatMap(mailbox.offer(message), (accepted) => (accepted ? Effect.void : Effect.fail(gone)))
    const offerAll = (messages: ReadonlyArray<Message>) =>
      Effect.flatMap(mailbox.offerAll(messages), (left) =>
        left.length === 0 ? Effect.void : Effect.fail(gone)
      )

    /** Whoever awaits them hears of a crash. */
    const awaiting = <B, E3>(
      replies: ReadonlyArray<Pick<Reply<never, never>, "fail">>,
      effect: Effect.Effect<B, E3>
    ): Effect.Effect<B, E3> =>
      Effect.suspend(() => {
        for (const reply of replies) pending.add(reply)
        return Effect.ensuring(
          effect,
          Effect.sync(() => {
            for (const reply of replies) pending.delete(reply)
          })
        )
      })

    return {
      name,
      tell: offer,
      tellAll: offerAll,
      ask: <A, E2>(message: (reply: Reply<A, E2>) => Message, via = offer) =>
        Effect.flatMap(Deferred.make<A, E2 | ActorRestarted>(), (asked) => {
          const reply = replyTo(asked)
          return awaiting([reply], Effect.zipRight(via(message(reply)), Deferred.await(asked)))
        }),
      askAll: <A, E2>(messages: ReadonlyArray<(reply: Reply<A, E2>) => Message>) =>
        Effect.suspend(() => {
          const answered = Deferred.unsafeMake<void>(FiberId.none)
          const answers = new Map<number, Either.Either<A, E2 | ActorRestarted>>()
          const answer = (at: number, given: Either.Either<A, E2 | ActorRestarted>) => {
            if (answers.has(at)) return
            answers.set(at, given)
            if (answers.size === messages.length) Deferred.unsafeDone(answered, Effect.void)
          }
          if (messages.length === 0) return Effect.succeed([])
          const replies = messages.map(
            (_, at): Reply<A, E2> => ({
              succeed: (given) => answer(at, Either.right(given)),
              fail: (error) => answer(at, Either.left(error))
            })
          )
          const asked = offerAll(
            messages.flatMap((message, at) => (replies[at] ? [message(replies[at])] : []))
          )
          return awaiting(
            replies,
            asked.pipe(
              // What an actor that stopped did not take is not answered.
              Effect.catchAll((stopped) =>
                Effect.sync(() => {
                  for (const reply of replies) reply.fail(stopped)
                })
              ),
              Effect.zipRight(Deferred.await(answered)),
              Effect.map(() => messages.map((_, at) => answers.get(at) ?? Either.left(gone)))
            )
          )
        }),
      status
    }
  })
