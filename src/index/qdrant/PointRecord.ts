/**
 * A point as Qdrant holds it, and back.
 *
 * The record's id begins with the first 8 bytes of the chunk's id, so that Qdrant's own order of ids is the order of
 * chunk ids and a scan needs no memory. Vectors are JSON numbers: a 32-bit float comes back as the bits that went in.
 *
 * Reading is total: whatever stands in the collection comes back as a point, so that a verification can name what is
 * wrong with it. Queries are strict instead: {@link strictly}.
 */
import { createHash } from "node:crypto"
import type { Schemas as Qdrant } from "@qdrant/js-client-rest"
import { Effect, Schema } from "effect"
import {
  ChunkId,
  DocumentId,
  PointId,
  ProjectName,
  type ProjectScope,
  scopeKey,
  TeamName
} from "../../../events/Ids.ts"
import type { EngineMismatch, Point, SparseVector } from "../Index.ts"
import { mismatch } from "./Connection.ts"
import { type FilterFields, filterFields } from "./FilterFields.ts"

export const denseName = "dense"
export const sparseName = "bm25"

/** A number of a vector as the server writes it, with its comma. */
const bytesPerNumber = 20
/** Of vectors in one answer; what else stands in it is as long as the documents' metadata. */
const mostVectorBytes = 8 * 1_048_576
const mostVectors = 512

/** Points whose vectors one request may ask for. */
export const vectorsAtOnce = (dimensions: number): number =>
  Math.max(1, Math.min(mostVectors, Math.floor(mostVectorBytes / (dimensions * bytesPerNumber))))

/** What the payload of a point's record says. */
export interface PointPayload {
  /** `team/project`. */
  readonly scope: string
  readonly id: string
  readonly chunk: string
  readonly document: string
  readonly from: number
  readonly until: number
  /** Canonical JSON, byte for byte. */
  readonly payload: string
  /** Derived from `payload`, for Qdrant's indexes. */
  readonly filter: FilterFields
  /** Tokens whose weight is 0: see {@link almostZero}. */
  readonly zeros?: ReadonlyArray<number>
}

/**
 * Qdrant's sparse index never answers a score of exactly 0, so a weight of 0 is stored as this, and named in `zeros`.
 * BM25 gives no weight of 0; the port does not forbid one.
 */
const almostZero = Math.fround(1e-30)

/** What Qdrant answers for a point. */
export const Record = Schema.Struct({
  id: Schema.Union(Schema.String, Schema.Number),
  payload: Schema.optional(Schema.NullOr(Schema.Record({ key: Schema.String, value: Schema.Unknown }))),
  vector: Schema.optional(Schema.Unknown)
})
export type Record = typeof Record.Type

/** Never a version of RFC 9562 that somebody else's generator makes: it is our own arrangement (version 8). */
export const recordId = (scope: string, chunk: string, point: string): string => {
  const hash = createHash("sha256").update(`${scope} ${point}`).digest("hex")
  return `${chunk.slice(0, 14)}8${chunk.slice(15, 18)}-8${hash.slice(0, 3)}-${hash.slice(3, 15)}`
}

export const recordOf = (point: Point): Qdrant["PointStruct"] & { readonly id: string } => {
  const scope = scopeKey(point.scope)
  const zeros = [...point.sparse.ids].filter((_, at) => point.sparse.weights[at] === 0)
  const payload: PointPayload = {
    scope,
    id: point.id,
    chunk: point.chunkId,
    document: point.documentId,
    from: point.from,
    until: point.until,
    payload: point.payload,
    filter: filterFields(point.payload),
    ...(zeros.length > 0 && { zeros })
  }
  return {
    id: recordId(scope, point.chunkId, point.id),
    payload: { ...payload },
    vector: {
      [denseName]: Array.from(point.dense),
      ...(point.sparse.ids.length > 0 && { [sparseName]: sparseNumbers(point.sparse) })
    }
  }
}

/** As Qdrant takes a sparse vector: of a point, or of a query. */
export const sparseNumbers = ({ ids, weights }: SparseVector): Qdrant["SparseVector"] => ({
  indices: Array.from(ids),
  values: Array.from(weights, (weight) => (weight === 0 ? almostZero : weight))
})

export const pointFrom = (record: Record): Point => {
  const { chunk, document, from, id, payload, scope, until, zeros } = record.payload ?? {}
  const [team = "", project = ""] = text(scope).split("/")
  const unchecked = { disableValidation: true }
  const vectors = record.vector
  return {
    // A record that stands under another id than its own is known by what Qdrant calls it.
    id: PointId.make(isOwnId(record) ? text(id) : String(record.id), unchecked),
    scope: { team: TeamName.make(team, unchecked), project: ProjectName.make(project, unchecked) },
    chunkId: ChunkId.make(text(chunk), unchecked),
    documentId: DocumentId.make(text(document), unchecked),
    payload: text(payload),
    dense: denseFrom(vectors),
    sparse: sparseFrom(vectors, new Set(Array.isArray(zeros) ? zeros : [])),
    from: number(from),
    until: number(until)
  }
}

/** Whether a record stands under the id that its payload gives it. */
export const isOwnId = ({ id, payload }: Record): boolean =>
  id === recordId(text(payload?.["scope"]), text(payload?.["chunk"]), text(payload?.["id"]))

/** The point of a record for a score: one that cannot be scored is damage. */
export const strictly = (
  record: Record,
  scope: ProjectScope,
  dimensions: number
): Effect.Effect<Point, EngineMismatch> => {
  const point = pointFrom(record)
  const damaged = (what: string) => mismatch("damaged", `point ${record.id} ${what}.`)
  if (!isOwnId(record) || text(record.payload?.["scope"]) !== scopeKey(scope))
    return damaged("does not stand under its own id")
  if (point.dense.length !== dimensions || !point.dense.every(Number.isFinite))
    return damaged(`has no vector of ${dimensions} numbers`)
  if (!point.sparse.weights.every(Number.isFinite)) return damaged("has a sparse weight that is no number")
  return Effect.succeed(point)
}

const text = (value: unknown): string => (typeof value === "string" ? value : "")
const number = (value: unknown): number => (typeof value === "number" ? value : Number.NaN)

const isFields = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null

const denseFrom = (vectors: unknown): Float32Array => {
  const dense = isFields(vectors) ? vectors[denseName] : undefined
  return Float32Array.from(Array.isArray(dense) ? dense : [], Number)
}

const sparseFrom = (vectors: unknown, zeros: ReadonlySet<unknown>): SparseVector => {
  const sparse = isFields(vectors) ? vectors[sparseName] : undefined
  const { indices, values } = isFields(sparse) ? sparse : { indices: [], values: [] }
  const weights: ReadonlyArray<unknown> = Array.isArray(values) ? values : []
  const pairs = (Array.isArray(indices) ? indices : [])
    .map((index, at) => [Number(index), Number(weights[at])] as const)
    .sort(([one], [other]) => one - other)
  return {
    ids: Uint32Array.from(pairs, ([id]) => id),
    weights: Float32Array.from(pairs, ([id, weight]) => (zeros.has(id) ? 0 : weight))
  }
}
