/**
 * A search of one project in a collection: the best of each side, with exact scores of both for all of them.
 *
 * Two requests. The first asks for the marker and for both sides' best by the server's own scores, which are summed in
 * float32; the second for those points' vectors and for the marker again, so that whatever was swept, emptied or
 * restored in between is noticed. Scores are then computed here, in float64. A point can only be missed where the
 * server's rounding hides it: so more is asked for until the last point's score lies below the worst wanted one by more
 * than the rounding could account for. Ties are such a case.
 */
import type { Schemas as Qdrant } from "@qdrant/js-client-rest"
import { Effect, Schema } from "effect"
import { scopeKey } from "../../../events/Ids.ts"
import { matches } from "../Filter.ts"
import type { Candidate, EngineError, EngineQuery, Point } from "../Index.ts"
import { denseScore, sparseScore } from "../Scores.ts"
import { type Collection, markerFrom, markerId, type StoredMarker } from "./Collection.ts"
import { mismatch } from "./Connection.ts"
import { narrowing } from "./FilterFields.ts"
import { denseName, Record, sparseName, sparseNumbers, strictly, vectorsAtOnce } from "./PointRecord.ts"

/** Asked for beyond the limit at first, so that a close race at the boundary needs no second question. */
const margin = 16
/** Most points of a first question, whatever the limit; each further one asks for so many times as many. */
const firstMost = 1_024
const widening = 4
/** No weight of a token in a point is beyond: BM25 with k1 = 1.2 stays below 2.2. */
const heaviest = 8
/** Of float32. */
const roundOff = 2 ** -24

const Scored = Schema.Struct({
  id: Schema.Union(Schema.String, Schema.Number),
  score: Schema.Number,
  payload: Record.fields.payload
})
type Scored = typeof Scored.Type

const Batch = <A, I>(member: Schema.Schema<A, I>) =>
  Schema.Array(Schema.Struct({ points: Schema.Array(member) }))

/** The condition that no search and no scan goes without. */
export const visibleIn = (at: number, scope: string | undefined): Array<Qdrant["Condition"]> => [
  ...(scope === undefined ? [] : [{ key: "scope", match: { value: scope } }]),
  { key: "from", range: { lte: at } },
  { key: "until", range: { gt: at } }
]

/** Fails unless the marker allows an answer at `at`. */
export const checkMarker = (
  { name, ref }: Collection,
  marker: StoredMarker | undefined,
  at: number
): Effect.Effect<StoredMarker, EngineError> => {
  if (marker === undefined) return Effect.fail(mismatch("absent", `collection ${name} has no marker.`))
  const { checkpoint, epoch, horizon, logId } = marker
  if (logId !== ref.logId || epoch !== ref.epoch)
    return Effect.fail(
      mismatch(
        "foreign",
        `collection ${name} follows log ${logId} in epoch ${epoch}, not ${ref.logId} in epoch ${ref.epoch}.`
      )
    )
  if (checkpoint < at)
    return Effect.fail(
      mismatch("behind", `collection ${name} is applied up to ${checkpoint}, the query is at ${at}.`)
    )
  if (horizon > at)
    return Effect.fail(
      mismatch("swept", `in collection ${name} what ended up to ${horizon} is swept, the query is at ${at}.`)
    )
  return Effect.succeed(marker)
}

/** One side of a query, as the server is asked for it. */
interface Side {
  readonly request: Qdrant["QueryRequest"]
  /** How far the server's scores may lie from the exact ones. */
  readonly tolerance: number
  asked: number
  /** What passes the filter, best first; `undefined` until it was asked for widely enough. */
  found: ReadonlyArray<Scored> | undefined
}

const markerQuery: Qdrant["QueryRequest"] = {
  filter: { must: [{ has_id: [markerId] }] },
  limit: 1,
  with_payload: true
}

/** Points may be moving at every try; after so many something is wrong with the writer. */
const mostTries = 6

