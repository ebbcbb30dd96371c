/** Programs that search without pause while everything else is killed, and look whether a version is ever torn. */
import { join } from "node:path"
import { Effect, Fiber, Schema, type Scope } from "effect"
import type { NatsConnection } from "nats"
import { scopeKey } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as OpenReading from "../../src/runtime/OpenReading.ts"
import type { Reader } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { type Corpus, type CorpusDocument, tornness } from "./distributedCorpus.ts"
import type { DistributedSystem } from "./distributedSystem.ts"
import type { Random } from "./random.ts"

export interface Seen {
  readonly answers: number
  /** Answers with hits. */
  readonly found: number
  readonly degraded: number
  /** Searches that got no answer. */
  readonly away: number
  readonly faults: ReadonlyArray<string>
}

type Found = {
  readonly hits: ReadonlyArray<{ readonly text: string }>
  readonly indexedPosition: number
  readonly degraded: boolean
}
type Search = (document: CorpusDocument, mode: "sparse" | "hybrid") => Effect.Effect<Found | undefined>

/** Searches until the answer is asked for: each time for the whole of one document, and what a client may not see. */
export const searching = (
  { documents }: Corpus,
  random: Random,
  search: Search
): Effect.Effect<Effect.Effect<Seen>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const seen = { answers: 0, found: 0, degraded: 0, away: 0 }
    const faults: Array<string> = []
    const positions = new Map<string, number>()
    const look = Effect.gen(function* () {
      const document = documents[Math.floor(random() * documents.length)]
      if (document === undefined) return
      const answer = yield* search(document, random() < 0.5 ? "sparse" : "hybrid")
      if (answer === undefined) {
        seen.away++
        return yield* Effect.sleep("100 millis")
      }
      const { degraded, hits, indexedPosition } = answer
      const key = scopeKey(document.scope)
      const before = positions.get(key) ?? 0
      positions.set(key, indexedPosition)
      seen.answers++
      if (hits.length > 0) seen.found++
      if (degraded) seen.degraded++
      const torn = tornness(hits.map(({ text }) => text))
      if (torn !== undefined) faults.push(`${document.externalId} at ${indexedPosition}: ${torn}`)
      if (indexedPosition < before) faults.push(`position ${indexedPosition} after ${before} in ${key}`)
      yield* Effect.sleep("40 millis")
    })
    const fiber = yield* Effect.forkScoped(Effect.forever(look))
    return Effect.map(Fiber.interrupt(fiber), () => ({ ...seen, faults }))
  })

const narrowed = ({ documentId, word }: CorpusDocument) => ({
  query: word,
  limit: 50,
  filter: { documents: [documentId] }
})

const Answer = Schema.Union(
  Schema.Struct({
    hits: Schema.Array(Schema.Struct({ text: Schema.String })),
    indexedPosition: Schema.Int,
    degraded: Schema.Boolean
  }),
  Schema.Struct({ error: Schema.Struct({ code: Schema.Literal("unavailable", "busy") }) })
)
const decodeAnswer = Schema.decodeUnknown(Schema.parseJson(Answer))

/** As a client of the network: away while the server or NATS is, and never half an answer. */
export const overNats =
  (client: NatsConnection): Search =>
  (document, mode) => {
    const { project, team } = document.scope
    const subject = `reprise.request.${team}.${project}.Search`
    const body = JSON.stringify({ ...narrowed(document), mode })
    return Effect.option(Effect.tryPromise(() => client.request(subject, body, { timeout: 5_000 }))).pipe(
      Effect.flatMap((message) =>
        message._tag === "None" || message.value.data.length === 0
          ? Effect.succeed(undefined)
          : Effect.orDie(decodeAnswer(message.value.string()))
      ),
      Effect.map((answer) => (answer !== undefined && "hits" in answer ? answer : undefined))
    )
  }

/** As a process beside the server: no kill of another one is a reason to fail. */
export const besideTheServer =
  ({ search }: typeof Reader.Service): Search =>
  (document, mode) =>
    Effect.orDie(
      search(Schema.decodeUnknownSync(SearchRequest)({ ...narrowed(document), scope: document.scope, mode }))
    )

/** The data directory, read by this process. */
export const reading = ({ data, settings }: DistributedSystem) =>
  OpenReading.layer({
    configuration: {
      settings: Schema.decodeSync(Settings)(settings),
      directory: { path: data, origin: "flag", files: filesIn(data, join) }
    },
    embeds: true
  })
