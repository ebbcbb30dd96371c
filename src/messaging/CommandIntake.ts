/**
 * Takes commands from their stream, has them carried out, and answers each on a subject of its own.
 *
 * A command leaves the stream only after its answer was stored, so that a crash at any moment repeats it, in the stream's
 * order, and an answer that is there already is given again. The stream has one reader and needs no consumers: messages
 * are read by their number and deleted, each project at its own pace, so that a flood of one holds nobody else up.
 */
import {
  Context,
  Duration,
  Effect,
  Either,
  FiberMap,
  Layer,
  Option,
  Schedule,
  Schema,
  Stream,
  SubscriptionRef
} from "effect"
import { headers, type StoredMsg } from "nats"
import { type CommandId, type ProjectScope, scopeKey, sha256 } from "../../events/Ids.ts"
import { Answer, type RejectedMessage, type WireError } from "../../events/Messages.ts"
import { answerSubject, parseSubject, rejectedSubject, scopeOfTokens } from "../../events/Subjects.ts"
import { NatsConnection, type NatsService } from "../bus/nats/Connection.ts"
import { apiCodes, type NatsUnavailable } from "../bus/nats/NatsErrors.ts"
import type { StreamConflict } from "../bus/nats/Streams.ts"
import { pushedDocumentId } from "../runtime/Push.ts"
import { underSupervisor } from "./Fiber.ts"
import { defaultSource, makePublicCommands, type PublicCommands, refusal } from "./PublicCommands.ts"
import { type CommandMessage, decodeCommand, readBody, type WireBody } from "./WireBody.ts"

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

/** Of the body that an answer belongs to: another body under the same id is a conflict. */
const digestHeader = "Reprise-Command-Digest"

const encoder = new TextEncoder()
const encodeAnswer = Schema.encodeSync(Schema.parseJson(Answer))
const decodeAnswer = Schema.decodeUnknownOption(Schema.parseJson(Answer))

/** The answer that a command got before, by direct get: also what `AnswerRead` gives. */
export const storedAnswer = Effect.fnUntraced(function* (
  nats: NatsService,
  stream: string,
  scope: ProjectScope,
  commandId: CommandId
) {
  const stored = yield* nats
    .attempt(`read the answer to ${commandId}`, () =>
      nats.manager.streams.getMessage(stream, { last_by_subj: answerSubject(scope, commandId) })
    )
    .pipe(
      Effect.catchIf(
        ({ apiCode }) => apiCode === apiCodes.noMessage,
        () => Effect.succeed(undefined)
      )
    )
  if (stored === undefined) return undefined
  const answer = Option.getOrUndefined(decodeAnswer(stored.string()))
  return answer && { answer, digest: stored.header.get(digestHeader) }
})

const patience = Schedule.exponential("200 millis", 2).pipe(
  Schedule.union(Schedule.spaced("5 seconds")),
  Schedule.jittered
)

/** Looks that follow an empty one: a hint may come before its message is stored. */
const lingering = [Duration.millis(5), Duration.millis(20), Duration.millis(100)]

