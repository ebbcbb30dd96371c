/** What a Qdrant server keeps (collections and aliases) and how it answers each operation of its description. */
import {
  Collection,
  type CreateCollection,
  type DeletePayload,
  type Pace,
  type Selection,
  type SetPayload,
  type Steps
} from "./Collection.ts"
import {
  canonicalId,
  type Filter,
  type Json,
  merge,
  notDone,
  type Payload,
  type PayloadSelector,
  Refusal
} from "./Payload.ts"
import { type QueryRequest, query, record, type ScrollRequest, scroll, type VectorSelector } from "./Query.ts"
import { checkLimit, checkReading, checkWriting, type StrictMode, strictMode } from "./StrictMode.ts"
import type { PointId, Upsert } from "./Upsert.ts"

/** What `JSON.parse` gives, after the description accepted it. */
type Parsed = ReturnType<typeof JSON.parse>

export interface Call {
  readonly operation: string
  /** Of the path, by name. */
  readonly variables: Readonly<Record<string, string>>
  readonly query: URLSearchParams
  readonly body: Parsed
  /** Of an update only the first points are applied. */
  readonly atMost: number | undefined
}

export interface StoreCopy {
  readonly collections: ReadonlyMap<string, Collection>
  readonly aliases: ReadonlyMap<string, string>
}

/** Operations that a read-only key may not call. */
export const writes: ReadonlySet<string> = new Set([
  "create_collection",
  "update_collection",
  "delete_collection",
  "update_aliases",
  "create_field_index",
  "delete_field_index",
  "upsert_points",
  "delete_points",
  "set_payload",
  "overwrite_payload",
  "delete_payload",
  "clear_payload",
  "batch_update"
])

export class Store {
  collections = new Map<string, Collection>()
  aliases = new Map<string, string>()
  version: string
  readonly #pace: Pace

  constructor(version: string, pace: Pace) {
    this.version = version
    this.#pace = pace
  }

  copy(): StoreCopy {
    return {
      collections: new Map(Array.from(this.collections, ([name, one]) => [name, one.copy()])),
      aliases: new Map(this.aliases)
    }
  }

  /** By name or alias (`lib/storage/src/content_manager/toc`). */
  collection(name: string): Collection {
    const found = this.collections.get(this.aliases.get(name) ?? name)
    if (found === undefined) throw new Refusal(404, `Not found: Collection \`${name}\` doesn't exist!`)
    return found
  }

  /** The result of a call; throws a `Refusal`. */
  async answer(call: Call): Promise<Json> {
    const { body, operation, variables } = call
    const name = variables["collection_name"] ?? ""
    if (body?.shard_key != null) throw notDone("shard keys")
    this.#checkTimeout(name, call.query.get("timeout"))
    switch (operation) {
      case "get_collections":
        return { collections: [...this.collections.keys()].sort().map((one) => ({ name: one })) }
      case "collection_exists":
        return { exists: this.collections.has(this.aliases.get(name) ?? name) }
      case "create_collection":
        return this.#create(name, body)
      case "get_collection":
        return this.collection(name).info()
      case "update_collection":
        return this.#update(name, body)
      case "delete_collection": {
        this.aliases = new Map([...this.aliases].filter(([, of]) => of !== name))
        return this.collections.delete(name)
      }
      case "collection_cluster_info":
        return {
          peer_id: 1,
          shard_count: 1,
          local_shards: [{ shard_id: 0, points_count: this.collection(name).points.size, state: "Active" }],
          remote_shards: [],
          shard_transfers: []
        }
      case "get_collection_aliases":
        this.collection(name)
        return this.#listAliases((of) => of === name)
      case "get_collections_aliases":
        return this.#listAliases(() => true)
      case "update_aliases":
        return this.#changeAliases(body.actions)
      case "create_field_index": {
        const collection = this.collection(name)
        const { max_payload_index_count: most, enabled } = collection.strictMode
        if (enabled === true && !collection.indexes.has(body.field_name))
          checkLimit("payload indexes", collection.indexes.size + 1, most)
        return this.#write(call, collection, collection.createIndex(body.field_name, body.field_schema))
      }
      case "delete_field_index": {
        const collection = this.collection(name)
        return this.#write(call, collection, collection.deleteIndex(variables["field_name"] ?? ""))
      }
      case "batch_update": {
        const results: Array<Json> = []
        let left = call.atMost
        for (const one of body.operations) {
          const collection = this.collection(name)
          const [kind] = Object.keys(one)
          const steps = this.#updateSteps(collection, kind ?? "", one[kind ?? ""])
          const counted: Steps = () => {
            const all = steps()
            const now = left === undefined ? all : all.slice(0, left)
            left = left === undefined ? undefined : left - now.length
            return now
          }
          results.push(await this.#write({ ...call, atMost: undefined }, collection, counted))
        }
        return results
      }
      case "upsert_points":
      case "delete_points":
      case "set_payload":
      case "overwrite_payload":
      case "delete_payload":
      case "clear_payload": {
        const collection = this.collection(name)
        const steps = this.#updateSteps(collection, operation.replace(/_points$/, ""), body)
        return this.#write(call, collection, steps)
      }
      case "get_points": {
        const wanted: {
          readonly ids: ReadonlyArray<PointId>
          readonly with_payload?: PayloadSelector
          readonly with_vector?: VectorSelector
        } = body
        const collection = this.collection(name)
        return Array.from(new Set(wanted.ids.map(canonicalId))).flatMap((id) => {
          const point = collection.points.get(id)
          return point === undefined
            ? []
            : [record(collection, point, wanted.with_payload, wanted.with_vector)]
        })
      }
      case "get_point": {
        const id = variables["id"] ?? ""
        const collection = this.collection(name)
        const point = collection.points.get(canonicalId(/^\d+$/.test(id) ? Number(id) : id))
        if (point === undefined) throw new Refusal(404, `Not found: Point with id ${id} does not exists!`)
        return record(collection, point, true, true)
      }
      case "scroll_points": {
        const request: ScrollRequest = body
        return scroll(this.collection(name), request)
      }
      case "count_points": {
        const filter: Filter | null | undefined = body.filter
        const collection = this.collection(name)
        checkReading(collection, filter)
        return { count: collection.found(filter).length }
      }
      case "query_points": {
        const request: QueryRequest = body
        return query(this.collection(name), request)
      }
      case "query_batch_points": {
        const requests: ReadonlyArray<QueryRequest> = body.searches
        const { enabled, search_max_batchsize: most } = this.collection(name).strictMode
        if (enabled === true) checkLimit("search batch size", requests.length, most)
        const answers: Array<Json> = []
        for (const request of requests) {
          answers.push(query(this.collection(name), request))
          // The real server promises no common moment for the queries of a batch.
          await new Promise((resolve) => setImmediate(resolve))
        }
        return answers
      }
      default:
        throw notDone(operation)
    }
  }

  #checkTimeout(name: string, seconds: string | null): void {
    const mode = this.collections.get(this.aliases.get(name) ?? name)?.strictMode
    if (seconds !== null && mode?.enabled === true) checkLimit("timeout", Number(seconds), mode.max_timeout)
  }

