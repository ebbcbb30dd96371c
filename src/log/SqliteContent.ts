/**
 * Content on SQLite, for Effect code: keyed reads on a read-only connection, checked against their digests.
 */
import { Effect, Layer } from "effect"
import { type CodeFingerprint, Digest, type ProjectScope } from "../../events/Ids.ts"
import { Content } from "./Content.ts"
import { LogFailed } from "./Log.ts"
import { ContentReadConnection, reading } from "./ReadConnections.ts"
import { type BlobRow, unpackBlob, unpackVector, type VectorRow } from "./StoredContent.ts"

/** Keys of one statement: it reads at most so many rows before the thread is free again. */
const batch = 256

export const layer: Layer.Layer<Content, never, ContentReadConnection> = Layer.effect(
  Content,
  Effect.map(ContentReadConnection, (sql) => {
    const projectOf = ({ project, team }: ProjectScope) =>
      sql`(SELECT id FROM projects WHERE team = ${team} AND project = ${project})`
    const modelOf = (model: CodeFingerprint) => sql`(SELECT id FROM models WHERE model = ${model})`

    return Content.of({
      blob: (scope, digest) =>
        reading(sql<BlobRow>`
          SELECT encoding, size, bytes FROM blobs
          WHERE project = ${projectOf(scope)} AND digest = ${Buffer.from(digest, "hex")}`).pipe(
          Effect.flatMap(([row]) =>
            row === undefined ? Effect.succeed(undefined) : unpacking(() => unpackBlob(digest, row))
          )
        ),

      hasBlobs: (scope, digests) =>
        Effect.map(
          inBatches(digests, (keys) =>
            reading(sql<{ readonly digest: string }>`
              SELECT lower(hex(digest)) AS digest FROM blobs
              WHERE project = ${projectOf(scope)}
                AND digest IN (SELECT unhex(value) FROM json_each(${JSON.stringify(keys)}))`)
          ),
          (rows) => new Set(rows.map(({ digest }) => trusted(digest)))
        ),

      vectorDigests: (scope, model, inputs) =>
        Effect.map(
          inBatches(inputs, (keys) =>
            reading(sql<{ readonly input: string; readonly digest: string }>`
              SELECT lower(hex(input)) AS input, lower(hex(digest)) AS digest FROM vectors
              WHERE project = ${projectOf(scope)} AND model = ${modelOf(model)}
                AND input IN (SELECT unhex(value) FROM json_each(${JSON.stringify(keys)}))`)
          ),
          (rows) => new Map(rows.map(({ digest, input }) => [trusted(input), trusted(digest)]))
        ),

      vectors: (scope, model, inputs) =>
        Effect.gen(function* () {
          const rows = yield* inBatches(inputs, (keys) =>
            reading(sql<VectorRow & { readonly input: string }>`
              SELECT lower(hex(input)) AS input, digest, vector FROM vectors
              WHERE project = ${projectOf(scope)} AND model = ${modelOf(model)}
                AND input IN (SELECT unhex(value) FROM json_each(${JSON.stringify(keys)}))`)
          )
          return yield* unpacking(() => {
            const vectors = new Map(rows.map((row) => [row.input, unpackVector(row.input, row)]))
            return inputs.map((input) => vectors.get(input))
          })
        })
    })
  })
)

const inBatches = <Row>(
  keys: ReadonlyArray<Digest>,
  select: (keys: ReadonlyArray<Digest>) => Effect.Effect<ReadonlyArray<Row>, LogFailed>
): Effect.Effect<ReadonlyArray<Row>, LogFailed> =>
  Effect.gen(function* () {
    const rows: Array<Row> = []
    for (let at = 0; at < keys.length; at += batch) {
      if (at > 0) yield* Effect.yieldNow()
      rows.push(...(yield* select(keys.slice(at, at + batch))))
    }
    return rows
  })

const unpacking = <A>(unpack: () => A): Effect.Effect<A, LogFailed> =>
  Effect.try({ try: unpack, catch: (cause) => new LogFailed({ operation: "read content", cause }) })

/** Hex that SQLite just wrote. */
const trusted = (digest: string): Digest => Digest.make(digest, { disableValidation: true })
