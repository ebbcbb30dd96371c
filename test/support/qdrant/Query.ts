/** Reading a collection: queries with prefetches, and scrolling. */
import type { Collection, StoredPoint } from "./Collection.ts"
import {
  canonicalId,
  compareIds,
  type Filter,
  type Json,
  notDone,
  type PayloadSelector,
  Refusal,
  selectPayload
} from "./Payload.ts"
import { checkReading } from "./StrictMode.ts"
import type { PointId } from "./Upsert.ts"
import {
  denseScore,
  denseVector,
  isDenseInput,
  isNearer,
  isSparse,
  isSparseInput,
  reciprocalRank,
  sparseScore,
  sparseVector,
  type Vector,
  withIdf,
  written,
  writtenVector
} from "./Vectors.ts"

export type VectorSelector = boolean | ReadonlyArray<string> | null | undefined

export interface Prefetch {
  readonly prefetch?: Prefetch | ReadonlyArray<Prefetch> | null
  readonly query?: unknown
  readonly using?: string | null
  readonly filter?: Filter | null
  readonly params?: { readonly exact?: boolean; readonly indexed_only?: boolean } | null
  readonly score_threshold?: number | null
  readonly limit?: number | null
  readonly lookup_from?: object | null
  readonly offset?: number | null
}
export interface QueryRequest extends Prefetch {
  readonly with_payload?: PayloadSelector
  readonly with_vector?: VectorSelector
}
export interface ScrollRequest {
  readonly offset?: PointId | null
  readonly limit?: number | null
  readonly filter?: Filter | null
  readonly with_payload?: PayloadSelector
  readonly with_vector?: VectorSelector
  readonly order_by?: unknown
}

const usualLimit = 10

interface Scored {
  readonly point: StoredPoint
  readonly score: number
}

export const query = (collection: Collection, request: QueryRequest): Json => {
  const found = evaluate(collection, request, [])
  return {
    points: found.map(({ point, score }) => ({
      id: point.id,
      version: point.version,
      score: written(score),
      ...selected(point, request.with_payload, false, request.with_vector)
    }))
  }
}

/** The filter of a query holds for its prefetches too (`lib/shard/src/query/planned_query.rs`). */
const evaluate = (
  collection: Collection,
  request: Prefetch,
  above: ReadonlyArray<Filter>
): ReadonlyArray<Scored> => {
  const { filter, offset, params, score_threshold: threshold } = request
  const limit = request.limit ?? usualLimit
  const filters = filter == null ? above : [...above, filter]
  const asked = readQuery(request.query)
  const prefetches = many(request.prefetch)
  checkReading(collection, filter, limit, params?.exact)
  if (request.lookup_from != null) throw notDone("lookup_from")
  if (params?.indexed_only === true) throw notDone("searches that leave out what is not indexed")
  if (prefetches.length > 0 && asked === undefined)
    throw new Refusal(
      400,
      "Bad request: A query is needed to merge the prefetches. Can't have prefetches without defining a query."
    )
  if (threshold != null && asked === undefined)
    throw new Refusal(
      400,
      "Bad request: A query is needed to use the score_threshold. Can't have score_threshold without defining a query."
    )
  const page = (all: ReadonlyArray<Scored>) => all.slice(offset ?? 0, (offset ?? 0) + limit)

  if (asked?.kind === "fusion") {
    if (request.using != null && request.using !== "")
      throw new Refusal(400, "Bad request: Fusion queries cannot be combined with the 'using' field.")
    if (prefetches.length === 0)
      throw new Refusal(400, "Wrong input: Validation failed: cannot apply Fusion without prefetches")
    const sources = prefetches.map((one) => evaluate(collection, one, filters))
    return page(fuse(sources, asked).filter(({ score }) => threshold == null || score >= threshold))
  }
  const candidates =
    prefetches.length === 0
      ? collection.found(...filters)
      : union(prefetches.map((one) => evaluate(collection, one, filters)))
  if (asked === undefined) return page(candidates.map((point) => ({ point, score: 1 })))
  return page(nearest(collection, asked, request.using ?? "", candidates, threshold))
}

