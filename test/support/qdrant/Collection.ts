/** A collection in memory: points, payload indexes, and the order in which updates reach it. */
import {
  canonicalId,
  compareIds,
  type Filter,
  type Filterable,
  type Json,
  listOf,
  matches,
  mergeAt,
  notDone,
  type Payload,
  parsePath,
  predicate,
  Refusal,
  removeAt
} from "./Payload.ts"
import { type StrictMode, strictMode } from "./StrictMode.ts"
import { namedInputs, type PointId, pointsOf, type Upsert } from "./Upsert.ts"
import {
  type DenseParams,
  denseVector,
  dimensionError,
  isDenseInput,
  isSparseInput,
  refuseParams,
  type SparseParams,
  sparseVector,
  type Vector
} from "./Vectors.ts"

/** Never changed: an update puts another one in its place, so that a snapshot is a copy of the map. */
export interface StoredPoint extends Filterable {
  readonly version: number
  readonly vectors: ReadonlyMap<string, Vector>
}

export interface CreateCollection {
  readonly vectors?: DenseParams | Readonly<Record<string, DenseParams>> | null
  readonly sparse_vectors?: Readonly<Record<string, SparseParams>> | null
  readonly shard_number?: number | null
  readonly replication_factor?: number | null
  readonly write_consistency_factor?: number | null
  readonly on_disk_payload?: boolean | null
  readonly hnsw_config?: object | null
  readonly optimizers_config?: object | null
  readonly wal_config?: object | null
  readonly quantization_config?: object | null
  readonly strict_mode_config?: StrictMode | null
  readonly metadata?: Payload | null
}

export interface Selection {
  readonly points?: ReadonlyArray<PointId> | null
  readonly filter?: Filter | null
}
export interface SetPayload extends Selection {
  readonly payload: Payload
  readonly key?: string | null
}
export interface DeletePayload extends Selection {
  readonly keys: ReadonlyArray<string>
}

/** What an update does, point by point; made when its turn comes. */
export type Steps = () => ReadonlyArray<() => void>

export interface PayloadIndex {
  readonly data_type: string
  readonly params?: { readonly type: string; readonly [key: string]: Json }
}

/** The waits between two points of an update, in milliseconds; 0 lets other requests in and waits no longer. */
export type Pace = () => number

/** As `PAYLOAD_OP_BATCH_SIZE` in `lib/shard/src/update/payload.rs`: unknown points are noticed after as many. */
const payloadBatch = 32

const isUnnamed = (vectors: DenseParams | Readonly<Record<string, DenseParams>>): vectors is DenseParams =>
  typeof vectors["size"] === "number"

export class Collection {
  created: CreateCollection
  readonly dense: ReadonlyMap<string, DenseParams>
  readonly sparse: ReadonlyMap<string, SparseParams>
  strictMode: StrictMode
  /** What it says of itself; `yellow` while a real one optimizes. */
  status: "green" | "yellow" | "grey" | "red" = "green"
  readonly indexes: Map<string, PayloadIndex>
  readonly points: Map<PointId, StoredPoint>
  #sorted: ReadonlyArray<PointId> | undefined
  #operations = 0
  #last: Promise<unknown> = Promise.resolve()

  constructor(created: CreateCollection, from?: Collection) {
    const vectors = created.vectors ?? {}
    this.created = created
    this.dense = new Map(isUnnamed(vectors) ? [["", vectors]] : Object.entries(vectors))
    this.sparse = new Map(Object.entries(created.sparse_vectors ?? {}))
    this.strictMode = from?.strictMode ?? strictMode({}, created.strict_mode_config)
    this.indexes = new Map(from?.indexes)
    this.points = new Map(from?.points)
    this.#operations = from === undefined ? 0 : from.#operations
    for (const params of this.dense.values()) refuseParams(params)
    for (const name of this.sparse.keys())
      if (this.dense.has(name))
        throw new Refusal(
          400,
          `Wrong input: Dense and sparse vector names must be unique - duplicate vector name detected: ${name}`
        )
  }

  copy(): Collection {
    return new Collection(this.created, this)
  }

  ids(): ReadonlyArray<PointId> {
    this.#sorted ??= Array.from(this.points.keys()).sort(compareIds)
    return this.#sorted
  }

