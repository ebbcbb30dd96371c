/**
 * Takes commands from their stream, has them carried out, and answers each on a subject of its own.
 *
 * A command leaves the stream only after its answer was stored, so that a crash at any moment repeats it, in the stream's
 * order, and an answer that is there already is given again. The stream has one reader and needs no consumers: messages
 * are read by their number and deleted, each project at its own pace, so that a flood of one holds nobody else up.
 *
 * Passes over sources can take hours, so they have a line of their own in each project: one at a time, and each answers
 * for all equal commands that stood in the stream before it began.
 */
import {
  Cause,
  Context,
  Duration,
  Effect,
  Either,
  FiberMap,
  Layer,
  Option,
  Schedule,
  Stream,
  SubscriptionRef
} from "effect"
import type { LastForMsgRequest, StoredMsg } from "nats"
import { type CommandId, type ProjectScope, scopeKey, sha256 } from "../../events/Ids.ts"
import type { Answer, RejectedMessage, WireError } from "../../events/Messages.ts"
import { parseSubject, rejectedSubject, scopeOfTokens } from "../../events/Subjects.ts"
import { NatsConnection } from "../bus/nats/Connection.ts"
import { apiCodes, type NatsUnavailable } from "../bus/nats/NatsErrors.ts"
import type { StreamConflict } from "../bus/nats/Streams.ts"
import { pushedDocumentId } from "../runtime/Push.ts"
import { underSupervisor } from "./Fiber.ts"
import { makePassLine, passOf } from "./PassLine.ts"
import {
  conflict,
  defaultSource,
  makePublicCommands,
  notDecided,
  type PublicCommands
} from "./PublicCommands.ts"
import { type Decided, type Received, readReceived } from "./Received.ts"
import { storeAnswer, storedAnswer } from "./StoredAnswer.ts"
import type { CommandMessage, WireBody } from "./WireBody.ts"

export interface IntakeOptions {
  readonly commands: string
  readonly answers: string
  /** Commands of one project that are carried out at a time. */
  readonly inHand: number
  /** How often the stream is looked at for what no hint told of. */
  readonly sweep: Duration.Duration
  /** Makes the streams where they are not there (any more). */
  readonly ready: Effect.Effect<void, NatsUnavailable | StreamConflict>
}

export const usualIntake: Omit<IntakeOptions, "ready"> = {
  commands: "REPRISE_COMMANDS",
  answers: "REPRISE_ANSWERS",
  inHand: 32,
  sweep: Duration.seconds(2)
}

export interface IntakeStatus {
  readonly answered: number
  readonly rejected: number
  readonly inHand: number
  readonly problem: string | undefined
}

export class CommandIntake extends Context.Tag("reprise/messaging/CommandIntake")<
  CommandIntake,
  { readonly status: Effect.Effect<IntakeStatus> }
>() {}

const patience = Schedule.exponential("200 millis", 2).pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jittered
)

/** Looks that follow an empty one: a hint may come before its message is stored. */
const lingering = [Duration.millis(5), Duration.millis(20), Duration.millis(100)]

/** Projects whose place in the stream is remembered. */
const remembered = 10_000

/** Commands about one document are carried out one after the other. */
const laneOf = (scope: ProjectScope, { command, message }: CommandMessage): string => {
  switch (command) {
    case "DocumentSubmit":
      return pushedDocumentId(scope, message.source ?? defaultSource, message.externalId)
    case "DocumentRemove":
      return (
        message.documentId ??
        pushedDocumentId(scope, message.source ?? defaultSource, message.externalId ?? "")
      )
    default:
      return command
  }
}

type Work = Effect.Effect<void, NatsUnavailable>

