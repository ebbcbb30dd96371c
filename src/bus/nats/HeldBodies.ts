/**
 * Bodies that are too large for a message: they stay with the sender, the message refers to them, and who takes the
 * message asks for them in pieces. Held in memory within bounds, the oldest going first; with the process they are gone,
 * which costs an attempt and never truth.
 */
import { Effect, Schedule, Schema, type Scope, Stream } from "effect"
import { Digest, sha256 } from "../../../events/Ids.ts"
import type { NatsService } from "./Connection.ts"
import type { NatsUnavailable } from "./NatsErrors.ts"
import { answerFailure, answerPiece, type BodyAbsent, fetchBody, mostBytes } from "./Pieces.ts"
import { heldSubject } from "./Subjects.ts"

/** Stands in a message in place of the body. */
export const HeldReference = Schema.Struct({
  /** Names the process that has it. */
  holder: Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9]{1,64}$/)),
  digest: Digest
})
export type HeldReference = typeof HeldReference.Type

const HeldRequest = Schema.parseJson(
  Schema.Union(
    Schema.Struct({ digest: Digest, offset: Schema.NonNegativeInt }),
    Schema.Struct({ release: Digest })
  )
)
const decode = Schema.decodeUnknown(HeldRequest)
const encode = Schema.encodeSync(HeldRequest)

export interface HeldBodies {
  readonly hold: (body: Uint8Array) => Effect.Effect<HeldReference>
  /** Forgets one of ours. */
  readonly forget: (reference: HeldReference) => Effect.Effect<void>
  /** Reads one that another process holds. */
  readonly fetch: (reference: HeldReference) => Effect.Effect<Uint8Array, NatsUnavailable | BodyAbsent>
  /** Tells its holder that it is not needed any more. */
  readonly release: (reference: HeldReference) => Effect.Effect<void>
}

/** Beyond it the oldest go. A result holds at most a document's text and manifest. */
const maxBytes = mostBytes
const atATime = 4

export const makeHeldBodies = (nats: NatsService): Effect.Effect<HeldBodies, never, Scope.Scope> =>
  Effect.gen(function* () {
    const bodies = new Map<Digest, Uint8Array>()
    let bytes = 0
    const drop = (digest: Digest) => {
      bytes -= bodies.get(digest)?.length ?? 0
      bodies.delete(digest)
    }
    const holder = (yield* nats.inbox).split(".").at(-1) ?? ""
    const text = new TextDecoder()

    yield* nats.subscribe(heldSubject(holder)).pipe(
      Stream.mapEffect(
        (request) =>
          decode(text.decode(request.data)).pipe(
            Effect.flatMap((asked) =>
              "release" in asked
                ? Effect.sync(() => drop(asked.release))
                : answerPiece(nats, request, bodies.get(asked.digest), asked.offset)
            ),
            // Not described: what nests deep enough cannot be, and the attempt would end the serving of all bodies.
            Effect.catchTag("ParseError", () => answerFailure(nats, request, "it cannot be read")),
            Effect.ignore
          ),
        { concurrency: atATime, unordered: true }
      ),
      Stream.runDrain,
      Effect.retry(Schedule.spaced("1 second")),
      Effect.forkScoped
    )

    return {
      hold: (body) =>
        Effect.sync(() => {
          const digest = sha256(body)
          drop(digest)
          bodies.set(digest, body)
          bytes += body.length
          for (const oldest of bodies.keys()) {
            if (bytes <= maxBytes || oldest === digest) break
            drop(oldest)
          }
          return { holder, digest }
        }),
      forget: ({ digest }) => Effect.sync(() => drop(digest)),
      fetch: ({ digest, holder: theirs }) =>
        fetchBody(nats, heldSubject(theirs), digest, (offset) => encode({ digest, offset })),
      release: ({ digest, holder: theirs }) =>
        Effect.ignore(nats.publish(heldSubject(theirs), encode({ release: digest })))
    }
  })
