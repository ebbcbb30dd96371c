/** A message of the command stream as it is read, before anything is done about it. */
import { type Effect, Either } from "effect"
import type { StoredMsg } from "nats"
import type { CommandId, ProjectScope } from "../../events/Ids.ts"
import type { Answer, WireError } from "../../events/Messages.ts"
import { parseSubject } from "../../events/Subjects.ts"
import { refusal } from "./PublicCommands.ts"
import { type CommandMessage, decodeCommand, readBody, type WireBody } from "./WireBody.ts"

/** One that can be answered under an id of its own. */
export interface Received {
  readonly message: StoredMsg
  readonly scope: ProjectScope
  readonly body: WireBody
  readonly commandId: CommandId
  /** The refusal where the body is not what its subject asks for. */
  readonly decoded: Either.Either<CommandMessage, Answer>
}

/** What it says, or why nobody can be answered. */
export const readReceived = (message: StoredMsg, scope: ProjectScope): Either.Either<Received, WireError> => {
  const subject = parseSubject(message.subject)
  if (Either.isLeft(subject) || subject.right.kind !== "command")
    return Either.left({ code: "unknown-command", message: "The subject's last word is no command." })
  const { command } = subject.right
  return Either.flatMap(readBody(message.data), (body): Either.Either<Received, WireError> => {
    const { commandId } = body
    if (commandId === undefined)
      return Either.left({
        code: "command-id",
        message: "commandId: 1 to 200 letters, digits, underscores and hyphens are expected."
      })
    const decoded = Either.mapLeft(decodeCommand(command, scope, body.fields), (error) =>
      refusal(command, commandId, error)
    )
    return Either.right({ message, scope, body, commandId, decoded })
  })
}

/** What a command leads to, or why there is no answer that is kept. */
export type Decided = Effect.Effect<Either.Either<Answer, WireError>>
