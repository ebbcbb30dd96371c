/**
 * Bodies of any size over core requests, a piece at a time. An answer says of itself whether the body is there: one that
 * is lost, cut or of another kind is an error, and never reads as an empty or absent body.
 */
import { Duration, Effect, Schema } from "effect"
import { headers, type Msg } from "nats"
import { type Digest, sha256 } from "../../../events/Ids.ts"
import type { NatsService } from "./Connection.ts"
import { NatsUnavailable } from "./NatsErrors.ts"

/** The body is not there, and its holder says so. */
export class BodyAbsent extends Schema.TaggedError<BodyAbsent>()("BodyAbsent", { digest: Schema.String }) {}

/** The largest piece. Smaller where the server takes less. */
const pieceBytes = 512 * 1024
/** Shorter ones, but for the last, are nobody's who means well: they would make as many requests as a body has bytes. */
const leastPiece = 512
/** The largest body. Who answers says how long it is, and memory is taken for it before it came. */
export const mostBytes = 256 * 1024 ** 2
/** Room for headers and the protocol. */
const overhead = 8 * 1024
/** Pieces asked for at a time. */
const atATime = 4
const pieceTimeout = Duration.seconds(10)

const pieceFor = (maxPayload: number): number => Math.min(pieceBytes, maxPayload - overhead)

const statusHeader = "Reprise-Status"
const sizeHeader = "Reprise-Size"

/** Answers one request for a piece of a body. */
export const answerPiece = (
  nats: NatsService,
  request: Msg,
  body: Uint8Array | undefined,
  offset: number
): Effect.Effect<void, NatsUnavailable> =>
  Effect.flatMap(nats.maxPayload, (maxPayload) => {
    const answer = headers()
    answer.set(statusHeader, body === undefined ? "absent" : "found")
    answer.set(sizeHeader, String(body?.length ?? 0))
    const piece = body?.subarray(offset, offset + pieceFor(maxPayload)) ?? new Uint8Array()
    return nats.respond(request, piece, answer)
  })

/** Answers that the body cannot be read now: whoever asked tries again. */
export const answerFailure = (
  nats: NatsService,
  request: Msg,
  detail: string
): Effect.Effect<void, NatsUnavailable> => {
  const answer = headers()
  answer.set(statusHeader, "failed")
  return nats.respond(request, detail.slice(0, 1000), answer)
}

interface Piece {
  readonly size: number
  readonly bytes: Uint8Array
}

/**
 * The whole body. `request` is what is asked, by offset; `digest` is the body's, where it is known before: without one,
 * a body that changes between two pieces is not noticed.
 */
export const fetchBody = Effect.fnUntraced(function* (
  nats: NatsService,
  subject: string,
  digest: Digest | undefined,
  request: (offset: number) => string
): Effect.fn.Return<Uint8Array, NatsUnavailable | BodyAbsent> {
  const malformed = (detail: string) => new NatsUnavailable({ what: subject, reason: "other", detail })
  const ask = Effect.fnUntraced(function* (
    offset: number
  ): Effect.fn.Return<Piece, NatsUnavailable | BodyAbsent> {
    const { data, headers } = yield* nats.request(subject, request(offset), { timeout: pieceTimeout })
    const status = headers?.get(statusHeader)
    if (status === "absent") return yield* new BodyAbsent({ digest: digest ?? "" })
    const size = Number(headers?.get(sizeHeader))
    if (status !== "found" || !Number.isSafeInteger(size) || size < 0)
      return yield* malformed(
        status === "failed" ? new TextDecoder().decode(data) : "no such answer was expected"
      )
    return { size, bytes: data }
  })
  const first = yield* ask(0)
  const { size } = first
  if (size > mostBytes) return yield* malformed(`it is said to have ${size} bytes, of ${mostBytes} at most`)
  if (first.bytes.length < Math.min(size, leastPiece)) return yield* malformed("too short a piece came")
  const body = new Uint8Array(size)
  const put = ({ bytes, size: itsSize }: Piece, offset: number, length: number) => {
    if (itsSize !== size || bytes.length !== length) return malformed("a piece of another length came")
    body.set(bytes, offset)
    return Effect.void
  }
  const step = first.bytes.length
  yield* put(first, 0, Math.min(step, size))
  const offsets: Array<number> = []
  for (let offset = step; offset < size; offset += step) offsets.push(offset)
  yield* Effect.forEach(
    offsets,
    (offset) => Effect.flatMap(ask(offset), (piece) => put(piece, offset, Math.min(step, size - offset))),
    { concurrency: atATime, discard: true }
  )
  if (digest !== undefined && sha256(body) !== digest)
    return yield* malformed(`what came is not the body ${digest}`)
  return body
})
