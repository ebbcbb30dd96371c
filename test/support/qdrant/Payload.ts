/** Payloads and the filters over them, as `lib/segment/src/payload_storage/condition_checker.rs` of Qdrant treats them. */

export type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }
export type Payload = { readonly [key: string]: Json }

/** What a condition may look at. */
export interface Filterable {
  readonly id: number | string
  readonly payload: Payload
  readonly vectorNames: ReadonlyArray<string>
}

type Values = ReadonlyArray<string | number>
export interface Match {
  readonly value?: string | number | boolean
  readonly text?: string
  readonly text_any?: string
  readonly phrase?: string
  readonly any?: Values
  readonly except?: Values
}
export interface Bounds {
  readonly lt?: number | string | null
  readonly lte?: number | string | null
  readonly gt?: number | string | null
  readonly gte?: number | string | null
}
export interface Condition extends Filter {
  readonly key?: string
  readonly match?: Match | null
  readonly range?: Bounds | null
  readonly values_count?: Bounds | null
  readonly is_empty?: { readonly key: string } | boolean | null
  readonly is_null?: { readonly key: string } | boolean | null
  readonly has_id?: ReadonlyArray<number | string>
  readonly has_vector?: string
  readonly nested?: { readonly key: string; readonly filter: Filter }
  readonly geo_bounding_box?: unknown
  readonly geo_radius?: unknown
  readonly geo_polygon?: unknown
}
type Conditions = Condition | ReadonlyArray<Condition> | null
export interface Filter {
  readonly must?: Conditions
  readonly should?: Conditions
  readonly must_not?: Conditions
  readonly min_should?: { readonly conditions: ReadonlyArray<Condition>; readonly min_count: number } | null
}

/** Says with which status a request is refused, in the words of the real server where they are known. */
export class Refusal extends Error {
  readonly status: number
  readonly retryAfter: number | undefined
  constructor(status: number, message: string, retryAfter?: number) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
  }
}

export const notDone = (what: string) => new Refusal(501, `This test double of Qdrant does not do ${what}.`)

// Paths: `a.b`, `a[0].b`, `a[].b`, `"a.b".c`.

type Step = { readonly key: string } | { readonly at: number } | { readonly every: true }

export const parsePath = (text: string): ReadonlyArray<Step> => {
  const steps: Array<Step> = []
  const token = /(?:^|\.)(?:"([^"]+)"|([^."[\]\s][^."[\]]*))|\[(\d*)\]/y
  let at = 0
  while (at < text.length) {
    token.lastIndex = at
    const found = token.exec(text)
    if (found === null || (steps.length === 0 && found[3] !== undefined))
      throw new Refusal(400, `Format error in JSON body: Invalid json path: '${text}'`)
    const [whole, quoted, plain, index] = found
    const key = quoted ?? plain
    if (key !== undefined) steps.push({ key })
    else steps.push(index === "" ? { every: true } : { at: Number(index) })
    at += whole.length
  }
  if (steps.length === 0) throw new Refusal(400, `Format error in JSON body: Invalid json path: '${text}'`)
  return steps
}

const isList = (value: Json | undefined): value is ReadonlyArray<Json> => Array.isArray(value)
export const isRecord = (value: Json | undefined): value is Payload =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** Every value at a path: none where a part of it is absent. */
const valuesAt = (value: Json | undefined, path: ReadonlyArray<Step>): ReadonlyArray<Json> => {
  const [step, ...rest] = path
  if (value === undefined) return []
  if (step === undefined) return [value]
  if ("key" in step)
    return isRecord(value) && Object.hasOwn(value, step.key) ? valuesAt(value[step.key], rest) : []
  if (!isList(value)) return []
  return "at" in step ? valuesAt(value[step.at], rest) : value.flatMap((one) => valuesAt(one, rest))
}

/** Without what stands at a path. */
export const removeAt = (value: Payload, path: ReadonlyArray<Step>): Payload => {
  const removed = without(value, path)
  return isRecord(removed) ? removed : value
}

const without = (value: Json, path: ReadonlyArray<Step>): Json => {
  const [step, ...rest] = path
  if (step === undefined) return value
  if ("key" in step) {
    if (!isRecord(value)) return value
    const inner = value[step.key]
    if (inner === undefined) return value
    const others = Object.entries(value).filter(([key]) => key !== step.key)
    if (rest.length === 0) return Object.fromEntries(others)
    return { ...value, [step.key]: without(inner, rest) }
  }
  if (!isList(value)) return value
  if (rest.length === 0) return "at" in step ? value.filter((_, at) => at !== step.at) : []
  return value.map((one, at) => ("every" in step || step.at === at ? without(one, rest) : one))
}