export const make = Effect.fnUntraced(function* (commands: PublicCommands, options: IntakeOptions) {
  const nats = yield* NatsConnection
  const status = yield* SubscriptionRef.make<IntakeStatus>({
    answered: 0,
    rejected: 0,
    inHand: 0,
    problem: undefined
  })
  const drains = yield* FiberMap.make<string>()
  const lines = yield* FiberMap.make<string>()
  /** How often the stream was found to be another one than before: its numbers mean nothing any more. */
  let incarnation = 0
  let seen = { made: "", last: 0 }
  /** Something of the streams could not be used: before the next look it is made sure that they are there. */
  let doubt = false
  /** Up to which number a project's messages are done, but for passes over sources, which have a line of their own. */
  const done = new Map<string, { readonly incarnation: number; readonly sequence: number }>()
  const count = (change: Partial<Record<"answered" | "rejected" | "inHand", number>>) =>
    SubscriptionRef.update(status, (now) => ({
      ...now,
      answered: now.answered + (change.answered ?? 0),
      rejected: now.rejected + (change.rejected ?? 0),
      inHand: now.inHand + (change.inHand ?? 0)
    }))

  const say = (problem: string | undefined) => SubscriptionRef.update(status, (now) => ({ ...now, problem }))

  const remove = ({ seq }: StoredMsg): Work =>
    nats
      .attempt("remove a command that was answered", () =>
        nats.manager.streams.deleteMessage(options.commands, seq, false)
      )
      .pipe(Effect.asVoid)

  const answered = (scope: ProjectScope, { digest }: WireBody, answer: Answer): Work =>
    Effect.zipRight(storeAnswer(nats, scope, digest, answer), count({ answered: 1 }))

  const rejected = (
    message: StoredMsg,
    scope: ProjectScope | undefined,
    error: WireError,
    commandId?: CommandId
  ): Work => {
    const body: RejectedMessage = {
      subject: message.subject.slice(0, 300),
      ...(commandId !== undefined && { commandId }),
      bytes: message.data.length,
      digest: sha256(message.data),
      error
    }
    return Effect.logWarning("a command was rejected", error.code).pipe(
      Effect.zipRight(
        scope === undefined ? Effect.void : nats.publish(rejectedSubject(scope), JSON.stringify(body))
      ),
      Effect.zipRight(count({ rejected: 1 }))
    )
  }

  const failed: Either.Either<Answer, WireError> = Either.left({
    code: "internal",
    message: "The command met a fault of Reprise itself, which its log describes. It may be sent again."
  })

  /** Carries a command out until it is decided; what passes is waited out. */
  const decided = (scope: ProjectScope, command: CommandMessage): Decided =>
    commands.run(scope, command).pipe(
      Effect.retry({
        schedule: patience,
        while: (error) => error._tag === "Undecided"
      }),
      Effect.mapError(notDecided),
      Effect.either
    )

  /** Answers it as it was answered before, or with what `decide` leads to. */
  const settle = Effect.fnUntraced(function* (
    { body, commandId, message, scope }: Received,
    decide: Decided
  ): Effect.fn.Return<void, NatsUnavailable> {
    const before = yield* storedAnswer(nats, options.answers, scope, commandId)
    if (before !== undefined) {
      yield* before.digest === body.digest
        ? answered(scope, body, before.answer)
        : rejected(message, scope, conflict, commandId)
    } else {
      const decision = yield* decide.pipe(
        // Taken out all the same: it would stand in the way of all that comes after it.
        Effect.catchAllDefect((cause) =>
          Effect.as(Effect.logError("a command met a fault", Cause.die(cause)), failed)
        )
      )
      yield* Either.isRight(decision)
        ? answered(scope, body, decision.right)
        : rejected(message, scope, decision.left, commandId)
    }
    yield* remove(message)
  })

  /** What is to be done about a message, and after what else; nothing where it is for the line of the passes. */
  const workOf = (
    message: StoredMsg,
    scope: ProjectScope
  ): { readonly lane: string; readonly work: Work } | undefined => {
    const lane = `message/${message.seq}`
    const one = readReceived(message, scope)
    if (Either.isLeft(one))
      return { lane, work: Effect.zipRight(rejected(message, scope, one.left), remove(message)) }
    const { decoded } = one.right
    if (Either.isLeft(decoded))
      return { lane, work: settle(one.right, Effect.succeed(Either.right(decoded.left))) }
    if (Option.isSome(passOf(one.right))) return undefined
    return { lane: laneOf(scope, decoded.right), work: settle(one.right, decided(scope, decoded.right)) }
  }

  const read = (query: { readonly seq: number; readonly next_by_subj: string } | LastForMsgRequest) =>
    nats
      .attempt("read a command", () => nats.manager.streams.getMessage(options.commands, query))
      .pipe(
        Effect.catchIf(
          ({ apiCode }) => apiCode === apiCodes.noMessage,
          () => Effect.succeed(undefined)
        )
      )
  const next = (filter: string, after: number) => read({ seq: after + 1, next_by_subj: filter })
  const last = (subject: string) => read({ last_by_subj: subject })

  /** Everything of one project that waits, in its order. Ends when nothing does. */
  const drain = Effect.fnUntraced(function* (scope: ProjectScope): Effect.fn.Return<void, NatsUnavailable> {
    const filter = `reprise.command.${scope.team}.${scope.project}.*`
    const within = incarnation
    const before = done.get(scopeKey(scope))
    let cursor = before?.incarnation === within ? before.sequence : 0
    let empty = 0
    while (true) {
      const lanes = new Map<string, Array<Work>>()
      let taken = 0
      while (taken < options.inHand) {
        const message = yield* next(filter, cursor)
        if (message === undefined) break
        cursor = message.seq
        const one = workOf(message, scope)
        if (one === undefined) continue
        taken++
        lanes.set(one.lane, [...(lanes.get(one.lane) ?? []), one.work])
      }
      if (taken === 0) {
        const pause = lingering[empty++]
        if (pause === undefined) return
        yield* Effect.sleep(pause)
        continue
      }
      empty = 0
      yield* count({ inHand: taken })
      yield* Effect.forEach(lanes.values(), (works) => Effect.all(works, { discard: true }), {
        concurrency: "unbounded",
        discard: true
      }).pipe(Effect.ensuring(count({ inHand: -taken })))
      if (done.size >= remembered) done.clear()
      done.set(scopeKey(scope), { incarnation: within, sequence: cursor })
    }
  })

  const line = makePassLine({ next, last, decided, settle })

  const waking =
    (fibers: FiberMap.FiberMap<string>, work: (scope: ProjectScope) => Work) => (scope: ProjectScope) =>
      FiberMap.run(
        fibers,
        scopeKey(scope),
        work(scope).pipe(
          Effect.catchAll(({ message }) => {
            doubt = true
            return Effect.zipRight(Effect.logInfo("commands wait", message), say(message))
          }),
          Effect.catchAllDefect((cause) => Effect.logError("a command could not be handled", cause)),
          Effect.annotateLogs({ actor: "command-intake", scope: scopeKey(scope) })
        ),
        { onlyIfMissing: true }
      )
  const wakeDrain = waking(drains, drain)
  const wakeLine = waking(lines, line)
  const wake = (scope: ProjectScope, command: string) =>
    Effect.zipRight(wakeDrain(scope), command === "SourceSync" ? wakeLine(scope) : Effect.void)

  /** Stored under a subject that is none, as `reprise.command.*.b.C` is: nobody can be told of it. */
  const discard = Effect.fnUntraced(function* (subject: string) {
    const nobody: WireError = { code: "no-project", message: "The subject names no project, or no command." }
    // A wildcard within the subject finds others, too; `>` amidst it is no filter, and `*` does not find it.
    const filter = subject.includes(">") ? "reprise.command.>" : subject
    let message = yield* next(filter, 0)
    while (message !== undefined) {
      if (message.subject === subject) {
        yield* rejected(message, undefined, nobody)
        yield* remove(message)
      }
      message = yield* next(filter, message.seq)
    }
  })

  const sweep = Effect.gen(function* () {
    if (doubt) {
      doubt = false
      yield* options.ready
    }
    const info = yield* nats.attempt("look at what waits", () =>
      nats.manager.streams.info(options.commands, { subjects_filter: "reprise.command.>" })
    )
    const { created: made, state } = info
    // Made anew, or put back from an older copy.
    if (made !== seen.made || state.last_seq < seen.last) incarnation++
    seen = { made, last: state.last_seq }
    for (const subject of Object.keys(state.subjects ?? {})) {
      const [, , team = "", project = "", command = ""] = subject.split(".")
      const scope = scopeOfTokens(team, project)
      if (scope !== undefined && command !== ">") yield* wake(scope, command)
      else yield* discard(subject)
    }
    if (!doubt) yield* say(undefined)
  })

  const sweeping = options.ready.pipe(
    Effect.zipRight(Effect.repeat(sweep, Schedule.spaced(options.sweep))),
    Effect.tapError(({ message }) => say(message)),
    Effect.retry(patience)
  )

  /** The copy that arrives at once is a hint; what counts is what was stored. */
  const hints = nats.subscribe("reprise.command.*.*.*", { capacity: 1024 }).pipe(
    Stream.runForEach(({ subject }) => {
      const parsed = parseSubject(subject)
      return Either.isRight(parsed) && parsed.right.kind === "command"
        ? wake(parsed.right.scope, parsed.right.command)
        : Effect.void
    }),
    Effect.retry(patience)
  )

  return {
    run: Effect.zip(sweeping, hints, { concurrent: true }),
    service: { status: SubscriptionRef.get(status) }
  }
})

/** Takes commands for as long as it lives. */
export const layer = (options: IntakeOptions) =>
  Layer.scoped(
    CommandIntake,
    Effect.gen(function* () {
      const { run, service } = yield* make(yield* makePublicCommands, options)
      const look = Effect.map(service.status, ({ answered, inHand, problem, rejected }) => ({
        mailbox: inHand,
        processed: answered + rejected,
        failed: rejected,
        lastError: problem,
        mark: answered + rejected
      }))
      yield* underSupervisor("command-intake", run, look)
      return service
    })
  )
