/**
 * Events as their schema encodes them, some ten times as fast as by the schema itself: it describes every step of what it
 * does in objects, for every field of every event.
 *
 * A check is made from the syntax tree of each event's fields (`PlainCopy.ts`); what it does not accept goes to the schema,
 * which encodes it or says what is wrong.
 */
import { Schema } from "effect"
import { Event, type EventEncoded } from "../../events/Catalogue.ts"
import { eventId } from "../../events/Ids.ts"
import { type Fields, plainCopy } from "../../events/PlainCopy.ts"
import { dataText } from "./EventRow.ts"
import type { WriteBatch } from "./Log.ts"
import { scopeOf, type WriteRequest } from "./WriteGroup.ts"

/**
 * An invalid event is a defect in its caller's thread, before it is stored. `recordedAt`: milliseconds since 1970. `epoch`: the
 * log's, where ids of events are to be made by the caller's thread, too.
 */
export const encodeBatch = (batch: WriteBatch, recordedAt: number, epoch?: number): WriteRequest => ({
  recordedAt,
  epoch,
  blobs: (batch.blobs ?? []).map((blob) => ({ ...blob, bytes: owned(blob.bytes) })),
  vectors: batch.vectors ?? [],
  appends: (batch.appends ?? []).map((append) => ({
    ...append,
    events: append.events.map(({ event, stream }, n) => {
      const { data, event: encoded } = stored(event)
      if (epoch === undefined) return { stream, event: encoded, data }
      return { stream, event: encoded, data, id: eventId(epoch, scopeOf(append), append.cause, n) }
    })
  })),
  operational: batch.operational ?? []
})

/** A view into a larger buffer (a pooled one of Node's) would be sent with all that surrounds it. */
const owned = (bytes: Uint8Array): Uint8Array =>
  bytes.byteLength === bytes.buffer.byteLength ? bytes : Uint8Array.prototype.slice.call(bytes)

/** An event as its schema encodes it, and the text of its fields. */
const stored = (event: Event): { readonly event: EventEncoded; readonly data: string } => {
  const fields = copies.get(event.constructor)?.(event)
  if (fields === undefined) {
    const encoded = bySchema(event)
    return { event: encoded, data: dataText(encoded) }
  }
  // The text first: to leave the tag out of a copy that has it takes another copy.
  const data = JSON.stringify(fields)
  return { event: tagged(fields, event), data }
}

/** Throws a `ParseError` where the event is not what its schema says. */
export const encodeEvent = (event: Event): EventEncoded => copyEvent(event) ?? bySchema(event)

/** Nothing where the event has to be looked at by its schema. */
export const copyEvent = (event: Event): EventEncoded | undefined => {
  const fields = copies.get(event.constructor)?.(event)
  return fields && tagged(fields, event)
}

// The cast stands where checked fields become the event that they are of.
const tagged = (fields: Fields, { _tag }: Event): EventEncoded =>
  Object.assign(fields, { _tag }) as EventEncoded

const bySchema = Schema.encodeSync(Event)

/** By class: an instance of another one, a subclass among them, is the schema's to judge. */
const copies: ReadonlyMap<unknown, (event: Event) => Fields | undefined> = new Map(
  Event.members.flatMap((member) => {
    const { _tag, ...fields } = member.fields
    const copy = plainCopy(Schema.Struct(fields))
    if (copy === undefined) return []
    const copyAll = (event: Event) => (event._tag === member._tag ? copy(event) : undefined)
    return [[member, copyAll] as const]
  })
)
