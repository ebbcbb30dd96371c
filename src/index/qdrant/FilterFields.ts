/**
 * What filters can see of a point, in a form that Qdrant's indexes serve, and a filter as its conditions.
 *
 * Metadata keys are the user's: indexing each as a field of its own would let documents grow the schema, and names
 * with dots or quotes would need escaping. So each declared value is a *fact*, the canonical JSON of [key, value], in
 * one keyword field; numbers stand in a list of their own for ranges. Qdrant has no range over strings: those narrow by
 * the first six characters as a number, and what passes is compared in full here.
 */
import type { Schemas as Qdrant } from "@qdrant/js-client-rest"
import { canonicalJson } from "../../../events/Canonical.ts"
import { sha256 } from "../../../events/Ids.ts"
import type { Filter, MetadataCondition } from "../Filter.ts"
import type { Payload } from "../Index.ts"

export interface FilterFields {
  readonly source: string
  readonly document: string
  /** `["key",value]` for each value and `["key"]` for each key that has one; a digest where that is long. */
  readonly facts: ReadonlyArray<string>
  readonly numbers: ReadonlyArray<{ readonly key: string; readonly value: number }>
  readonly words: ReadonlyArray<{ readonly key: string; readonly prefix: number }>
}

type Scalar = string | number | boolean

/** Longer ones would cost more than the digest in every index that holds them. */
const longestFact = 200

const fact = (...parts: readonly [key: string, value?: Scalar]): string => {
  const whole = canonicalJson(parts.filter((part) => part !== undefined))
  return whole.length <= longestFact ? whole : `sha256:${sha256(whole)}`
}

/**
 * The first six UTF-16 code units as a number below 2^48 that never falls as strings rise. Units above 254 all count as
 * 255, and so does all that follows them.
 */
const prefixOf = (value: string): number => {
  let prefix = 0
  let isCapped = false
  for (let at = 0; at < 6; at++) {
    const unit = at < value.length ? value.charCodeAt(at) : 0
    isCapped ||= unit > 254
    prefix = prefix * 256 + (isCapped ? 255 : unit)
  }
  return prefix
}

/** `payload` is the canonical JSON of a {@link Payload}. */
export const filterFields = (payload: string): FilterFields => {
  const { document, metadata, source }: Payload = JSON.parse(payload)
  const facts = new Set<string>()
  const numbers: Array<{ key: string; value: number }> = []
  const words: Array<{ key: string; prefix: number }> = []
  for (const [key, declared] of Object.entries(metadata)) {
    const values: ReadonlyArray<Scalar> = typeof declared === "object" ? declared : [declared]
    if (values.length > 0) facts.add(fact(key))
    for (const value of values) {
      facts.add(fact(key, value))
      if (typeof value === "number") numbers.push({ key, value })
      if (typeof value === "string") words.push({ key, prefix: prefixOf(value) })
    }
  }
  return { source, document, facts: [...facts], numbers, words }
}

/** A filter as conditions that all must hold. */
export interface Narrowing {
  readonly conditions: ReadonlyArray<Qdrant["Condition"]>
  /** The conditions let more through than the filter does: look at what passes. */
  readonly isWider: boolean
}

/** `undefined`: nothing can pass. */
export const narrowing = ({ documents, metadata = [], sources }: Filter): Narrowing | undefined => {
  const conditions: Array<Qdrant["Condition"]> = []
  if (sources !== undefined) conditions.push(anyOf("filter.source", sources))
  if (documents !== undefined) conditions.push(anyOf("filter.document", documents))
  if (sources?.length === 0 || documents?.length === 0) return undefined
  let isWider = false
  for (const condition of metadata) {
    const one = metadataConditions(condition)
    if (one === undefined) return undefined
    conditions.push(...one.conditions)
    isWider ||= one.isWider
  }
  return { conditions, isWider }
}

export const anyOf = (key: string, values: ReadonlyArray<string>): Qdrant["Condition"] => ({
  key,
  match: { any: [...values] }
})

const metadataConditions = (condition: MetadataCondition): Narrowing | undefined => {
  const { gte, key, lt } = condition
  if (!key.isWellFormed()) return undefined
  if (condition.in !== undefined) {
    const wanted = condition.in.filter((value) => isStorable(value) && isWithin(value, gte, lt))
    return wanted.length === 0
      ? undefined
      : {
          conditions: [
            anyOf(
              "filter.facts",
              wanted.map((value) => fact(key, value))
            )
          ],
          isWider: false
        }
  }
  if (gte === undefined && lt === undefined)
    return { conditions: [anyOf("filter.facts", [fact(key)])], isWider: false }
  if (gte !== undefined && lt !== undefined && typeof gte !== typeof lt) return undefined
  if (typeof (gte ?? lt) === "number") {
    const bounds = numberBounds(gte, lt)
    return bounds && { conditions: [nested("filter.numbers", key, "value", bounds)], isWider: false }
  }
  const bounds = {
    ...(typeof gte === "string" && { gte: prefixOf(gte) }),
    ...(typeof lt === "string" && { lte: prefixOf(lt) })
  }
  return { conditions: [nested("filter.words", key, "prefix", bounds)], isWider: true }
}

/** What canonical JSON cannot say stands in no payload. */
const isStorable = (value: Scalar): boolean =>
  typeof value === "string" ? value.isWellFormed() : typeof value === "boolean" || Number.isFinite(value)

const isWithin = (value: Scalar, gte: Scalar | undefined, lt: Scalar | undefined): boolean =>
  (gte === undefined || (typeof gte === typeof value && value >= gte)) &&
  (lt === undefined || (typeof lt === typeof value && value < lt))

interface Bounds {
  readonly gte?: number
  readonly lt?: number
  readonly lte?: number
}

/** JSON has no infinities: a bound that excludes nothing is left out, one that excludes everything is `undefined`. */
const numberBounds = (gte: unknown, lt: unknown): Bounds | undefined => {
  if (Number.isNaN(gte) || Number.isNaN(lt)) return undefined
  if (gte === Number.POSITIVE_INFINITY || lt === Number.NEGATIVE_INFINITY) return undefined
  return {
    ...(typeof gte === "number" && Number.isFinite(gte) && { gte }),
    ...(typeof lt === "number" && Number.isFinite(lt) && { lt })
  }
}

/** One member of a list that has this key and a value within the bounds. */
const nested = (list: string, key: string, value: string, bounds: Bounds): Qdrant["Condition"] => ({
  nested: {
    key: list,
    filter: {
      must: [
        { key: "key", match: { value: key } },
        ...(Object.keys(bounds).length === 0 ? [] : [{ key: value, range: { ...bounds } }])
      ]
    }
  }
})
