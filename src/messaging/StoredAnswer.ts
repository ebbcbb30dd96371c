/** The answers to commands as their stream keeps them, each with the digest of the body that it belongs to. */
import { Effect, Option, Schema } from "effect"
import { headers } from "nats"
import type { CommandId, Digest, ProjectScope } from "../../events/Ids.ts"
import { Answer } from "../../events/Messages.ts"
import { answerSubject } from "../../events/Subjects.ts"
import type { NatsService } from "../bus/nats/Connection.ts"
import { apiCodes, type NatsUnavailable } from "../bus/nats/NatsErrors.ts"

/** Of the body that an answer belongs to: another body under the same id is a conflict. */
const digestHeader = "Reprise-Command-Digest"

const encoder = new TextEncoder()
const encodeAnswer = Schema.encodeSync(Schema.parseJson(Answer))
const decodeAnswer = Schema.decodeUnknownOption(Schema.parseJson(Answer))

export const storeAnswer = (
  nats: NatsService,
  scope: ProjectScope,
  digest: Digest,
  answer: Answer
): Effect.Effect<void, NatsUnavailable> => {
  const all = headers()
  all.set(digestHeader, digest)
  const published = (one: Answer) =>
    nats.attempt("publish an answer", () =>
      nats.jetstream.publish(answerSubject(scope, answer.commandId), encoder.encode(encodeAnswer(one)), {
        headers: all
      })
    )
  return published(answer).pipe(
    // A command that cannot be answered would stay in its stream for ever, and be carried out again and again.
    Effect.catchIf(
      ({ reason }) => reason === "too-large",
      () => published(withoutFailures(answer))
    ),
    Effect.asVoid
  )
}

/** Its numbers still count them all. */
const withoutFailures = (answer: Answer): Answer =>
  answer.ok && answer.receipt !== undefined
    ? { ...answer, receipt: { ...answer.receipt, failures: [] } }
    : answer

/** The answer that a command got before, by direct get. */
export const storedAnswer = Effect.fnUntraced(function* (
  nats: NatsService,
  stream: string,
  scope: ProjectScope,
  commandId: CommandId
): Effect.fn.Return<{ readonly answer: Answer; readonly digest: string } | undefined, NatsUnavailable> {
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