  put(point: StoredPoint): void {
    if (!this.points.has(point.id)) this.#sorted = undefined
    this.points.set(point.id, point)
  }

  remove(id: PointId): void {
    if (this.points.delete(id)) this.#sorted = undefined
  }

  empty(): void {
    this.points.clear()
    this.#sorted = undefined
  }

  get operations(): number {
    return this.#operations
  }

  nextOperation(): number {
    return this.#operations++
  }

  /** After what came before it, a point at a time; of a batch at most the first `atMost` points. */
  apply(steps: Steps, pace: Pace, atMost = Number.POSITIVE_INFINITY): Promise<void> {
    const run = async () => {
      let applied = 0
      for (const step of steps()) {
        if (applied++ >= atMost) return
        step()
        await pause(pace())
      }
    }
    const done = this.#last.then(run)
    this.#last = done.catch(() => undefined)
    return done
  }

  // Updates

  /** Dimensions are checked before anything is applied (`src/common/validate_vectors.rs`), names when it is applied. */
  upsert(request: Upsert): Steps {
    const points = pointsOf(request)
    const inputs = points.map(({ id, payload, vector }) => ({
      id: canonicalId(id),
      payload: payload ?? {},
      vectors: namedInputs(vector)
    }))
    for (const { vectors } of inputs)
      for (const [name, input] of vectors) {
        const size = this.dense.get(name)?.size
        if (size !== undefined && isDenseInput(input) && input.length !== size)
          throw dimensionError(size, input.length)
        if (isSparseInput(input)) sparseVector(input)
      }
    return () => {
      const version = this.nextOperation()
      // Which points a conditional upsert leaves out is settled before the first is written.
      const left = inputs.filter(({ id }) => {
        const there = this.points.get(id)
        if (there === undefined) return request.update_mode !== "update_only"
        return request.update_mode !== "insert_only" && matches(request.update_filter, there)
      })
      return left.map(({ id, payload, vectors }) => () => {
        const stored = new Map(Array.from(vectors, ([name, input]) => [name, this.vector(name, input)]))
        this.put({ id, version, payload, vectors: stored, vectorNames: [...stored.keys()] })
      })
    }
  }

  vector(name: string, input: unknown): Vector {
    const dense = this.dense.get(name)
    if (dense !== undefined) {
      if (isDenseInput(input)) return denseVector(input, dense)
      throw new Refusal(400, "Wrong input: Conversion between sparse and regular vectors failed")
    }
    if (!this.sparse.has(name)) throw new Refusal(400, `Wrong input: Not existing vector name error: ${name}`)
    if (isSparseInput(input)) return sparseVector(input)
    throw new Refusal(400, "Wrong input: Conversion between sparse and regular vectors failed")
  }

  /** Unknown ids are no error. */
  delete(selection: Selection): Steps {
    return () => {
      this.nextOperation()
      return this.select(selection).map((id) => () => this.remove(id))
    }
  }

  setPayload({ key, payload, ...selection }: SetPayload): Steps {
    const path = key == null ? [] : parsePath(key)
    return this.#changePayload(selection, (old) => mergeAt(old, path, payload))
  }

  overwritePayload({ key, payload, ...selection }: SetPayload): Steps {
    if (key != null) throw notDone("overwrite_payload with a key")
    return this.#changePayload(selection, () => payload)
  }

  deletePayload({ keys, ...selection }: DeletePayload): Steps {
    const paths = keys.map(parsePath)
    return this.#changePayload(selection, (old) => paths.reduce(removeAt, old))
  }

  clearPayload(selection: Selection): Steps {
    return this.#changePayload(selection, () => ({}))
  }

