/**
 * One collection per generation: what it is called, how it is made, and whether what is there is ours.
 *
 * Two reserved points without vectors stand beside the chunks: the *identity*, written last when a collection is made,
 * and the *marker*. A collection that is not exactly what this generation needs is never written to; one that this log
 * did not make is not even deleted.
 */
import type { Schemas as Qdrant } from "@qdrant/js-client-rest"
import { Effect, Option, Schema } from "effect"
import { canonicalJson } from "../../../events/Canonical.ts"
import { GenerationId, uuidV5 } from "../../../events/Ids.ts"
import type { EngineError, GenerationRef } from "../Index.ts"
import { type Connection, mismatch, type Request } from "./Connection.ts"
import { denseName, Record, sparseName } from "./PointRecord.ts"

/** How collections are made. */
export interface CollectionSettings {
  /** Without it the server decides. */
  readonly shards?: number | undefined
  readonly replicas?: number | undefined
  /** Dense searches compare every vector in scope; no graph is built. */
  readonly exact: boolean
}

/** Rises with every change of what a collection holds: an older one is not written to, and is built anew. */
const formatVersion = 1

/** The epoch is part of the name: what a process of an older epoch still writes lands elsewhere. */
export const collectionName = ({ epoch, generation, logId }: GenerationRef): string =>
  `reprise-${logId}__${generation}-e${epoch}`

/** Follows the live generation, for other clients. Nothing here reads through it. */
export const aliasName = ({ logId }: Pick<GenerationRef, "logId">): string => `reprise-${logId}`

const reserved = "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a07"
export const markerId = uuidV5(reserved, ["marker"])
const identityId = uuidV5(reserved, ["identity"])

const integerRange = { type: "integer", lookup: false, range: true } as const
const indexes: Readonly<globalThis.Record<string, Qdrant["PayloadFieldSchema"]>> = {
  scope: { type: "keyword", is_tenant: true },
  id: "uuid",
  from: integerRange,
  until: integerRange,
  "filter.source": "keyword",
  "filter.document": "keyword",
  "filter.facts": "keyword",
  "filter.numbers[].key": "keyword",
  "filter.numbers[].value": "float",
  "filter.words[].key": "keyword",
  "filter.words[].prefix": integerRange
}

const Ok = Schema.Literal(true)

/** What a write answers. Anything but `completed` may still be on its way. */
export const Completed = Schema.Struct({ status: Schema.Literal("completed") })

const Info = Schema.Struct({
  config: Schema.Struct({
    params: Schema.Struct({ vectors: Schema.Unknown, sparse_vectors: Schema.optional(Schema.Unknown) }),
    hnsw_config: Schema.Struct({ m: Schema.optional(Schema.Number) })
  }),
  payload_schema: Schema.optional(Schema.Record({ key: Schema.String, value: Schema.Unknown }))
})
type Info = typeof Info.Type

const MarkerPayload = Schema.Struct({
  logId: Schema.String,
  epoch: Schema.Int,
  checkpoint: Schema.Int,
  horizon: Schema.Int,
  /** How often points that are there were begun to be changed. */
  moves: Schema.Int,
  isMoving: Schema.Boolean
})
/**
 * The marker, and whether points are being changed. Setting `until` takes a point out of a segment that Qdrant has
 * optimised and puts it into another, and a search, which looks at segments side by side and takes no lock, may look at
 * each while the point is not in it. A search that sees points moving is repeated until two answers agree.
 */
export type StoredMarker = typeof MarkerPayload.Type
const decodeMarker = Schema.decodeUnknownOption(MarkerPayload)

const IdentityPayload = Schema.Struct({
  format: Schema.Int,
  logId: Schema.String,
  epoch: Schema.Int,
  generation: GenerationId,
  spec: Schema.String
})
const decodeIdentity = Schema.decodeUnknownOption(IdentityPayload)
type Identity = typeof IdentityPayload.Type

const identityOf = ({ epoch, generation, logId, spec }: GenerationRef): Identity => ({
  format: formatVersion,
  logId,
  epoch,
  generation,
  spec: canonicalJson({ ...spec })
})

/** One that was damaged by hand marks nothing. */
export const markerFrom = (record: Record | undefined): StoredMarker | undefined =>
  Option.getOrUndefined(decodeMarker(record?.payload))