const union = (sources: ReadonlyArray<ReadonlyArray<Scored>>): ReadonlyArray<StoredPoint> =>
  Array.from(new Map(sources.flat().map(({ point }) => [point.id, point])).values())

type Asked =
  | { readonly kind: "vector"; readonly input: unknown }
  | { readonly kind: "point"; readonly id: PointId }
  | { readonly kind: "fusion"; readonly k: number; readonly weights: ReadonlyArray<number> | undefined }

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const readQuery = (asked: unknown): Asked | undefined => {
  if (asked === undefined || asked === null) return undefined
  if (typeof asked === "number" || typeof asked === "string") return { kind: "point", id: canonicalId(asked) }
  if (Array.isArray(asked) || isSparseInput(asked)) return { kind: "vector", input: asked }
  if (!isObject(asked)) throw notDone("this query")
  if ("nearest" in asked) {
    if (asked["mmr"] != null) throw notDone("maximal marginal relevance")
    return readQuery(asked["nearest"])
  }
  if (asked["fusion"] === "rrf") return { kind: "fusion", k: 2, weights: undefined }
  const rrf = asked["rrf"]
  if (isObject(rrf)) {
    const weights = rrf["weights"]
    return {
      kind: "fusion",
      k: typeof rrf["k"] === "number" ? rrf["k"] : 2,
      weights: isDenseInput(weights) ? weights : undefined
    }
  }
  throw notDone(`queries by ${Object.keys(asked).join(", ")}`)
}

/** Of equal scores the greater id comes first: the real server promises no order. */
const best = (all: ReadonlyArray<Scored>, nearer: (a: number, b: number) => boolean): ReadonlyArray<Scored> =>
  all.toSorted((a, b) =>
    a.score === b.score ? compareIds(b.point.id, a.point.id) : nearer(a.score, b.score) ? -1 : 1
  )

const fuse = (
  sources: ReadonlyArray<ReadonlyArray<Scored>>,
  { k, weights }: Extract<Asked, { kind: "fusion" }>
): ReadonlyArray<Scored> => {
  if (weights !== undefined && weights.length !== sources.length)
    throw new Refusal(
      400,
      `Wrong input: Validation failed: RRF weights length (${weights.length}) does not match number of prefetches (${sources.length})`
    )
  const fused = new Map<PointId, Scored>()
  sources.forEach((source, at) => {
    source.forEach(({ point }, rank) => {
      const more = reciprocalRank(rank, k, weights?.[at] ?? 1)
      fused.set(point.id, { point, score: Math.fround((fused.get(point.id)?.score ?? 0) + more) })
    })
  })
  return best(Array.from(fused.values()), (a, b) => a > b)
}

const nearest = (
  collection: Collection,
  asked: Extract<Asked, { kind: "vector" | "point" }>,
  using: string,
  candidates: ReadonlyArray<StoredPoint>,
  threshold: number | null | undefined
): ReadonlyArray<Scored> => {
  const sparse = collection.sparse.get(using)
  const dense = collection.dense.get(using)
  if (sparse === undefined && dense === undefined)
    throw new Refusal(400, `Wrong input: Not existing vector name error: ${using}`)
  const others = asked.kind === "point" ? candidates.filter(({ id }) => id !== asked.id) : candidates
  const wanted = asked.kind === "point" ? vectorOf(collection, asked.id, using) : undefined
  if (dense !== undefined) {
    const vector =
      wanted ??
      (asked.kind === "vector" && isDenseInput(asked.input) ? denseVector(asked.input, dense) : undefined)
    if (vector === undefined || isSparse(vector))
      throw new Refusal(400, "Wrong input: Conversion between sparse and regular vectors failed")
    const nearer = (a: number, b: number) => isNearer(dense.distance, a, b)
    const scored = others.flatMap((point) => {
      const stored = point.vectors.get(using)
      if (stored === undefined || isSparse(stored)) return []
      const score = denseScore(dense.distance, vector, stored)
      return threshold != null && !nearer(score, threshold) ? [] : [{ point, score }]
    })
    return best(scored, nearer)
  }
  const vector =
    wanted ?? (asked.kind === "vector" && isSparseInput(asked.input) ? sparseVector(asked.input) : undefined)
  if (vector === undefined || !isSparse(vector))
    throw new Refusal(400, "Wrong input: Conversion between sparse and regular vectors failed")
  const all = [...collection.points.values()].map((point) => point.vectors.get(using))
  const weighted =
    sparse?.modifier === "idf"
      ? withIdf(
          vector,
          all.filter((one) => one !== undefined).length,
          (index) =>
            all.filter((one) => one !== undefined && isSparse(one) && one.indices.includes(index)).length
        )
      : vector
  const scored = others.flatMap((point) => {
    const stored = point.vectors.get(using)
    if (stored === undefined || !isSparse(stored)) return []
    const score = sparseScore(weighted, stored)
    return score === undefined || (threshold != null && score <= threshold) ? [] : [{ point, score }]
  })
  return best(scored, (a, b) => a > b)
}

