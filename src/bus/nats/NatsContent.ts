/**
 * The log's content as a worker on another host sees it: bodies by digest, asked of the server. A server that is away is
 * waited for, since an attempt must not fail for it. Of vectors an Embedder reads a single one, to know its model by.
 */
import { Duration, Effect, Layer, Schedule, Schema } from "effect"
import type { CodeFingerprint, Digest, ProjectScope } from "../../../events/Ids.ts"
import { Content } from "../../log/Content.ts"
import { LogFailed } from "../../log/Log.ts"
import { NatsConnection, type NatsService } from "./Connection.ts"
import { ContentRequest } from "./ContentServer.ts"
import { floats } from "./MessageCodec.ts"
import type { NatsUnavailable } from "./NatsErrors.ts"
import { fetchBody } from "./Pieces.ts"
import { contentSubject } from "./Subjects.ts"

/** How long a server may be away before an attempt fails for it: as long as the longest lane's limit. */
const patience = Duration.minutes(15)
const again = Schedule.exponential("50 millis").pipe(
  Schedule.union(Schedule.spaced("2 seconds")),
  Schedule.upTo(patience)
)

export const layer: Layer.Layer<Content, never, NatsConnection> = Layer.effect(
  Content,
  Effect.map(NatsConnection, (nats) => {
    const blob = (scope: ProjectScope, digest: Digest) =>
      fetch(nats, digest, (offset) => encode({ scope, digest, offset }))
    const vector = (scope: ProjectScope, model: CodeFingerprint, digest: Digest) =>
      Effect.map(
        fetch(nats, undefined, (offset) => encode({ scope, digest, model, offset })),
        (bytes) => bytes && floats(bytes, 0, bytes.length / Float32Array.BYTES_PER_ELEMENT)
      )
    const notHere = (operation: string) =>
      Effect.fail(new LogFailed({ operation, cause: "only a process that has the log can" }))
    return Content.of({
      blob,
      hasBlobs: () => notHere("look for bodies"),
      vectorDigests: () => notHere("look for vectors"),
      vectors: (scope, model, inputs) => Effect.forEach(inputs, (input) => vector(scope, model, input))
    })
  })
)

const encode = Schema.encodeSync(ContentRequest)

const fetch = (
  nats: NatsService,
  digest: Digest | undefined,
  request: (offset: number) => string
): Effect.Effect<Uint8Array | undefined, LogFailed> =>
  fetchBody(nats, contentSubject, digest, request).pipe(
    Effect.retry({ schedule: again, while: (error) => error._tag === "NatsUnavailable" && passes(error) }),
    Effect.catchTags({
      BodyAbsent: () => Effect.succeed(undefined),
      NatsUnavailable: (error) =>
        Effect.fail(new LogFailed({ operation: "read content over NATS", cause: error.message }))
    })
  )

/** A permission that is missing, or a limit, will not go away by itself. */
const passes = ({ reason }: NatsUnavailable): boolean => reason !== "refused" && reason !== "too-large"
