/**
 * Carries out commands from outside and says what came of them, in the sender's terms: the project's sequences.
 *
 * A refusal is an answer. What may pass (the log's disk, a restarted actor) is an error instead: nothing was decided, and
 * whoever asked asks again.
 */
import { Effect, Schema } from "effect"
import type { ActorRestarted } from "../../actors/Actor.ts"
import { type CommandError, Coordinator } from "../../actors/Coordinator.ts"
import { Indexer } from "../../actors/Indexer.ts"
import {
  type CommandAnswer,
  DocumentRemove,
  JobCancel,
  JobRetry,
  RemovalsApprove,
  SourceRemove
} from "../../events/Commands.ts"
import type { CommandId, ProjectScope } from "../../events/Ids.ts"
import { Digest, Sequence, scopeKey } from "../../events/Ids.ts"
import type {
  Accomplished,
  Answer,
  DocumentRemoveMessage,
  DocumentSubmitMessage,
  Refused,
  RequestOptions,
  SourceSyncMessage,
  WireError
} from "../../events/Messages.ts"
import type { PublicCommandName } from "../../events/Subjects.ts"
import { Content } from "../log/Content.ts"
import type { CommandConflict, LogFailed } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { findSource } from "../runtime/Names.ts"
import { Push, PushInvalid } from "../runtime/Push.ts"
import { keyAfterAll } from "../runtime/Removals.ts"
import { DocumentUnknown, type SourceUnknown, Writer } from "../runtime/Reprise.ts"
import type { CommandMessage } from "./WireBody.ts"

/** Nothing was decided, for a reason that passes. The same command may be sent again. */
export class Undecided extends Schema.TaggedError<Undecided>()("Undecided", { cause: Schema.Defect }) {
  override get message() {
    return "The command could not be decided at present. Send it again under the same id."
  }
}

/** The text that the command names is not stored. Nothing was decided: put it, and send the same command again. */
export class TextAbsent extends Schema.TaggedError<TextAbsent>()("TextAbsent", { digest: Digest }) {
  override get message() {
    return "textDigest: the project has no such body. Put it with ContentPut, then send the same command again."
  }
}

export interface PublicCommands {
  /** Answers when the command is on disk; with `wait`, when its mutation has ended or is visible, or the time is over. */
  readonly run: (
    scope: ProjectScope,
    command: CommandMessage,
    wait?: RequestOptions
  ) => Effect.Effect<Answer, Undecided | CommandConflict | TextAbsent>
}

/** Where a sender names no source. */
export const defaultSource = "default"

export const refusal = (command: PublicCommandName, commandId: CommandId, error: WireError): Refused => ({
  ok: false,
  commandId,
  command,
  error
})

export const conflict: WireError = {
  code: "conflict",
  message: "A command of this id was sent before with another body. Send this one under an id of its own."
}

/** Why a command got no answer that is kept. */
export const notDecided = (error: Undecided | CommandConflict | TextAbsent): WireError => {
  switch (error._tag) {
    case "CommandConflict":
      return conflict
    case "TextAbsent":
      return { code: "unknown-content", message: error.message }
    case "Undecided":
      return { code: "unavailable", message: error.message, retryAfterMs: 1_000 }
  }
}

type Failure =
  | TextAbsent
  | CommandError
  | PushInvalid
  | SourceUnknown
  | DocumentUnknown
  | ActorRestarted
  | LogFailed
type Done = { readonly answer: Accomplished; readonly logPosition: number }

/** A byte order mark belongs to the text: its digest covers it. */
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const sequenceOf = (sequence: number): Sequence => Sequence.make(sequence)

