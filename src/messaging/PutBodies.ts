/**
 * Bodies that others put in pieces, because they are larger than a message may be. A body is stored once it is whole and
 * is what its digest says; until then its pieces are held in memory, within bounds, and forgotten when none comes.
 *
 * Every answer says where to go on, also after a piece that came twice, or when all was forgotten: a sender that follows
 * it arrives, whatever is lost.
 */
import { Duration, Effect, type Scope } from "effect"
import { type Digest, type ProjectScope, scopeKey, sha256 } from "../../events/Ids.ts"
import type { ContentPutAnswer, ContentPutMessage, WireError } from "../../events/Messages.ts"
import type { ContentService } from "../log/Content.ts"
import type { LogFailed, LogService } from "../log/Log.ts"

export interface PutBodiesOptions {
  /** The largest body; a project may have so much of bodies under way. */
  readonly maxBytes: number
  /** Of all projects together. */
  readonly mostBytes: number
  /** What no piece comes of during such a time is forgotten. */
  readonly idle: Duration.Duration
}

export const usualPutBodies = (maxBytes: number): PutBodiesOptions => ({
  maxBytes,
  mostBytes: Math.max(maxBytes, 256 * 1024 ** 2),
  idle: Duration.seconds(30)
})

export interface PutBodies {
  readonly put: (
    scope: ProjectScope,
    piece: ContentPutMessage
  ) => Effect.Effect<ContentPutAnswer, LogFailed | WireError>
}

/** A body under way. Its whole length counts, since that is what it will take. */
interface Begun {
  readonly project: string
  readonly bytes: number
  readonly pieces: Array<Uint8Array>
  received: number
  touched: boolean
}

const wrong = (code: string, message: string): Effect.Effect<never, WireError> =>
  Effect.fail({ code, message })

export const makePutBodies = (
  log: LogService,
  content: ContentService,
  { idle, maxBytes, mostBytes }: PutBodiesOptions
): Effect.Effect<PutBodies, never, Scope.Scope> =>
  Effect.gen(function* () {
    const begun = new Map<string, Begun>()

    yield* Effect.sync(() => {
      for (const [key, one] of begun) {
        if (!one.touched) begun.delete(key)
        one.touched = false
      }
    }).pipe(Effect.delay(idle), Effect.forever, Effect.forkScoped)

    const hasRoom = (project: string, bytes: number): boolean => {
      let [own, all] = [bytes, bytes]
      for (const one of begun.values()) {
        all += one.bytes
        if (one.project === project) own += one.bytes
      }
      return own <= maxBytes && all <= mostBytes
    }

    const begin = (key: string, project: string, bytes: number): Effect.Effect<Begun, WireError> =>
      Effect.suspend(() => {
        const there = begun.get(key)
        if (there !== undefined) return Effect.succeed(there)
        if (!hasRoom(project, bytes))
          return Effect.fail<WireError>({
            code: "busy",
            message: "As many bodies as may be are being put. Finish those that were begun, or ask again.",
            retryAfterMs: 1_000
          })
        const made: Begun = { project, bytes, pieces: [], received: 0, touched: true }
        begun.set(key, made)
        return Effect.succeed(made)
      })

    const store = (scope: ProjectScope, digest: Digest, bytes: Uint8Array) =>
      sha256(bytes) === digest
        ? log.write({ blobs: [{ ...scope, digest, bytes }] })
        : wrong("digest", "What came is not the body of this digest (SHA-256). Put it again from offset 0.")

    return {
      put: Effect.fnUntraced(function* (
        scope,
        { base64, bytes, digest, offset }
      ): Effect.fn.Return<ContentPutAnswer, LogFailed | WireError> {
        const project = scopeKey(scope)
        const key = `${project}/${digest}`
        if (!begun.has(key)) {
          if ((yield* content.hasBlobs(scope, [digest])).has(digest)) return { digest, bytes }
          if (bytes > maxBytes)
            return yield* wrong("too-large", `A body has at most ${maxBytes} bytes (files.maxBytes).`)
        }
        const body = yield* begin(key, project, bytes)
        body.touched = true
        if (body.bytes !== bytes) {
          begun.delete(key)
          return yield* wrong("invalid", "bytes: another number than with the piece before.")
        }
        if (offset !== body.received) return { digest, bytes, nextOffset: body.received }
        const piece = Buffer.from(base64, "base64")
        if (piece.length === 0 || body.received + piece.length > bytes)
          return yield* wrong("invalid", "base64: a piece of the body is expected, and no more than its end.")
        body.pieces.push(piece)
        body.received += piece.length
        if (body.received < bytes) return { digest, bytes, nextOffset: body.received }
        begun.delete(key)
        yield* store(scope, digest, Buffer.concat(body.pieces))
        return { digest, bytes }
      })
    }
  })