const vectorOf = (collection: Collection, id: PointId, using: string): Vector => {
  const point = collection.points.get(id)
  if (point === undefined) throw new Refusal(404, `Not found: No point with id ${id} found`)
  const vector = point.vectors.get(using)
  if (vector === undefined)
    throw new Refusal(400, `Wrong input: Vectors are not available for point with id ${id}`)
  return vector
}

const isMany = (of: Prefetch | ReadonlyArray<Prefetch>): of is ReadonlyArray<Prefetch> => Array.isArray(of)
export const many = (of: Prefetch | ReadonlyArray<Prefetch> | null | undefined): ReadonlyArray<Prefetch> =>
  of == null ? [] : isMany(of) ? of : [of]

// Points as they are answered

const selected = (
  point: StoredPoint,
  withPayload: PayloadSelector,
  payloadUnlessSaid: boolean,
  withVector: VectorSelector
): { readonly [key: string]: Json } => {
  const payload = selectPayload(point.payload, withPayload, payloadUnlessSaid)
  const names = withVector === true ? point.vectorNames : withVector ? withVector : undefined
  const answer: Record<string, Json> = {}
  if (payload !== null) answer["payload"] = payload
  if (names === undefined) return answer
  const unnamed = point.vectors.get("")
  if (unnamed !== undefined && withVector === true && point.vectors.size === 1)
    return { ...answer, vector: json(unnamed) }
  const vectors: Record<string, Json> = {}
  for (const name of names) {
    const vector = point.vectors.get(name)
    if (vector !== undefined) vectors[name] = json(vector)
  }
  return { ...answer, vector: vectors }
}

const json = (vector: Vector): Json => {
  const input = writtenVector(vector)
  return isSparseInput(input) ? { indices: input.indices, values: input.values } : input
}

export const record = (
  collection: Collection,
  point: StoredPoint,
  withPayload: PayloadSelector,
  withVector: VectorSelector
): Json => {
  if (Array.isArray(withVector))
    for (const name of withVector)
      if (!collection.dense.has(name) && !collection.sparse.has(name))
        throw new Refusal(400, `Wrong input: Not existing vector name error: ${name}`)
  return { id: point.id, ...selected(point, withPayload, true, withVector) }
}

/** Points from `offset` on in the order of their ids, and the first of the next page. */
export const scroll = (collection: Collection, request: ScrollRequest): Json => {
  if (request.order_by != null) throw notDone("order_by")
  const limit = request.limit ?? usualLimit
  checkReading(collection, request.filter, request.limit ?? undefined)
  const from = request.offset == null ? undefined : canonicalId(request.offset)
  const after = collection
    .found(request.filter)
    .filter(({ id }) => from === undefined || compareIds(id, from) >= 0)
  return {
    points: after
      .slice(0, limit)
      .map((point) => record(collection, point, request.with_payload, request.with_vector)),
    next_page_offset: after[limit]?.id ?? null
  }
}