/** Merges `more`: a null removes its key (`lib/segment/src/common/utils.rs`, `merge_map`). */
export const merge = (value: Payload, more: Payload): Payload => {
  const merged = new Map(Object.entries(value))
  for (const [key, one] of Object.entries(more))
    if (one === null) merged.delete(key)
    else merged.set(key, one)
  return Object.fromEntries(merged)
}

/** Merges `more` into what stands at a path of keys; what is no object there gives way to one. */
export const mergeAt = (value: Payload, path: ReadonlyArray<Step>, more: Payload): Payload => {
  const [step, ...rest] = path
  if (step === undefined) return merge(value, more)
  if (!("key" in step)) throw notDone("set_payload with a list in its key")
  const inner = value[step.key]
  return { ...value, [step.key]: mergeAt(isRecord(inner) ? inner : {}, rest, more) }
}

// Conditions

export const listOf = (conditions: Conditions | undefined): ReadonlyArray<Condition> => {
  if (conditions === undefined || conditions === null) return []
  return isConditions(conditions) ? conditions : [conditions]
}
const isConditions = (of: Condition | ReadonlyArray<Condition>): of is ReadonlyArray<Condition> =>
  Array.isArray(of)

type Test = (point: Filterable) => boolean

const compiled = new WeakMap<Filter, Test>()

/** Throws a refusal where the filter asks for what the double does not do. */
export const predicate = (filter: Filter | null | undefined): Test => {
  if (filter === undefined || filter === null) return () => true
  const test = compiled.get(filter) ?? compile(filter)
  compiled.set(filter, test)
  return test
}

export const matches = (filter: Filter | null | undefined, point: Filterable): boolean =>
  predicate(filter)(point)

const compile = (filter: Filter): Test => {
  const must = listOf(filter.must).map(condition)
  const should = listOf(filter.should).map(condition)
  const mustNot = listOf(filter.must_not).map(condition)
  const some = filter.min_should?.conditions.map(condition) ?? []
  const least = filter.min_should?.min_count ?? 0
  return (point) =>
    must.every((test) => test(point)) &&
    (should.length === 0 || should.some((test) => test(point))) &&
    !mustNot.some((test) => test(point)) &&
    some.filter((test) => test(point)).length >= least
}

const condition = (asked: Condition): Test => {
  const { has_id, has_vector, is_empty, is_null, key, nested } = asked
  if (key !== undefined) return field(asked, key)
  if (has_id !== undefined) {
    const ids = new Set(has_id.map(canonicalId))
    return ({ id }) => ids.has(id)
  }
  if (has_vector !== undefined) return ({ vectorNames }) => vectorNames.includes(has_vector)
  if (typeof is_empty === "object" && is_empty !== null) {
    const path = parsePath(is_empty.key)
    return ({ payload }) => valuesAt(payload, path).every(emptyValue)
  }
  if (typeof is_null === "object" && is_null !== null) {
    const path = parsePath(is_null.key)
    return ({ payload }) => valuesAt(payload, path).some((value) => value === null)
  }
  if (nested !== undefined) {
    const path = parsePath(nested.key.endsWith("[]") ? nested.key : `${nested.key}[]`)
    const test = predicate(nested.filter)
    return (point) =>
      valuesAt(point.payload, path)
        .filter(isRecord)
        .some((payload) => test({ ...point, payload }))
  }
  return predicate(asked)
}

const emptyValue = (value: Json) => value === null || (isList(value) && value.length === 0)

const field = (asked: Condition, key: string): Test => {
  if (asked.geo_bounding_box != null || asked.geo_polygon != null || asked.geo_radius != null)
    throw notDone("geographic conditions")
  const { is_empty, is_null, match, range, values_count } = asked
  if (match == null && range == null && values_count == null && is_empty == null && is_null == null)
    throw new Refusal(
      422,
      "Validation error in JSON body: [filter: At least one field condition must be specified]"
    )
  const path = parsePath(key)
  /** A field that is not there may still meet a condition. */
  const whole = (absent: boolean, meets: (value: Json) => boolean): Test => {
    return ({ payload }) => {
      const values = valuesAt(payload, path)
      return values.length === 0 ? absent : values.some(meets)
    }
  }
  if (values_count != null) {
    const counts = within(values_count)
    return whole(counts(0), (value) => counts(isList(value) ? value.length : value === null ? 0 : 1))
  }
  if (typeof is_empty === "boolean") return whole(is_empty, (value) => emptyValue(value) === is_empty)
  if (typeof is_null === "boolean")
    return whole(!is_null, (value) => (value === null || (isList(value) && value.includes(null))) === is_null)
  const matching = match == null ? () => false : matcher(match)
  const inside = range == null ? () => false : within(range)
  const meets = (value: Json) => matching(value) || inside(value)
  return whole(false, (value) => (isList(value) ? value.some(meets) : meets(value)))
}