export const search = Effect.fnUntraced(function* (
  collection: Collection,
  query: EngineQuery,
  isExact: boolean
): Effect.fn.Return<ReadonlyArray<Candidate>, EngineError> {
  let before: string | undefined
  for (let tries = 0; tries < mostTries; tries++) {
    const { candidates, isQuiet } = yield* lookOnce(collection, query, isExact)
    const found = candidates.map(({ pointId }) => pointId).join(" ")
    if (isQuiet || found === before) return candidates
    before = found
  }
  return yield* mismatch("behind", `the points of collection ${collection.name} did not come to rest.`)
})

const lookOnce = Effect.fnUntraced(function* (
  collection: Collection,
  query: EngineQuery,
  isExact: boolean
): Effect.fn.Return<
  { readonly candidates: ReadonlyArray<Candidate>; readonly isQuiet: boolean },
  EngineError
> {
  const narrowed = narrowing(query.filter)
  const sides =
    narrowed === undefined || query.limit < 1
      ? []
      : sidesOf(query, narrowed.conditions, narrowed.isWider, isExact)
  // Also where nothing can be found: what may not be answered is refused.
  const first = yield* askSides(collection, query, sides)
  if (sides.length === 0) return { candidates: [], isQuiet: true }
  const wanted = new Set(sides.flatMap((side) => contenders(side, query)))
  const { last, points } = yield* readPoints(collection, query, [...wanted])
  const scored = points.map((point) => ({
    point,
    dense: query.dense === undefined ? undefined : denseScore(query.dense, point.dense),
    sparse: query.sparse === undefined ? undefined : sparseScore(query.sparse, point.sparse)
  }))
  const best = new Set([
    ...top(scored, query.limit, ({ dense }) => dense),
    ...top(scored, query.limit, ({ sparse }) => sparse)
  ])
  const candidates = [...best]
    .sort((one, other) => (one.point.id < other.point.id ? -1 : 1))
    .map(({ dense, point, sparse }) => ({
      pointId: point.id,
      chunkId: point.chunkId,
      documentId: point.documentId,
      from: point.from,
      ...(dense !== undefined && { dense }),
      ...(query.sparse !== undefined && { sparse: sparse ?? 0 })
    }))
  return { candidates, isQuiet: !first.isMoving && !last.isMoving && first.moves === last.moves }
})

const sidesOf = (
  { at, dense, limit, scope, sparse }: EngineQuery,
  conditions: ReadonlyArray<Qdrant["Condition"]>,
  isWider: boolean,
  isExact: boolean
): ReadonlyArray<Side> => {
  const base = {
    filter: { must: [...visibleIn(at, scopeKey(scope)), ...conditions] },
    with_payload: isWider ? ["payload"] : false,
    with_vector: false
  }
  const asked = Math.min(limit + margin, firstMost)
  const side = (request: Qdrant["QueryRequest"], tolerance: number): Side => ({
    request: { ...base, ...request },
    tolerance,
    found: undefined,
    asked
  })
  return [
    ...(dense === undefined
      ? []
      : [
          side(
            { query: Array.from(dense), using: denseName, params: { exact: isExact } },
            roundOff * (dense.length + 2) * Math.hypot(...dense)
          )
        ]),
    ...(sparse === undefined || sparse.ids.length === 0
      ? []
      : [
          side(
            { query: sparseNumbers(sparse), using: sparseName },
            roundOff *
              (sparse.ids.length + 2) *
              heaviest *
              sparse.weights.reduce((sum, one) => sum + Math.abs(one), 0)
          )
        ])
  ]
}

