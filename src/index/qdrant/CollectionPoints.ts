/**
 * The points of a collection: written so that repeating changes nothing, read back as they stand.
 */
import { isDeepStrictEqual } from "node:util"
import type { Schemas as Qdrant } from "@qdrant/js-client-rest"
import { Array as Arr, Chunk, Effect, Option, Schema, Stream } from "effect"
import { type PointId, ProjectName, type ProjectScope, scopeKey, TeamName } from "../../../events/Ids.ts"
import type { FailpointsService } from "../../faults/Failpoints.ts"
import { type EngineError, type EngineGeneration, forever, type Point } from "../Index.ts"
import { type Collection, Completed } from "./Collection.ts"
import { checkMarker, visibleIn } from "./CollectionQuery.ts"
import { mismatch } from "./Connection.ts"
import { filterFields } from "./FilterFields.ts"
import { isOwnId, pointFrom, Record, recordOf, vectorsAtOnce } from "./PointRecord.ts"

type PointRecord = ReturnType<typeof recordOf>
type Ended = Parameters<EngineGeneration["end"]>[0]

/** Bounds of one request: Qdrant takes 32 MiB, and holds what it parses in memory. */
const mostBytes = 4 * 1_048_576
const mostPoints = 2_000
const idsAtOnce = 1_000
/** Points that one answer brings without vectors. */
const payloadPage = 500

const firstOffset: string | number | undefined = undefined

const Page = Schema.Struct({
  points: Schema.Array(Record),
  next_page_offset: Schema.optional(Schema.NullOr(Schema.Union(Schema.String, Schema.Number)))
})

/** A point's id of RFC 9562, or an integer, as Qdrant has them. */
const recordIdOf = (id: string): Qdrant["ExtendedPointId"] | undefined =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id) ? id : /^\d{1,15}$/.test(id) ? Number(id) : undefined

export class CollectionPoints {
  private readonly collection: Collection
  private readonly insertsOnly: boolean
  private readonly failpoints: FailpointsService
  /** Points with vectors that one answer brings. */
  private readonly vectorPage: number

  constructor(collection: Collection, insertsOnly: boolean, failpoints: FailpointsService) {
    this.collection = collection
    this.insertsOnly = insertsOnly
    this.failpoints = failpoints
    this.vectorPage = vectorsAtOnce(collection.ref.spec.dimensions)
  }

  /**
   * One process writes, so what is not there when it is looked up is not there when it is written. A newer server is
   * told as well to leave alone what is: a late write of a dead process then changes nothing (FOLD.md, rule 9).
   */
  insert(points: ReadonlyArray<Point>): Effect.Effect<void, EngineError> {
    const records = new Map<string, PointRecord>()
    for (const point of points) {
      const record = recordOf(point)
      if (!records.has(record.id)) records.set(record.id, record)
    }
    return Effect.forEach(batches([...records.values()]), (batch) => this.insertBatch(batch), {
      discard: true
    })
  }

  private insertBatch(batch: ReadonlyArray<PointRecord>): Effect.Effect<void, EngineError> {
    return Effect.gen(this, function* () {
      const present = yield* this.collection.ask(
        "POST",
        "/points",
        { ids: batch.map(({ id }) => id), with_payload: ["scope", "id", "chunk"], with_vector: false },
        Schema.Array(Record)
      )
      const known = new Set(present.filter(isOwnId).map(({ id }) => id))
      // What stands there under another's id is damage, and gives way.
      const damaged = new Set(present.map(({ id }) => id).filter((id) => !known.has(id)))
      const added = batch.filter(({ id }) => !known.has(id) && !damaged.has(id))
      const replaced = batch.filter(({ id }) => damaged.has(id))
      this.failpoints.hit("index.row")
      if (added.length > 0)
        yield* this.put({ points: added, ...(this.insertsOnly && { update_mode: "insert_only" }) })
      if (replaced.length > 0) yield* this.put({ points: replaced })
    })
  }

  put(body: Qdrant["PointsList"]): Effect.Effect<void, EngineError> {
    return Effect.asVoid(this.collection.ask("PUT", "/points?wait=true", body, Completed))
  }

  end(ended: Ended): Effect.Effect<void, EngineError> {
    const groups = Arr.groupBy(ended, ({ scope, until }) => `${until} ${scopeKey(scope)}`)
    return this.update(
      Object.values(groups)
        .flatMap((group) => Arr.chunksOf(group, idsAtOnce))
        .map((slice) => ({
          set_payload: {
            payload: { until: slice[0].until },
            filter: {
              must: ofPoints(
                slice[0].scope,
                slice.map(({ id }) => id)
              )
            }
          }
        }))
    )
  }

  rewind(position: number): Effect.Effect<void, EngineError> {
    return this.update([
      { delete: { filter: { must: [{ key: "from", range: { gt: position } }] } } },
      {
        set_payload: {
          payload: { until: forever },
          filter: { must: [{ key: "until", range: { gt: position, lt: forever } }] }
        }
      }
    ])
  }

  sweep(horizon: number): Effect.Effect<void, EngineError> {
    return this.update([{ delete: { filter: { must: [{ key: "until", range: { lte: horizon } }] } } }])
  }