/** Full text without an index, which is what the double has: the text as it stands in the string. */
const matcher = (match: Match): ((value: Json) => boolean) => {
  const { any, except, text_any, value: wanted } = match
  if (wanted !== undefined) return (value) => value === wanted
  if (any !== undefined) {
    const values = new Set<Json>(any)
    return (value) => values.has(value)
  }
  if (except !== undefined) {
    const values = new Set<Json>(except)
    return (value) => value !== null && !values.has(value)
  }
  if (text_any !== undefined) {
    const tokens = text_any.split(/\s+/).filter((token) => token !== "")
    return (value) => typeof value === "string" && tokens.some((token) => value.includes(token))
  }
  const text = match.text ?? match.phrase
  return (value) => typeof value === "string" && text !== undefined && value.includes(text)
}

const within = ({ gt, gte, lt, lte }: Bounds): ((value: Json) => boolean) => {
  const times = [lt, lte, gt, gte].some((limit) => typeof limit === "string")
  const scale = (one: Json) =>
    times ? (typeof one === "string" ? micros(one) : undefined) : typeof one === "number" ? one : undefined
  const bound = (limit: Json | undefined, usual: number) => {
    if (limit === undefined || limit === null) return usual
    const scaled = scale(limit)
    if (scaled === undefined)
      throw new Refusal(
        400,
        `Format error in JSON body: ${JSON.stringify(limit)} is no valid bound of a range`
      )
    return scaled
  }
  const infinite = Number.POSITIVE_INFINITY
  const [below, atMost] = [bound(lt, infinite), bound(lte, infinite)]
  const [above, atLeast] = [bound(gt, -infinite), bound(gte, -infinite)]
  return (value) => {
    const at = scale(value)
    return at !== undefined && at < below && at <= atMost && at > above && at >= atLeast
  }
}

/** Microseconds since 1970 of a date or a time, in UTC where it names no zone; undefined for another text. */
const micros = (text: string): number | undefined => {
  const found =
    /^(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(Z|z|[+-]\d\d:?(?:\d\d)?)?)?$/.exec(
      text
    )
  if (found === null) return undefined
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", zone = "Z"] = found
  const offset = /^([+-])(\d\d):?(\d\d)?$/.exec(zone)
  const minutes =
    offset === null ? 0 : (Number(offset[2]) * 60 + Number(offset[3] ?? 0)) * (offset[1] === "-" ? -1 : 1)
  const ms = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`)
  return Number.isNaN(ms)
    ? undefined
    : (ms - minutes * 60_000) * 1000 + Number(fraction.padEnd(6, "0").slice(0, 6))
}

/** UUIDs are one whatever way they are written. */
export const canonicalId = (id: number | string): number | string => {
  if (typeof id === "number") return id
  const hex = id
    .replace(/^urn:uuid:/, "")
    .replace(/[-{}]/g, "")
    .toLowerCase()
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5")
}

/** Numbers before UUIDs, each kind by its value. */
export const compareIds = (a: number | string, b: number | string): number => {
  if (typeof a === "number" && typeof b === "number") return a - b
  if (typeof a === "number" || typeof b === "number") return typeof a === "number" ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

/** What a selector leaves of a payload. */
export type PayloadSelector =
  | boolean
  | ReadonlyArray<string>
  | { readonly include?: ReadonlyArray<string>; readonly exclude?: ReadonlyArray<string> }
  | null
  | undefined

export const selectPayload = (
  payload: Payload,
  selector: PayloadSelector,
  absent: boolean
): Payload | null => {
  const selected = selector ?? absent
  if (selected === true) return payload
  if (selected === false) return null
  const { exclude, include } = isKeys(selected) ? { include: selected, exclude: undefined } : selected
  if (include !== undefined) return keepOnly(payload, include.map(parsePath))
  return (exclude ?? []).map(parsePath).reduce(removeAt, payload)
}

const isKeys = (of: object): of is ReadonlyArray<string> => Array.isArray(of)

const keepOnly = (payload: Payload, paths: ReadonlyArray<ReadonlyArray<Step>>): Payload => {
  const kept: Record<string, Json> = {}
  for (const [key, value] of Object.entries(payload)) {
    const below = paths.filter(([first]) => first !== undefined && "key" in first && first.key === key)
    if (below.length === 0) continue
    if (below.some((path) => path.length === 1)) kept[key] = value
    else if (isRecord(value))
      kept[key] = keepOnly(
        value,
        below.map((path) => path.slice(1))
      )
    else throw notDone("payload selectors through lists")
  }
  return kept
}