  #create(name: string, body: CreateCollection): Json {
    if (!/^[^<>:"/\\|?*\0\x1f]{1,255}$/.test(name))
      throw new Refusal(422, `Validation error in path: [collection_name: ${name} is no valid name]`)
    if (this.collections.has(name))
      throw new Refusal(409, `Wrong input: Collection \`${name}\` already exists!`)
    if (this.aliases.has(name))
      throw new Refusal(
        400,
        `Wrong input: Can't create collection with name ${name}. Alias with the same name already exists`
      )
    this.collections.set(name, new Collection(body))
    return true
  }

  #update(
    name: string,
    body: {
      readonly strict_mode_config?: StrictMode | null
      readonly metadata?: Payload | null
      readonly params?: object | null
    }
  ): Json {
    const collection = this.collection(name)
    const { metadata } = body
    collection.created = {
      ...collection.created,
      ...body.params,
      ...(metadata == null ? {} : { metadata: merge(collection.created.metadata ?? {}, metadata) })
    }
    collection.strictMode = strictMode(collection.strictMode, body.strict_mode_config)
    return true
  }

  #listAliases(which: (collection: string) => boolean): Json {
    return {
      aliases: [...this.aliases]
        .filter(([, of]) => which(of))
        .map(([alias_name, collection_name]) => ({ alias_name, collection_name }))
    }
  }

  /**
   * No reader sees some of the actions without the others; but where one is refused, those before it stay
   * (`lib/storage/src/content_manager/toc/collection_meta_ops.rs`).
   */
  #changeAliases(
    actions: ReadonlyArray<{
      readonly create_alias?: { readonly collection_name: string; readonly alias_name: string }
      readonly delete_alias?: { readonly alias_name: string }
      readonly rename_alias?: { readonly old_alias_name: string; readonly new_alias_name: string }
    }>
  ): Json {
    for (const { create_alias, delete_alias, rename_alias } of actions) {
      if (create_alias !== undefined) {
        const { alias_name, collection_name } = create_alias
        if (!this.collections.has(collection_name))
          throw new Refusal(404, `Not found: Collection \`${collection_name}\` doesn't exist!`)
        if (this.collections.has(alias_name))
          throw new Refusal(409, `Wrong input: Collection \`${alias_name}\` already exists!`)
        this.aliases.set(alias_name, collection_name)
      }
      if (delete_alias !== undefined) this.aliases.delete(delete_alias.alias_name)
      if (rename_alias !== undefined) {
        const of = this.aliases.get(rename_alias.old_alias_name)
        if (of === undefined)
          throw new Refusal(404, `Not found: Alias ${rename_alias.old_alias_name} does not exists!`)
        this.aliases.delete(rename_alias.old_alias_name)
        this.aliases.set(rename_alias.new_alias_name, of)
      }
    }
    return true
  }

  #updateSteps(collection: Collection, kind: string, body: Parsed): Steps {
    const selection: Selection = body
    checkWriting(collection, selection.filter)
    switch (kind) {
      case "upsert": {
        const upsert: Upsert = body
        const { enabled, max_points_count, upsert_max_batchsize } = collection.strictMode
        const many = upsert.points?.length ?? upsert.batch?.ids.length
        if (enabled === true) {
          checkLimit("upsert limit", many, upsert_max_batchsize)
          checkLimit("points", collection.points.size + 1, max_points_count)
        }
        return collection.upsert(upsert)
      }
      case "delete":
        return collection.delete(selection)
      case "set_payload": {
        const change: SetPayload = body
        return collection.setPayload(change)
      }
      case "overwrite_payload": {
        const change: SetPayload = body
        return collection.overwritePayload(change)
      }
      case "delete_payload": {
        const change: DeletePayload = body
        return collection.deletePayload(change)
      }
      case "clear_payload":
        return collection.clearPayload(selection)
      default:
        throw notDone(kind)
    }
  }

  /** With `wait=true` the answer comes after the last point, without it before the first. */
  async #write(call: Call, collection: Collection, steps: Steps): Promise<Json> {
    const done = collection.apply(steps, this.#pace, call.atMost)
    if (call.query.get("wait") === "true") {
      await done
      return { operation_id: collection.operations, status: "completed" }
    }
    done.catch(() => undefined)
    return { operation_id: collection.operations, status: "acknowledged" }
  }
}