  /** By their own ids, and by what Qdrant calls them: what does not stand under its own id is known by that. */
  remove(scope: ProjectScope, ids: ReadonlyArray<PointId>): Effect.Effect<void, EngineError> {
    return this.update(
      Arr.chunksOf(ids, idsAtOnce).flatMap((slice) => {
        const records = slice.flatMap((id) => recordIdOf(id) ?? [])
        return [
          { delete: { filter: { must: ofPoints(scope, slice) } } },
          ...(records.length === 0
            ? []
            : [{ delete: { filter: { must: [...ofScope(scope), { has_id: records }] } } }])
        ]
      })
    )
  }

  lookup(scope: ProjectScope, ids: ReadonlyArray<PointId>): Effect.Effect<ReadonlyArray<Point>, EngineError> {
    return Effect.map(
      Effect.forEach(Arr.chunksOf(ids, this.vectorPage), (slice) =>
        this.page({ filter: { must: ofPoints(scope, slice) }, limit: slice.length + 1, with_vector: true })
      ),
      (pages) => pages.flatMap(({ points }) => points.map(pointFrom))
    )
  }

  scan(at: number, scope: ProjectScope): Stream.Stream<Point, EngineError> {
    return Stream.map(this.visible(at, scopeKey(scope), this.vectorPage, true), pointFrom)
  }

  /** In order of team and project; one request a project. */
  projects(at: number): Stream.Stream<ProjectScope, EngineError> {
    const seen: Array<string> = []
    const next = Effect.map(
      Effect.suspend(() =>
        this.page({
          filter: {
            must: visibleIn(at, undefined),
            ...(seen.length > 0 && { must_not: [{ key: "scope", match: { any: [...seen] } }] })
          },
          limit: 1,
          with_payload: ["scope"],
          with_vector: false
        })
      ),
      ({ points }) => points[0]?.payload?.["scope"]
    )
    const { name } = this.collection
    const all = Effect.gen(function* () {
      for (let scope = yield* next; typeof scope === "string"; scope = yield* next) {
        if (seen.includes(scope))
          return yield* mismatch("damaged", `collection ${name} answers a project that was left out.`)
        seen.push(scope)
      }
      return [...seen].sort()
    })
    return Stream.fromIterableEffect(Effect.zipRight(this.checked(at), all)).pipe(
      Stream.map((scope) => {
        const [team = "", project = ""] = scope.split("/")
        const unchecked = { disableValidation: true }
        return { team: TeamName.make(team, unchecked), project: ProjectName.make(project, unchecked) }
      })
    )
  }

  /** The fields that filters go by, derived anew from the payload and compared. */
  checkDerived(at: number): ReturnType<EngineGeneration["checkDerived"]> {
    return this.visible(at, undefined, payloadPage, false).pipe(
      Stream.filter((record) => !isDerived(record)),
      Stream.map((record) => {
        const { id, scope } = pointFrom(record)
        return { scope, id, what: "filter fields changed" }
      }),
      Stream.runCollect,
      Effect.map((found) => [...found])
    )
  }

  /** In order of id, a page at a time; the marker is asked before, between and after. */
  private visible(
    at: number,
    scope: string | undefined,
    limit: number,
    with_vector: boolean
  ): Stream.Stream<Record, EngineError> {
    const filter = { must: visibleIn(at, scope) }
    const pages = Stream.paginateChunkEffect(firstOffset, (offset) =>
      Effect.map(
        Effect.zipLeft(
          this.page({
            filter,
            limit,
            with_payload: true,
            with_vector,
            ...(offset !== undefined && { offset })
          }),
          this.checked(at)
        ),
        ({ next_page_offset, points }) =>
          [Chunk.unsafeFromArray([...points]), Option.fromNullable(next_page_offset)] as const
      )
    )
    return Stream.unwrap(Effect.as(this.checked(at), pages))
  }

  private checked(at: number): Effect.Effect<void, EngineError> {
    return Effect.flatMap(this.collection.marker, (marker) => checkMarker(this.collection, marker, at))
  }

  private page(body: Qdrant["ScrollRequest"]): Effect.Effect<typeof Page.Type, EngineError> {
    return this.collection.ask("POST", "/points/scroll", body, Page)
  }

  /** Operations one after another, each complete before the next. */
  private update(operations: ReadonlyArray<Qdrant["UpdateOperation"]>): Effect.Effect<void, EngineError> {
    return operations.length === 0
      ? Effect.void
      : Effect.asVoid(
          this.collection.ask("POST", "/points/batch?wait=true", { operations }, Schema.Array(Completed))
        )
  }
}

const ofScope = (scope: ProjectScope): Array<Qdrant["Condition"]> => [
  { key: "scope", match: { value: scopeKey(scope) } }
]

const ofPoints = (scope: ProjectScope, ids: ReadonlyArray<PointId>): Array<Qdrant["Condition"]> => [
  ...ofScope(scope),
  { key: "id", match: { any: [...ids] } }
]

const isDerived = ({ payload }: Record): boolean => {
  try {
    return isDeepStrictEqual(filterFields(String(payload?.["payload"])), payload?.["filter"])
  } catch {
    return false
  }
}

/** Requests of bounded size: at least one record each. */
const batches = (records: ReadonlyArray<PointRecord>): ReadonlyArray<ReadonlyArray<PointRecord>> => {
  const all: Array<Array<PointRecord>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const record of records) {
    const size = Buffer.byteLength(JSON.stringify(record)) + 1
    if (bytes + size > mostBytes || (all.at(-1)?.length ?? 0) >= mostPoints) {
      all.push([])
      bytes = 0
    }
    all.at(-1)?.push(record)
    bytes += size
  }
  return all
}