export const makePublicCommands = Effect.gen(function* () {
  const coordinator = yield* Coordinator
  const indexer = yield* Indexer
  const readModels = yield* ReadModels
  const content = yield* Content
  const push = yield* Push
  const writer = yield* Writer

  const accomplished = (
    command: PublicCommandName,
    commandId: CommandId,
    { documentId, outcome, position, sequence, version }: CommandAnswer
  ): Done => ({
    logPosition: position,
    answer: {
      ok: true,
      commandId,
      command,
      outcome,
      ...(documentId !== undefined && { documentId }),
      ...(version !== undefined && { version }),
      ...(outcome === "accepted" &&
        documentId !== undefined &&
        version !== undefined && { mutationId: `${documentId}.${version}` }),
      acceptedPosition: sequenceOf(sequence),
      ...(outcome !== "accepted" && { position: sequenceOf(sequence) })
    }
  })

  const textOf = Effect.fnUntraced(function* (
    scope: ProjectScope,
    { source = defaultSource, text, textDigest }: DocumentSubmitMessage
  ): Effect.fn.Return<string, TextAbsent | PushInvalid | LogFailed> {
    if (textDigest === undefined) return text ?? ""
    const bytes = yield* content.blob(scope, textDigest)
    if (bytes === undefined) return yield* new TextAbsent({ digest: textDigest })
    return yield* Effect.try({
      try: () => utf8.decode(bytes),
      catch: () => new PushInvalid({ source, detail: "its text is not UTF-8" })
    })
  })

  const submit = Effect.fnUntraced(function* (scope: ProjectScope, message: DocumentSubmitMessage) {
    const { commandId, externalId, mediaType, metadata, revision, source, title, uri } = message
    const text = yield* textOf(scope, message)
    return yield* push.push(
      {
        id: externalId,
        text,
        ...(title !== undefined && { title }),
        ...(uri !== undefined && { uri }),
        ...(mediaType !== undefined && { mediaType }),
        ...(metadata !== undefined && { metadata })
      },
      { scope, source: source ?? defaultSource, commandId, ...(revision !== undefined && { revision }) }
    )
  })

  const remove = Effect.fnUntraced(function* (scope: ProjectScope, message: DocumentRemoveMessage) {
    const { commandId, documentId, externalId, revision, source } = message
    if (documentId === undefined) {
      const options = { scope, source: source ?? defaultSource, commandId }
      return yield* push.withdraw(externalId ?? "", {
        ...options,
        ...(revision !== undefined && { revision })
      })
    }
    const row = yield* readModels.document(documentId)
    // Anybody can compute an id. What another project has, or may yet have, is answered as what nobody has: nothing is
    // told of it, and no order key is left that would keep its first version out.
    if (row === undefined || scopeKey(row.scope) !== scopeKey(scope))
      return yield* new DocumentUnknown({ name: documentId, scope })
    return yield* coordinator.ask(
      DocumentRemove.make({
        commandId,
        scope,
        documentId,
        reason: "requested",
        orderKey: keyAfterAll(row),
        arrivalOrder: true
      })
    )
  })

  const sync = Effect.fnUntraced(function* (scope: ProjectScope, message: SourceSyncMessage) {
    const { approveRemovals = false, commandId, full = false, source } = message
    const receipt = yield* writer.sync(source === undefined ? [] : [source], {
      scope,
      full,
      approveRemovals,
      stop: undefined
    })
    const position = sequenceOf(receipt.position)
    const answer: Accomplished = {
      ok: true,
      commandId,
      command: "SourceSync",
      outcome: "done",
      acceptedPosition: position,
      position,
      receipt
    }
    return { answer, logPosition: 0 }
  })

  const carryOut = (scope: ProjectScope, one: CommandMessage): Effect.Effect<Done, Failure> => {
    const { commandId } = one.message
    const done = (answer: CommandAnswer) => accomplished(one.command, commandId, answer)
    switch (one.command) {
      case "DocumentSubmit":
        return Effect.map(submit(scope, one.message), done)
      case "DocumentRemove":
        return Effect.map(remove(scope, one.message), done)
      case "SourceSync":
        return sync(scope, one.message)
      case "SourceRemove":
      case "RemovalsApprove": {
        const Made = one.command === "SourceRemove" ? SourceRemove : RemovalsApprove
        return Effect.flatMap(findSource(readModels, content, scope, one.message.source), ({ sourceId }) =>
          Effect.map(coordinator.ask(Made.make({ commandId, scope, sourceId })), done)
        )
      }
      case "JobRetry":
        return Effect.map(
          coordinator.ask(JobRetry.make({ commandId, scope, jobId: one.message.jobId })),
          done
        )
      case "JobCancel":
        return Effect.map(
          coordinator.ask(JobCancel.make({ commandId, scope, jobId: one.message.jobId })),
          done
        )
    }
  }

  /** What became of a mutation, when it has ended (and, if wanted, is visible). */
  const ended = Effect.fnUntraced(function* (
    scope: ProjectScope,
    { answer, logPosition }: Done,
    wait: RequestOptions["wait"]
  ): Effect.fn.Return<Accomplished, LogFailed | ActorRestarted> {
    const { documentId, outcome, version } = answer
    if (outcome !== "accepted" || documentId === undefined || version === undefined) {
      if (wait === "visible") yield* indexer.untilVisible(logPosition)
      return answer
    }
    const end = yield* coordinator.ended(documentId, version)
    const position = sequenceOf(yield* readModels.sequenceAt(scope, end.position))
    if (wait === "visible") yield* indexer.untilVisible(end.position)
    return {
      ...answer,
      outcome: end.outcome,
      position,
      ...(end.reason !== undefined && { reason: end.reason })
    }
  })

  const run: PublicCommands["run"] = (scope, command, options) =>
    carryOut(scope, command).pipe(
      Effect.flatMap((done) => {
        if (options === undefined || options.wait === "accepted") return Effect.succeed(done.answer)
        // When the time is over, the answer is what is known: it is on disk.
        return ended(scope, done, options.wait).pipe(
          Effect.timeoutTo({
            duration: options.waitMs,
            onSuccess: (answer) => answer,
            onTimeout: () => done.answer
          })
        )
      }),
      Effect.catchAll((failure) => refusedOr(command, failure))
    )

  return { run } satisfies PublicCommands
})

const refusedOr = (
  { command, message: { commandId } }: CommandMessage,
  failure: Failure
): Effect.Effect<Refused, Undecided | CommandConflict | TextAbsent> => {
  const refused = (code: string, message: string) =>
    Effect.succeed(refusal(command, commandId, { code, message }))
  switch (failure._tag) {
    case "CommandConflict":
    case "TextAbsent":
      return Effect.fail(failure)
    case "CommandRefused":
      return refused(failure.code, failure.detail)
    case "PushInvalid":
      return refused("invalid", "The document is not of the form that is asked for.")
    case "SourceUnknown":
      return refused("unknown-source", "There is no such source in this project.")
    case "DocumentUnknown":
      return refused("unknown-document", "There is no such document in this project.")
    case "HeadMoved":
    case "LogFailed":
    case "ActorRestarted":
      return Effect.zipRight(
        Effect.logWarning("a command could not be decided", failure.message),
        new Undecided({ cause: failure })
      )
  }
}