  #changePayload(selection: Selection, change: (old: Payload) => Payload): Steps {
    if (selection.points == null && selection.filter == null)
      throw new Refusal(400, "Bad request: No filter or points provided")
    return () => {
      const version = this.nextOperation()
      const ids = this.select(selection)
      const steps: Array<() => void> = []
      for (let at = 0; at < ids.length; at += payloadBatch) {
        const batch = ids.slice(at, at + payloadBatch)
        const missing = batch.find((id) => !this.points.has(id))
        for (const id of batch)
          steps.push(() => {
            const point = this.points.get(id)
            if (point !== undefined) this.put({ ...point, version, payload: change(point.payload) })
          })
        if (missing !== undefined)
          steps.push(() => {
            throw new Refusal(404, `Not found: No point with id ${missing} found`)
          })
      }
      return steps
    }
  }

  select(selection: Selection): ReadonlyArray<PointId> {
    if (selection.points != null) return selection.points.map(canonicalId)
    return this.found(selection.filter).map(({ id }) => id)
  }

  /** In the order of ids. */
  found(...filters: ReadonlyArray<Filter | null | undefined>): ReadonlyArray<StoredPoint> {
    const tests = filters.map(predicate)
    return this.#candidates(filters).flatMap((id) => {
      const point = this.points.get(id)
      return point !== undefined && tests.every((test) => test(point)) ? [point] : []
    })
  }

  /** What must have one of some ids is looked up, not searched for. */
  #candidates(filters: ReadonlyArray<Filter | null | undefined>): ReadonlyArray<PointId> {
    const named = filters.flatMap((filter) => listOf(filter?.must)).find(({ has_id }) => has_id !== undefined)
    return named?.has_id === undefined
      ? this.ids()
      : Array.from(new Set(named.has_id.map(canonicalId))).sort(compareIds)
  }

  // Indexes

  createIndex(field: string, schema: string | PayloadIndex["params"] | null | undefined): Steps {
    parsePath(field)
    if (schema == null)
      throw new Refusal(
        400,
        `Wrong input: Unable to infer type for the field '${field}'. Please specify \`field_type\``
      )
    const index =
      typeof schema === "string" ? { data_type: schema } : { data_type: schema.type, params: schema }
    if (index.params?.["lookup"] === false && index.params["range"] === false)
      throw new Refusal(
        422,
        "Validation error in JSON body: [field_schema: the 'lookup' and 'range' capabilities can't be both disabled]"
      )
    return () => {
      this.nextOperation()
      return [() => this.indexes.set(field, index)]
    }
  }

  deleteIndex(field: string): Steps {
    return () => {
      this.nextOperation()
      return [() => this.indexes.delete(field)]
    }
  }

  /** As `GET /collections/{collection_name}` tells it: what was not said stands at the real server's defaults. */
  info(): Json {
    const given = (value: object | null | undefined): Payload =>
      JSON.parse(JSON.stringify(value ?? {}), (_, inner) => inner ?? undefined)
    const { created } = this
    return {
      status: this.status,
      optimizer_status: "ok",
      indexed_vectors_count: 0,
      points_count: this.points.size,
      segments_count: 2,
      config: {
        params: {
          vectors: given(created.vectors),
          shard_number: created.shard_number ?? 1,
          replication_factor: created.replication_factor ?? 1,
          write_consistency_factor: created.write_consistency_factor ?? 1,
          on_disk_payload: created.on_disk_payload ?? true,
          ...(created.sparse_vectors == null ? {} : { sparse_vectors: given(created.sparse_vectors) })
        },
        hnsw_config: {
          m: 16,
          ef_construct: 100,
          full_scan_threshold: 10_000,
          max_indexing_threads: 0,
          on_disk: false,
          ...given(created.hnsw_config)
        },
        optimizer_config: {
          deleted_threshold: 0.2,
          vacuum_min_vector_number: 1000,
          default_segment_number: 0,
          indexing_threshold: 10_000,
          flush_interval_sec: 5,
          ...given(created.optimizers_config)
        },
        wal_config: { wal_capacity_mb: 32, wal_segments_ahead: 0, ...given(created.wal_config) },
        quantization_config: created.quantization_config == null ? null : given(created.quantization_config),
        strict_mode_config: given({ enabled: false, ...this.strictMode }),
        ...(created.metadata == null ? {} : { metadata: created.metadata })
      },
      payload_schema: Object.fromEntries(
        Array.from(this.indexes, ([field, index]) => [
          field,
          { ...index, points: this.found({ must_not: { is_empty: { key: field } } }).length }
        ])
      )
    }
  }
}

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    if (ms > 0) setTimeout(resolve, ms).unref()
    else setImmediate(resolve)
  })