/** Commands about one document are carried out one after the other; a pass over a source after the one before it. */
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
  const workers = yield* FiberMap.make<string>()
  const syncs = yield* FiberMap.make<string>()
  /** Messages that a pass over a source still holds while the reading went on. */
  const held = new Set<number>()
  const count = (change: Partial<Record<"answered" | "rejected" | "inHand", number>>) =>
    SubscriptionRef.update(status, (now) => ({
      ...now,
      answered: now.answered + (change.answered ?? 0),
      rejected: now.rejected + (change.rejected ?? 0),
      inHand: now.inHand + (change.inHand ?? 0)
    }))

  const remove = ({ seq }: StoredMsg): Work =>
    nats
      .attempt("remove a command that was answered", () =>
        nats.manager.streams.deleteMessage(options.commands, seq, false)
      )
      .pipe(Effect.asVoid)

  const answered = (scope: ProjectScope, { digest }: WireBody, answer: Answer): Work => {
    const all = headers()
    all.set(digestHeader, digest)
    return nats
      .attempt("publish an answer", () =>
        nats.jetstream.publish(answerSubject(scope, answer.commandId), encoder.encode(encodeAnswer(answer)), {
          headers: all
        })
      )
      .pipe(Effect.zipRight(count({ answered: 1 })))
  }

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

  const conflict: WireError = {
    code: "conflict",
    message: "A command of this id was sent before with another body. Send this one under an id of its own."
  }

  /** Carries a command out until it is decided; what passes is waited out. */
  const decided = (scope: ProjectScope, command: CommandMessage) =>
    commands.run(scope, command).pipe(
      Effect.retry({
        schedule: patience,
        while: (error) => error._tag === "Undecided"
      }),
      Effect.either
    )

  const carryOut = Effect.fnUntraced(function* (
    message: StoredMsg,
    scope: ProjectScope,
    body: WireBody,
    commandId: CommandId,
    decoded: Either.Either<CommandMessage, Answer>
  ): Effect.fn.Return<void, NatsUnavailable> {
    const before = yield* storedAnswer(nats, options.answers, scope, commandId)
    if (before !== undefined) {
      yield* before.digest === body.digest
        ? answered(scope, body, before.answer)
        : rejected(message, scope, conflict, commandId)
    } else if (Either.isLeft(decoded)) {
      yield* answered(scope, body, decoded.left)
    } else {
      const outcome = yield* decided(scope, decoded.right)
      yield* Either.isRight(outcome)
        ? answered(scope, body, outcome.right)
        : rejected(message, scope, conflict, commandId)
    }
    yield* remove(message)
  })

  /** What is to be done about a message, and after what else. */
  const workOf = (
    message: StoredMsg,
    scope: ProjectScope
  ): { readonly lane: string; readonly work: Work } => {
    const reject = (error: WireError) => ({
      lane: `message/${message.seq}`,
      work: Effect.zipRight(rejected(message, scope, error), remove(message))
    })
    const subject = parseSubject(message.subject)
    if (Either.isLeft(subject) || subject.right.kind !== "command") {
      return reject({ code: "unknown-command", message: "The subject's last word is no command." })
    }
    const { command } = subject.right
    const read = readBody(message.data)
    if (Either.isLeft(read)) return reject(read.left)
    const body = read.right
    const { commandId } = body
    if (commandId === undefined) {
      return reject({
        code: "command-id",
        message: "commandId: 1 to 200 letters, digits, underscores and hyphens are expected."
      })
    }
    const decoded = Either.mapLeft(decodeCommand(command, scope, body.fields), (error) =>
      refusal(command, commandId, error)
    )
    return {
      lane: Either.isRight(decoded) ? laneOf(scope, decoded.right) : `message/${message.seq}`,
      work: carryOut(message, scope, body, commandId, decoded)
    }
  }

  const next = (filter: string, after: number): Effect.Effect<StoredMsg | undefined, NatsUnavailable> => {
    const query = { seq: after + 1, next_by_subj: filter }
    return nats
      .attempt("read the next command", () => nats.manager.streams.getMessage(options.commands, query))
      .pipe(
        Effect.catchIf(
          ({ apiCode }) => apiCode === apiCodes.noMessage,
          () => Effect.succeed(undefined)
        )
      )
  }

  /** Everything of one project that waits, in its order. Ends when nothing does. */
  const drain = Effect.fnUntraced(function* (scope: ProjectScope): Effect.fn.Return<void, NatsUnavailable> {
    const filter = `reprise.command.${scope.team}.${scope.project}.*`
    let cursor = 0
    let empty = 0
    while (true) {
      const lanes = new Map<string, Array<Work>>()
      let taken = 0
      while (taken < options.inHand) {
        const message = yield* next(filter, cursor)
        if (message === undefined) break
        cursor = message.seq
        if (held.has(message.seq)) continue
        taken++
        const { lane, work } = workOf(message, scope)
        if (lane === "SourceSync") yield* inBackground(scope, message, work)
        else lanes.set(lane, [...(lanes.get(lane) ?? []), work])
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
    }
  })

  /** A pass can take hours: nothing else of the project waits for it. */
  const inBackground = (scope: ProjectScope, { seq }: StoredMsg, work: Work) =>
    Effect.suspend(() => {
      held.add(seq)
      const settled = work.pipe(
        Effect.catchAll(({ message }) => Effect.logInfo("a sync is answered later", message)),
        Effect.ensuring(Effect.sync(() => held.delete(seq)))
      )
      return FiberMap.run(syncs, `${scopeKey(scope)}/${seq}`, settled)
    })

  const wake = (scope: ProjectScope) =>
    FiberMap.run(
      workers,
      scopeKey(scope),
      drain(scope).pipe(
        Effect.catchAll(({ message }) => Effect.logInfo("commands wait", message)),
        Effect.catchAllDefect((cause) => Effect.logError("a command could not be handled", cause)),
        Effect.annotateLogs({ actor: "command-intake", scope: scopeKey(scope) })
      ),
      { onlyIfMissing: true }
    )

  /** Stored under a subject that names no project, as `reprise.command.*.b.C` is: nobody can be told of it. */
  const discard = Effect.fnUntraced(function* (subject: string) {
    const nobody: WireError = { code: "no-project", message: "The subject names no project." }
    let message = yield* next(subject, 0)
    while (message !== undefined) {
      // A wildcard within the subject finds others, too.
      if (message.subject === subject) {
        yield* rejected(message, undefined, nobody)
        yield* remove(message)
      }
      message = yield* next(subject, message.seq)
    }
  })

  const sweep = Effect.gen(function* () {
    const info = yield* nats.attempt("look at what waits", () =>
      nats.manager.streams.info(options.commands, { subjects_filter: "reprise.command.>" })
    )
    for (const subject of Object.keys(info.state.subjects ?? {})) {
      const [, , team = "", project = ""] = subject.split(".")
      const scope = scopeOfTokens(team, project)
      if (scope !== undefined) yield* wake(scope)
      else yield* discard(subject)
    }
    yield* SubscriptionRef.update(status, (now) => ({ ...now, problem: undefined }))
  })

  const sweeping = options.ready.pipe(
    Effect.zipRight(Effect.repeat(sweep, Schedule.spaced(options.sweep))),
    Effect.tapError(({ message }) => SubscriptionRef.update(status, (now) => ({ ...now, problem: message }))),
    Effect.retry(patience)
  )

  /** The copy that arrives at once is a hint; what counts is what was stored. */
  const hints = nats.subscribe("reprise.command.*.*.*", { capacity: 1024 }).pipe(
    Stream.runForEach(({ subject }) => {
      const parsed = parseSubject(subject)
      return Either.isRight(parsed) && parsed.right.kind === "command"
        ? wake(parsed.right.scope)
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