/** Asks for the marker and every side, again and wider where what came is not certain to hold the best. */
const askSides = Effect.fnUntraced(function* (
  collection: Collection,
  query: EngineQuery,
  sides: ReadonlyArray<Side>
): Effect.fn.Return<StoredMarker, EngineError> {
  let earliest: StoredMarker | undefined
  do {
    const open = sides.filter(({ found }) => found === undefined)
    const searches = [markerQuery, ...open.map(({ asked, request }) => ({ ...request, limit: asked }))]
    const [first, ...answers] = yield* collection.ask(
      "POST",
      "/points/query/batch",
      { searches },
      Batch(Scored),
      true
    )
    const marker = yield* checkMarker(collection, markerFrom(first?.points[0]), query.at)
    earliest ??= marker
    for (const [index, side] of open.entries()) {
      const points = answers[index]?.points ?? []
      const passed = yield* passing(points, query)
      if (points.length < side.asked || isCertain(points, passed, side, query)) side.found = passed
      else side.asked *= widening
    }
  } while (sides.some(({ found }) => found === undefined))
  return earliest
})

/** Whether what was not answered lies below the worst wanted one by more than rounding could account for. */
const isCertain = (
  points: ReadonlyArray<Scored>,
  passed: ReadonlyArray<Scored>,
  { tolerance }: Side,
  { limit }: EngineQuery
): boolean => {
  const worst = passed[limit - 1]
  const last = points.at(-1)
  return worst !== undefined && last !== undefined && last.score < worst.score - 2 * tolerance
}

/** Those that may be among the side's best once they are scored exactly. */
const contenders = ({ found = [], tolerance }: Side, { limit }: EngineQuery): ReadonlyArray<Scored["id"]> => {
  const worst = found[limit - 1]
  const floor = worst === undefined ? Number.NEGATIVE_INFINITY : worst.score - 2 * tolerance
  return found.filter(({ score }) => score >= floor).map(({ id }) => id)
}

/** Conditions that Qdrant cannot express are looked at here; where it can, no payload was asked for. */
const passing = (
  points: ReadonlyArray<Scored>,
  { filter }: EngineQuery
): Effect.Effect<ReadonlyArray<Scored>, EngineError> =>
  Effect.filter(points, ({ id, payload }) =>
    payload === undefined || payload === null
      ? Effect.succeed(true)
      : Effect.try({
          try: () => matches(filter, JSON.parse(String(payload["payload"]))),
          catch: () => mismatch("damaged", `the filter payload of point ${id} is not what it should be.`)
        })
  )

/** The points with their vectors, and the marker once more. */
const readPoints = Effect.fnUntraced(function* (
  collection: Collection,
  { at, scope }: EngineQuery,
  ids: ReadonlyArray<Scored["id"]>
): Effect.fn.Return<{ readonly points: ReadonlyArray<Point>; readonly last: StoredMarker }, EngineError> {
  const { dimensions } = collection.ref.spec
  const pageLength = vectorsAtOnce(dimensions)
  const points: Array<Point> = []
  let from = 0
  while (true) {
    const page = ids.slice(from, from + pageLength)
    const searches: ReadonlyArray<Qdrant["QueryRequest"]> = [
      markerQuery,
      ...(page.length === 0
        ? []
        : [
            {
              filter: { must: [{ has_id: [...page] }] },
              limit: page.length,
              with_payload: ["scope", "id", "chunk", "document", "from", "until", "zeros"],
              with_vector: true
            }
          ])
    ]
    const [marker, read] = yield* collection.ask(
      "POST",
      "/points/query/batch",
      { searches },
      Batch(Record),
      true
    )
    const last = yield* checkMarker(collection, markerFrom(marker?.points[0]), at)
    const records = read?.points ?? []
    if (records.length !== page.length)
      return yield* mismatch("damaged", `points of collection ${collection.name} went away under a query.`)
    points.push(...(yield* Effect.forEach(records, (record) => strictly(record, scope, dimensions))))
    from += pageLength
    if (from >= ids.length) return { points, last }
  }
})

const top = <A extends { readonly point: Point }>(
  scored: ReadonlyArray<A>,
  limit: number,
  score: (one: A) => number | undefined
): ReadonlyArray<A> =>
  scored
    .filter((one) => score(one) !== undefined)
    .sort(
      (one, other) =>
        (score(other) ?? 0) - (score(one) ?? 0) || (one.point.chunkId < other.point.chunkId ? -1 : 1)
    )
    .slice(0, limit)
