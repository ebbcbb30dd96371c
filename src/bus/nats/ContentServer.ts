/**
 * Serves bodies of the log's content to workers on other hosts, by digest, over core requests. They see content, never a
 * path. Whoever may send to this subject may read every project's bodies: it belongs to the server's own account.
 */
import { Effect, Layer, Schedule, Schema, Stream } from "effect"
import { CodeFingerprint, Digest, ProjectScope } from "../../../events/Ids.ts"
import { Content } from "../../log/Content.ts"
import { NatsConnection } from "./Connection.ts"
import { littleEndian } from "./MessageCodec.ts"
import { answerFailure, answerPiece } from "./Pieces.ts"
import { makeRecentBodies, usualRecentBodies } from "./RecentBodies.ts"
import { contentSubject } from "./Subjects.ts"

/** A piece of a body by its digest or, with a model, of the vector that it made of the input with that digest. */
export const ContentRequest = Schema.parseJson(
  Schema.Struct({
    scope: ProjectScope,
    digest: Digest,
    model: Schema.optional(CodeFingerprint),
    offset: Schema.NonNegativeInt
  })
)
export type ContentRequest = typeof ContentRequest.Type

const decode = Schema.decodeUnknown(ContentRequest)
/** Requests answered at a time. */
const atATime = 8

export const layer: Layer.Layer<never, never, Content | NatsConnection> = Layer.scopedDiscard(
  Effect.gen(function* () {
    const content = yield* Content
    const nats = yield* NatsConnection
    const bodies = yield* makeRecentBodies(usualRecentBodies)
    const read = ({ digest, model, scope }: Omit<ContentRequest, "offset">) =>
      model === undefined
        ? content.blob(scope, digest)
        : Effect.map(content.vectors(scope, model, [digest]), ([vector]) => vector && littleEndian(vector))
    /** Looked at for each piece: what was erased meanwhile is answered no longer. */
    const isStored = ({ digest, model, scope }: Omit<ContentRequest, "offset">) =>
      model === undefined
        ? Effect.map(content.hasBlobs(scope, [digest]), (stored) => stored.has(digest))
        : Effect.succeed(true)
    const encode = Schema.encodeSync(ContentRequest)
    const text = new TextDecoder()

    yield* nats.subscribe(contentSubject).pipe(
      Stream.mapEffect(
        (request) =>
          decode(text.decode(request.data)).pipe(
            Effect.flatMap(({ offset, ...what }) => {
              const key = encode({ ...what, offset: 0 })
              return Effect.flatMap(isStored(what), (stored) =>
                Effect.flatMap(stored ? bodies.get(key, read(what)) : Effect.succeed(undefined), (body) =>
                  answerPiece(nats, request, body, offset)
                )
              )
            }),
            Effect.catchTags({
              ParseError: ({ message }) => answerFailure(nats, request, message),
              LogFailed: ({ message }) => answerFailure(nats, request, message)
            }),
            Effect.catchAllDefect((defect) =>
              answerFailure(nats, request, defect instanceof Error ? defect.name : "defect")
            ),
            Effect.ignore
          ),
        { concurrency: atATime, unordered: true }
      ),
      Stream.runDrain,
      Effect.tapError((error) => Effect.logError("Workers are not served content", error.message)),
      Effect.retry(Schedule.spaced("1 second")),
      Effect.forkScoped
    )
  })
)
