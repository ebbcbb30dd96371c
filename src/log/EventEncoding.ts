/**
 * Events as their schema encodes them, some ten times as fast as by the schema itself: it describes every step of what it
 * does in objects, for every field of every event.
 *
 * From the syntax tree of each event's fields a check is made that runs the very refinements of the schema and copies the
 * very fields. It accepts nothing that the schema refuses; what it does not accept (also what it does not understand) goes
 * to the schema, which encodes it or says what is wrong.
 */
import { Option, Predicate, Schema, type SchemaAST } from "effect"
import { Event, type EventEncoded } from "../../events/Catalogue.ts"
import { eventId } from "../../events/Ids.ts"
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

/** All fields of an event but its tag, each checked. */
type Fields = { [name: string]: unknown }

// The cast stands where checked fields become the event that they are of.
const tagged = (fields: Fields, { _tag }: Event): EventEncoded =>
  Object.assign(fields, { _tag }) as EventEncoded

const bySchema = Schema.encodeSync(Event)

/** Answers what a value is encoded as, or {@link refused}. */
type Copy = (value: unknown) => unknown

const refused: unique symbol = Symbol("refused")

/** `undefined` where the tree has something that is not its own encoded form. */
const copyOf = (ast: SchemaAST.AST): Copy | undefined => {
  switch (ast._tag) {
    case "StringKeyword":
      return (value) => (typeof value === "string" ? value : refused)
    case "NumberKeyword":
      return (value) => (typeof value === "number" ? value : refused)
    case "BooleanKeyword":
      return (value) => (typeof value === "boolean" ? value : refused)
    case "UndefinedKeyword":
      return (value) => (value === undefined ? value : refused)
    case "Literal":
      return (value) => (value === ast.literal ? value : refused)
    case "Refinement":
      return refinedCopy(ast)
    case "Union":
      return unionCopy(ast)
    case "TupleType":
      return listCopy(ast)
    case "TypeLiteral":
      return structCopy(ast)
    default:
      return undefined
  }
}

const refinedCopy = (ast: SchemaAST.Refinement): Copy | undefined => {
  const from = copyOf(ast.from)
  return (
    from &&
    ((value) => {
      const copy = from(value)
      return copy !== refused && Option.isNone(ast.filter(copy, {}, ast)) ? copy : refused
    })
  )
}

/** Of plain values alone: none of them has two forms. */
const unionCopy = ({ types }: SchemaAST.Union): Copy | undefined => {
  const members = types.map(copyOf)
  if (!all(members) || types.some(({ _tag }) => _tag === "TypeLiteral" || _tag === "TupleType"))
    return undefined
  return (value) => {
    for (const member of members) {
      const copy = member(value)
      if (copy !== refused) return copy
    }
    return refused
  }
}

const listCopy = ({ elements, rest }: SchemaAST.TupleType): Copy | undefined => {
  const [item, ...more] = rest
  const copyItem = item === undefined ? undefined : copyOf(item.type)
  if (copyItem === undefined || more.length + elements.length > 0) return undefined
  return (value) => {
    if (!Array.isArray(value)) return refused
    const copies = value.map(copyItem)
    return copies.includes(refused) ? refused : copies
  }
}

const structCopy = ({
  indexSignatures,
  propertySignatures
}: SchemaAST.TypeLiteral): ((value: unknown) => Fields | typeof refused) | undefined => {
  if (indexSignatures.length > 0) return undefined
  const fields = propertySignatures.flatMap(({ isOptional, name, type }) => {
    const copy = copyOf(type)
    return copy === undefined || typeof name !== "string" ? [] : [{ name, isOptional, copy }]
  })
  if (fields.length < propertySignatures.length) return undefined
  return (value) => {
    if (!Predicate.isReadonlyRecord(value)) return refused
    const to: Fields = {}
    for (const { copy, isOptional, name } of fields) {
      const found = value[name]
      if (found === undefined && isOptional && !Object.hasOwn(value, name)) continue
      const copied = copy(found)
      if (copied === refused) return refused
      to[name] = copied
    }
    return to
  }
}

const all = (copies: ReadonlyArray<Copy | undefined>): copies is ReadonlyArray<Copy> =>
  copies.every((copy) => copy !== undefined)

/** By class: an instance of another one, a subclass among them, is the schema's to judge. */
const copies: ReadonlyMap<unknown, (event: Event) => Fields | undefined> = new Map(
  Event.members.flatMap((member) => {
    const { _tag, ...fields } = member.fields
    const { ast } = Schema.Struct(fields)
    const copy = ast._tag === "TypeLiteral" ? structCopy(ast) : undefined
    if (copy === undefined) return []
    const copyAll = (event: Event) => {
      const copied = event._tag === member._tag ? copy(event) : refused
      return copied === refused ? undefined : copied
    }
    return [[member, copyAll] as const]
  })
)
