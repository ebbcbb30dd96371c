/** Asks a Qdrant server through Qdrant's own client, and tells what it refuses. */
import { randomUUID } from "node:crypto"
import { it } from "@effect/vitest"
import { QdrantClient } from "@qdrant/js-client-rest"
import { Effect, Schema, type Scope } from "effect"

export const client = (url: string, options: { readonly apiKey?: string } = {}) =>
  new QdrantClient({ url, checkCompatibility: false, timeout: 20_000, ...options })

export const ask = <A>(call: () => Promise<A>): Effect.Effect<A> => Effect.promise(call)

const Refused = Schema.Struct({
  status: Schema.Number,
  data: Schema.Struct({ status: Schema.Struct({ error: Schema.String }) })
})

/** Status and words of an answer that is no good one. */
export const refusal = (call: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: call, catch: (error) => error })).pipe(
    Effect.flatMap(Schema.decodeUnknown(Refused)),
    Effect.map(({ data, status }) => ({ status, error: data.status.error })),
    Effect.orDie
  )
export const statusOf = (call: () => Promise<unknown>) => Effect.map(refusal(call), ({ status }) => status)

/** What the client throws where it got no answer, or one with a status. */
export const failure = (call: () => Promise<unknown>) =>
  Effect.flip(Effect.tryPromise({ try: call, catch: (error) => error })).pipe(
    Effect.map((error) => (error instanceof Error ? error : new Error(String(error)))),
    Effect.orDie
  )

export const vectors = {
  vectors: { dense: { size: 3, distance: "Dot" } },
  sparse_vectors: { bm25: {} }
} as const

export const uuid = (end: number) => `00000000-0000-4000-8000-${String(end).padStart(12, "0")}`

export interface Under {
  readonly qdrant: QdrantClient
  /** An empty collection with a dense and a sparse vector. */
  readonly name: string
}
export type Start = Effect.Effect<QdrantClient, never, Scope.Scope>

const withCollection = (start: Start): Effect.Effect<Under, never, Scope.Scope> =>
  Effect.gen(function* () {
    const qdrant = yield* start
    const name = `reprise-test-${randomUUID()}`
    yield* Effect.acquireRelease(
      ask(() => qdrant.createCollection(name, vectors)),
      () => Effect.ignore(ask(() => qdrant.deleteCollection(name)))
    )
    return { qdrant, name }
  })

/** A test on a collection of its own. */
export const specifyOn =
  (start: Start) =>
  (what: string, test: (under: Under) => Effect.Effect<void>): void =>
    it.scopedLive(what, () => Effect.flatMap(withCollection(start), test))

/** A test of what servers of 1.`minor` and later have: older ones ignore it, silently. */
export const specifySince =
  (start: Start) =>
  (minor: number, what: string, test: (under: Under) => Effect.Effect<void>): void =>
    specifyOn(start)(`${what} (1.${minor} and later)`, (under) =>
      Effect.flatMap(
        ask(() => under.qdrant.versionInfo()),
        ({ version }) => (Number(version.split(".")[1]) >= minor ? test(under) : Effect.void)
      )
    )
