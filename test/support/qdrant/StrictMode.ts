/** Strict mode: what a collection refuses to do though it could (`lib/collection/src/operations/verification/mod.rs`). */
import type { Collection } from "./Collection.ts"
import { type Bounds, type Condition, type Filter, listOf, notDone, Refusal } from "./Payload.ts"

export interface StrictMode {
  readonly enabled?: boolean | null
  readonly max_query_limit?: number | null
  readonly max_timeout?: number | null
  readonly unindexed_filtering_retrieve?: boolean | null
  readonly unindexed_filtering_update?: boolean | null
  readonly search_allow_exact?: boolean | null
  readonly upsert_max_batchsize?: number | null
  readonly search_max_batchsize?: number | null
  readonly filter_max_conditions?: number | null
  readonly condition_max_size?: number | null
  readonly max_points_count?: number | null
  readonly max_payload_index_count?: number | null
}

const enforced: ReadonlySet<string> = new Set([
  "enabled",
  "max_query_limit",
  "max_timeout",
  "unindexed_filtering_retrieve",
  "unindexed_filtering_update",
  "search_allow_exact",
  "upsert_max_batchsize",
  "search_max_batchsize",
  "filter_max_conditions",
  "condition_max_size",
  "max_points_count",
  "max_payload_index_count"
])

/** A limit that nobody keeps is none: refused rather than ignored. */
export const strictMode = (old: StrictMode, given: StrictMode | null | undefined): StrictMode => {
  for (const [name, value] of Object.entries(given ?? {}))
    if (value != null && !enforced.has(name)) throw notDone(`strict mode's ${name}`)
  return { ...old, ...given }
}

const strict = (error: string, help: string) => new Refusal(400, `Bad request: ${error}. Help: ${help}`)

export const checkReading = (
  collection: Collection,
  filter: Filter | null | undefined,
  limit?: number,
  exact?: boolean
): void => {
  const mode = collection.strictMode
  if (mode.enabled !== true) return
  checkLimit("limit", limit, mode.max_query_limit)
  if (mode.unindexed_filtering_retrieve === false) checkIndexed(collection, filter)
  checkSize(collection, filter)
  if (exact === true && mode.search_allow_exact === false)
    throw strict("Exact search disabled!", "Set exact=false.")
}

export const checkWriting = (collection: Collection, filter: Filter | null | undefined): void => {
  const mode = collection.strictMode
  if (mode.enabled !== true) return
  if (mode.unindexed_filtering_update === false) checkIndexed(collection, filter)
  checkSize(collection, filter)
}

export const checkLimit = (
  name: string,
  value: number | undefined,
  limit: number | null | undefined
): void => {
  if (value !== undefined && limit != null && value > limit)
    throw strict(
      `Limit exceeded ${value} > ${limit} for "${name}"`,
      `Reduce the "${name}" parameter to or below ${limit}.`
    )
}

const checkSize = (collection: Collection, filter: Filter | null | undefined): void => {
  const { condition_max_size, filter_max_conditions } = collection.strictMode
  const all = fieldsOf(filter, "")
  if (filter_max_conditions != null && all.length > filter_max_conditions)
    throw strict(
      `Filter condition limit reached (${all.length} > ${filter_max_conditions})`,
      "Reduce the amount of conditions of your filter."
    )
  const size = Math.max(0, ...all.map((one) => one.size))
  if (condition_max_size != null && size > condition_max_size)
    throw strict(
      `Condition size limit reached (${size} > ${condition_max_size})`,
      "Reduce the size of your condition."
    )
}

const checkIndexed = (collection: Collection, filter: Filter | null | undefined): void => {
  for (const { key, kinds } of fieldsOf(filter, "")) {
    if (key === undefined) continue
    const index = collection.indexes.get(key)
    if (index === undefined || (kinds.length > 0 && !kinds.includes(index.data_type)))
      throw strict(
        `Index required but not found for "${key}" of one of the following types: [${kinds.toSorted().join(", ")}]`,
        "Create an index for this key or use a different filter."
      )
  }
}

interface Field {
  readonly key: string | undefined
  /** Types of indexes that serve the condition; none where any does. */
  readonly kinds: ReadonlyArray<string>
  readonly size: number
}

const fieldsOf = (filter: Filter | null | undefined, prefix: string): ReadonlyArray<Field> =>
  filter == null
    ? []
    : [
        ...listOf(filter.must),
        ...listOf(filter.should),
        ...listOf(filter.must_not),
        ...(filter.min_should?.conditions ?? [])
      ].flatMap((condition) => fieldOf(condition, prefix))

const fieldOf = (condition: Condition, prefix: string): ReadonlyArray<Field> => {
  if (condition.key !== undefined)
    return [{ key: prefix + condition.key, kinds: kindsOf(condition), size: sizeOf(condition) }]
  if (condition.nested !== undefined)
    return fieldsOf(condition.nested.filter, `${prefix}${condition.nested.key.replace(/\[\]$/, "")}[].`)
  const { has_id, has_vector, is_empty, is_null } = condition
  if (has_id !== undefined) return [{ key: undefined, kinds: [], size: has_id.length }]
  if (has_vector !== undefined) return [{ key: undefined, kinds: [], size: 0 }]
  const named = is_empty ?? is_null
  if (typeof named === "object" && named !== null) return [{ key: prefix + named.key, kinds: [], size: 0 }]
  return fieldsOf(condition, prefix)
}

const kindsOf = ({ match, range }: Condition): ReadonlyArray<string> => {
  if (match != null) {
    if (match.text !== undefined || match.text_any !== undefined || match.phrase !== undefined)
      return ["text"]
    const [value] = match.value !== undefined ? [match.value] : (match.any ?? match.except ?? [])
    if (typeof value === "boolean") return ["bool"]
    return typeof value === "number" ? ["integer"] : ["keyword", "uuid"]
  }
  return range == null ? [] : isTimes(range) ? ["datetime"] : ["float", "integer"]
}

const isTimes = ({ gt, gte, lt, lte }: Bounds) => [lt, lte, gt, gte].some((one) => typeof one === "string")

const sizeOf = ({ match }: Condition): number => (match?.any ?? match?.except)?.length ?? 0
