import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck, Schema } from "effect"
import { DocumentRemoved, Event, schemaVersions } from "../../events/index.ts"
import { copyEvent, encodeEvent } from "../../src/log/EventEncoding.ts"

const bySchema = Schema.encodeEither(Event)

/** What is stored of an event, or why nothing is. */
const outcome = (encode: () => unknown): string => {
  try {
    return JSON.stringify(encode())
  } catch (cause) {
    return String(cause)
  }
}

const seed = 20261121

/** Whatever a program without types may put into a field. */
const anything = FastCheck.oneof(
  FastCheck.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true }),
  FastCheck.constantFrom(
    undefined,
    null,
    Number.NaN,
    -1,
    1.5,
    2 ** 53,
    "",
    "\ud800",
    [],
    {},
    ["a"],
    [undefined]
  )
)

/** An event one of whose fields is gone, is `value`, or has it within. */
const withField = (event: Event, pick: number, value: unknown): Event => {
  const fields = Object.entries(event)
  const [name, field] = fields[pick % fields.length] ?? ["", undefined]
  const spoilt: Event = Object.assign(Object.create(Object.getPrototypeOf(event)), event)
  if (pick % 5 === 0) Reflect.deleteProperty(spoilt, name)
  else if (Array.isArray(field)) Reflect.set(spoilt, name, [...field, value])
  else if (typeof field === "object")
    Reflect.set(spoilt, name, { ...field, [Object.keys(field)[pick % 2] ?? ""]: value })
  else Reflect.set(spoilt, name, value)
  return spoilt
}

describe("events on their way into the log", () => {
  it("are encoded as by their schema, each type of them without asking it", () => {
    const met = new Set<string>()
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(Event), (event) => {
        met.add(event._tag)
        const copied = copyEvent(event)
        assert.isDefined(copied)
        assert.strictEqual(JSON.stringify(copied), JSON.stringify(Schema.encodeSync(Event)(event)))
      }),
      { seed, numRuns: 1000 }
    )
    assert.sameMembers([...met], Object.keys(schemaVersions))
  })

  it("are refused exactly where their schema refuses them, whatever stands in a field or in a field of it", () => {
    let refused = 0
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(Event), FastCheck.nat(), anything, (event, pick, value) => {
        const spoilt = withField(event, pick, value)
        const expected = bySchema(spoilt)
        if (Either.isLeft(expected)) refused += 1
        assert.strictEqual(
          outcome(() => encodeEvent(spoilt)),
          outcome(() => Either.getOrThrowWith(expected, (error) => error))
        )
      }),
      { seed, numRuns: 2000 }
    )
    assert.isAbove(refused, 1000)
  })

  it("carry no field that their schema does not know", () => {
    const event = new DocumentRemoved({
      documentId: Schema.decodeSync(DocumentRemoved.fields.documentId)(
        "0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60"
      ),
      reason: "lost",
      commandId: "c",
      orderKey: ""
    })
    assert.notProperty(copyEvent(Object.assign(event, { more: 1 })), "more")
  })

  it("of a class that is none of the catalogue's own are left to the schema", () => {
    class Removed extends DocumentRemoved {}
    const event: DocumentRemoved = Object.assign(Object.create(Removed.prototype), {})
    assert.isUndefined(copyEvent(event))
  })
})