export const markerRecord = (marker: StoredMarker): Qdrant["PointStruct"] => ({
  id: markerId,
  vector: {},
  payload: { reserved: "marker", ...marker }
})

export class Collection {
  readonly ref: GenerationRef
  readonly name: string
  private readonly connection: Connection
  private readonly settings: CollectionSettings

  constructor(connection: Connection, settings: CollectionSettings, ref: GenerationRef) {
    this.connection = connection
    this.settings = settings
    this.ref = ref
    this.name = collectionName(ref)
  }

  /** A request below the collection. */
  ask<A, I>(
    method: Request["method"],
    path: string,
    body: unknown,
    result: Schema.Schema<A, I>,
    isSearch = false
  ): Effect.Effect<A, EngineError> {
    return this.connection.ask(
      {
        method,
        path: `/collections/${this.name}${path}`,
        ...(body !== undefined && { body }),
        isSearch
      },
      result
    )
  }

  /** Makes it where it is absent, and what a crash while it was made left out. */
  readonly prepare: Effect.Effect<void, EngineError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      const info = (yield* this.info) ?? (yield* this.create)
      yield* this.checkShape(info)
      const identity = yield* this.identity
      if (identity !== undefined) yield* this.checkIdentity(identity)
      else if (!(yield* this.isEmpty)) return yield* this.foreign("it does not say whose it is")
      yield* this.layOut(new Set(Object.keys(info.payload_schema ?? {})), identity !== undefined)
      if (!this.settings.exact && info.config.hnsw_config.m === 0)
        yield* this.ask("PATCH", "", { hnsw_config: { m: usualGraph } }, Ok)
    })
  )

  /** For a reader: fails where it is absent or not this generation's. */
  readonly check: Effect.Effect<void, EngineError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      const info = yield* this.info
      if (info === undefined) return yield* mismatch("absent", `there is no collection ${this.name}.`)
      yield* this.checkShape(info)
      const identity = yield* this.identity
      if (identity !== undefined) return yield* this.checkIdentity(identity)
      if (yield* this.isEmpty) return yield* mismatch("absent", `collection ${this.name} is empty.`)
      return yield* this.foreign("it does not say whose it is")
    })
  )

  /** Deletes it, if this log made it. */
  readonly drop: Effect.Effect<void, EngineError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      if ((yield* this.info) === undefined) return
      const identity = yield* this.identity
      const marker = yield* this.marker
      const isOurs = identity?.logId === this.ref.logId || marker?.logId === this.ref.logId
      if (!isOurs && !(yield* this.isEmpty)) return yield* this.foreign("nothing in it is of this log")
      yield* Effect.catchTag(this.ask("DELETE", "", undefined, Schema.Boolean), "EngineMismatch", (gone) =>
        gone.reason === "absent" ? Effect.void : Effect.fail(gone)
      )
    })
  )

  readonly marker: Effect.Effect<StoredMarker | undefined, EngineError> = Effect.suspend(() =>
    Effect.map(this.retrieve(markerId), markerFrom)
  )

  /** Lets the alias point here, in one step for whoever reads through it. */
  readonly lead: Effect.Effect<void, EngineError> = Effect.suspend(() =>
    Effect.gen(this, function* () {
      const alias = aliasName(this.ref)
      const { aliases } = yield* this.connection.ask({ method: "GET", path: "/aliases" }, Aliases)
      const known = aliases.find(({ alias_name }) => alias_name === alias)
      if (known?.collection_name === this.name) return
      const actions = [
        ...(known === undefined ? [] : [{ delete_alias: { alias_name: alias } }]),
        { create_alias: { alias_name: alias, collection_name: this.name } }
      ] satisfies ReadonlyArray<Qdrant["AliasOperations"]>
      yield* this.connection.ask({ method: "POST", path: "/collections/aliases", body: { actions } }, Ok)
    })
  )

  /** `undefined` where it is absent. */
  private get info(): Effect.Effect<Info | undefined, EngineError> {
    return Effect.catchTag(this.ask("GET", "", undefined, Info), "EngineMismatch", (error) =>
      error.reason === "absent" ? Effect.succeed(undefined) : Effect.fail(error)
    )
  }

  private get identity(): Effect.Effect<Identity | undefined, EngineError> {
    return Effect.map(this.retrieve(identityId), (record) =>
      Option.getOrUndefined(decodeIdentity(record?.payload))
    )
  }

  private get isEmpty(): Effect.Effect<boolean, EngineError> {
    return Effect.map(
      this.ask("POST", "/points/count", { exact: true }, Schema.Struct({ count: Schema.Int })),
      ({ count }) => count === 0
    )
  }

  private retrieve(id: string): Effect.Effect<Record | undefined, EngineError> {
    return Effect.map(
      this.ask(
        "POST",
        "/points",
        { ids: [id], with_payload: true, with_vector: false },
        Schema.Array(Record)
      ),
      ([record]) => record
    )
  }

  /** Where it is there already, the first answer was lost, or somebody else was quicker: a look tells. */
  private get create(): Effect.Effect<Info, EngineError> {
    const { exact, replicas, shards } = this.settings
    const body: Qdrant["CreateCollection"] = {
      vectors: { [denseName]: { size: this.ref.spec.dimensions, distance: "Dot" } },
      sparse_vectors: { [sparseName]: {} },
      ...(shards !== undefined && { shard_number: shards }),
      // A write is acknowledged by every replica, or a search may ask one that lacks what the marker vouches for.
      ...(replicas !== undefined && { replication_factor: replicas, write_consistency_factor: replicas }),
      ...(exact && { hnsw_config: { m: 0 } })
    }
    return Effect.gen(this, function* () {
      const created = yield* Effect.either(this.ask("PUT", "", body, Ok))
      const info = yield* this.info
      if (info !== undefined) return info
      if (created._tag === "Left") return yield* Effect.fail(created.left)
      return yield* mismatch("absent", `collection ${this.name} went away while it was made.`)
    })
  }

  /** Indexes first, the identity last: what has one is whole. */
  private layOut(indexed: ReadonlySet<string>, isIdentified = false): Effect.Effect<void, EngineError> {
    return Effect.gen(this, function* () {
      for (const [field_name, field_schema] of Object.entries(indexes))
        if (!indexed.has(field_name))
          yield* this.ask("PUT", "/index?wait=true", { field_name, field_schema }, Completed)
      if (isIdentified) return
      const point = { id: identityId, vector: {}, payload: { reserved: "identity", ...identityOf(this.ref) } }
      yield* this.ask("PUT", "/points?wait=true", { points: [point] }, Completed)
    })
  }

  private checkShape({ config }: Info): Effect.Effect<void, EngineError> {
    const { sparse_vectors = {}, vectors } = config.params
    const dense = isFields(vectors) ? vectors[denseName] : undefined
    const sparse = isFields(sparse_vectors) ? sparse_vectors[sparseName] : undefined
    if (!isFields(dense) || !isFields(sparse) || !hasOne(vectors) || !hasOne(sparse_vectors))
      return this.foreign(`it does not have exactly the vectors "${denseName}" and "${sparseName}"`)
    const { dimensions } = this.ref.spec
    if (dense["size"] !== dimensions)
      return this.foreign(`its vectors have ${String(dense["size"])} dimensions, not ${dimensions}`)
    if (dense["distance"] !== "Dot")
      return this.foreign(`it measures by ${String(dense["distance"])}, not by Dot`)
    if ((sparse["modifier"] ?? "none") !== "none")
      return this.foreign(`it weights tokens itself (${String(sparse["modifier"])})`)
    return Effect.void
  }

  private checkIdentity(found: Identity): Effect.Effect<void, EngineError> {
    const wanted = identityOf(this.ref)
    for (const key of ["format", "logId", "epoch", "generation", "spec"] as const)
      if (found[key] !== wanted[key])
        return this.foreign(`its ${key} is ${String(found[key])}, not ${String(wanted[key])}`)
    return Effect.void
  }

  private foreign(detail: string): Effect.Effect<never, EngineError> {
    return Effect.fail(
      mismatch(
        "foreign",
        `collection ${this.name} is not this generation's: ${detail}. It was left alone; delete or rename it if nobody needs it.`
      )
    )
  }
}

/** Links of a vector in the graph where one is wanted: Qdrant's own default. */
const usualGraph = 16

const Aliases = Schema.Struct({
  aliases: Schema.Array(Schema.Struct({ alias_name: Schema.String, collection_name: Schema.String }))
})

const isFields = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null

const hasOne = (value: unknown): boolean => isFields(value) && Object.keys(value).length === 1
