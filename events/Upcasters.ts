/**
 * Lifts events that were written by older versions to today's shape, at the log's edge, so that folds know one shape.
 *
 * An event's type never changes its meaning. When its shape must change, its schema version rises, the former schema
 * stays here under its version, and a `Schema.transform` from it to the next one is listed below. A golden file of every
 * version that was ever written stays in `test/golden` and must decode for ever.
 */
import { Either, type ParseResult, Predicate, Schema } from "effect"
import { Event, type EventType, isEventType, schemaVersions } from "./Catalogue.ts"
import { completed } from "./Completed.ts"

/** A type that this version of the program does not know: written by a newer one. Folds of truth and index stop at it. */
export class UnknownEvent extends Schema.TaggedError<UnknownEvent>()("UnknownEvent", {
  type: Schema.String,
  schemaVersion: Schema.Int
}) {
  override get message() {
    return `The event ${this.type} (schema version ${this.schemaVersion}) is not known to this version of Reprise. A newer one wrote it: use that one.`
  }
}

type Fields = { readonly [key: string]: unknown }

/** From the encoded data of version n to that of version n + 1. */
type Upcaster = (data: Fields) => Fields

/** `upcasters[type][n]` lifts version n. None yet: every event is at its first version. */
const upcasters: { readonly [type: string]: { readonly [version: number]: Upcaster } } = {}

const decode = Schema.decodeUnknownEither(Event)

/** Decodes the data of a stored event of any version that was ever written. An `Either` is an Effect as well: yield it. */
export const decodeEvent = (
  type: string,
  schemaVersion: number,
  data: unknown
): Either.Either<Event, UnknownEvent | ParseResult.ParseError> => {
  if (!isEventType(type) || schemaVersion > schemaVersions[type]) {
    return Either.left(new UnknownEvent({ type, schemaVersion }))
  }
  const known = schemaVersion === schemaVersions[type] ? completed(type, data) : undefined
  return known === undefined
    ? decode({ ...lift(type, schemaVersion, data), _tag: type })
    : Either.right(known)
}

const lift = (type: EventType, schemaVersion: number, data: unknown): Fields => {
  let lifted: Fields = Predicate.isReadonlyRecord(data) ? data : {}
  for (let version = schemaVersion; version < schemaVersions[type]; version++) {
    lifted = upcasters[type]?.[version]?.(lifted) ?? lifted
  }
  return lifted
}
