/** The answers to commands, as their stream keeps them: one for each command of a project. */
import { Effect, Option, Schema } from "effect"
import type { CommandId, ProjectScope } from "../../events/Ids.ts"
import { Answer } from "../../events/Messages.ts"
import { answerSubject } from "../../events/Subjects.ts"
import type { NatsService } from "../bus/nats/Connection.ts"
import { apiCodes } from "../bus/nats/NatsErrors.ts"

/** Of the body that an answer belongs to: another body under the same id is a conflict. */
export const digestHeader = "Reprise-Command-Digest"

export const encodeAnswer = Schema.encodeSync(Schema.parseJson(Answer))
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
