import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck, Schema } from "effect"
import { Descriptor, Manifest } from "../../events/Document.ts"
import { plainCopy } from "../../events/PlainCopy.ts"
import { readDescriptor, readManifest } from "../../src/documents/StoredTexts.ts"

const bytes = (text: string) => new TextEncoder().encode(text)

/** Whatever JSON can hold, and names that mean something to an object. */
const anyJson = FastCheck.oneof(
  FastCheck.json().map((text): unknown => JSON.parse(text)),
  FastCheck.constantFrom(null, -1, 1.5, "", [], {}, [null], JSON.parse('{"__proto__":1}'))
)

/** One that is right, or one of whose parts is gone or something else. */
const spoilt = <A extends object>(arbitrary: FastCheck.Arbitrary<A>) =>
  FastCheck.tuple(arbitrary, FastCheck.nat(), anyJson).map(([value, pick, other]): unknown => {
    const places: Array<readonly [holder: object, name: string]> = []
    const visit = (holder: object) => {
      for (const [name, field] of Object.entries(holder)) {
        places.push([holder, name])
        if (typeof field === "object" && field !== null) visit(field)
      }
    }
    const copy: object = JSON.parse(JSON.stringify(value))
    visit(copy)
    if (pick % 3 === 0) return copy
    const place = places[pick % (places.length + 1)]
    if (place === undefined) return other
    if (pick % 2 === 0) Reflect.deleteProperty(...place)
    else Object.defineProperty(place[0], place[1], { value: other, enumerable: true })
    return copy
  })

const likeItsSchema = <A extends object, I>(
  schema: Schema.Schema<A, I>,
  read: (bytes: Uint8Array) => A | undefined
) => {
  const decode = Schema.decodeUnknownEither(schema)
  const met = { right: 0, wrong: 0 }
  FastCheck.assert(
    FastCheck.property(spoilt(Arbitrary.make(schema)), (value) => {
      const expected = Either.getOrUndefined(decode(JSON.parse(JSON.stringify(value))))
      assert.deepStrictEqual(read(bytes(JSON.stringify(value))), expected)
      met[expected === undefined ? "wrong" : "right"]++
    }),
    { numRuns: 500, seed: 20261122 }
  )
  assert.isAbove(Math.min(met.right, met.wrong), 50)
}

const isCopied = <A extends object, I>(schema: Schema.Schema<A, I>) => {
  const copy = plainCopy(schema)
  FastCheck.assert(
    FastCheck.property(Arbitrary.make(schema), (value) => assert.isDefined(copy?.(value))),
    { numRuns: 100, seed: 20261122 }
  )
}

describe("what is stored of a version beside its text", () => {
  it("a descriptor is read as by its schema", () => likeItsSchema(Descriptor, readDescriptor))
  it("a manifest is read as by its schema", () => likeItsSchema(Manifest, readManifest))

  it("is copied without asking the schema where it is right", () => {
    isCopied(Descriptor)
    isCopied(Manifest)
  })

  it("is nothing where it is no JSON", () => {
    assert.isUndefined(readDescriptor(bytes("{")))
    assert.isUndefined(readManifest(new Uint8Array([0xff, 0xfe])))
  })

  it("a name that is an object's prototype stays a name", () => {
    const text = '{"externalId":"a","mediaType":"b","metadata":{"__proto__":"x"},"uri":"c"}'
    const expected = Schema.decodeUnknownEither(Descriptor)(JSON.parse(text))
    assert.deepStrictEqual(readDescriptor(bytes(text)), Either.getOrUndefined(expected))
  })
})
