/**
 * What a search may be narrowed to. Applied before the top k, so that a filter never turns a full answer into an empty one.
 */
import { Schema } from "effect"
import { DocumentId, SourceId } from "../../events/Ids.ts"
import type { Payload } from "./Index.ts"

const Scalar = Schema.Union(Schema.String, Schema.Number, Schema.Boolean)

/** A condition on one declared metadata key. A list value matches if one of its members does. */
export const MetadataCondition = Schema.Struct({
  key: Schema.String,
  /** Equal to one of these. */
  in: Schema.optional(Schema.Array(Scalar).pipe(Schema.maxItems(1000))),
  /** Numbers compare as numbers, strings (ISO dates among them) by code unit. */
  gte: Schema.optional(Schema.Union(Schema.String, Schema.Number)),
  lt: Schema.optional(Schema.Union(Schema.String, Schema.Number))
})
export type MetadataCondition = typeof MetadataCondition.Type

/** All of these must hold; an absent member does not narrow. */
export const Filter = Schema.Struct({
  sources: Schema.optional(Schema.Array(SourceId).pipe(Schema.maxItems(1000))),
  documents: Schema.optional(Schema.Array(DocumentId).pipe(Schema.maxItems(1000))),
  metadata: Schema.optional(Schema.Array(MetadataCondition).pipe(Schema.maxItems(32)))
})
export type Filter = typeof Filter.Type

export const noFilter: Filter = {}

export const isEmpty = (filter: Filter): boolean =>
  filter.sources === undefined && filter.documents === undefined && (filter.metadata ?? []).length === 0

export const matches = (filter: Filter, payload: Payload): boolean =>
  (filter.sources === undefined || filter.sources.includes(payload.source)) &&
  (filter.documents === undefined || filter.documents.includes(payload.document)) &&
  (filter.metadata ?? []).every((condition) => holds(condition, declared(payload, condition.key)))

/** A key that nobody declared has no value, also where every object inherits one of its name. */
const declared = ({ metadata }: Payload, key: string): Payload["metadata"][string] | undefined =>
  Object.hasOwn(metadata, key) ? metadata[key] : undefined

const holds = (condition: MetadataCondition, value: Payload["metadata"][string] | undefined): boolean => {
  if (value === undefined) return false
  const values = typeof value === "object" ? value : [value]
  return values.some(
    (one) =>
      (condition.in === undefined || condition.in.includes(one)) &&
      (condition.gte === undefined || (typeof one === typeof condition.gte && one >= condition.gte)) &&
      (condition.lt === undefined || (typeof one === typeof condition.lt && one < condition.lt))
  )
}
