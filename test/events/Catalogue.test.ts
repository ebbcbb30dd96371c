import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Either, FastCheck, Schema } from "effect"
import {
  DocumentRemoved,
  decodeEvent,
  documentStream,
  Event,
  schemaVersions,
  UnknownEvent,
  visibilityEvents
} from "../../events/index.ts"

describe("events", () => {
  it("survive the log: encoded, as JSON, decoded", () => {
    const met = new Set<string>()
    FastCheck.assert(
      FastCheck.property(Arbitrary.make(Event), (event) => {
        met.add(event._tag)
        const { _tag: type, ...fields } = Schema.encodeSync(Event)(event)
        const stored: unknown = JSON.parse(JSON.stringify(fields))
        const read = Either.getOrThrow(decodeEvent(type, schemaVersions[type], stored))
        assert.deepStrictEqual(JSON.stringify(read), JSON.stringify(event))
        assert.strictEqual(read.constructor, event.constructor)
      }),
      { seed: 20261121, numRuns: 1000 }
    )
    assert.sameMembers([...met], Object.keys(schemaVersions))
  })

  it("C4: of an unknown type or a newer version are refused by name", () => {
    for (const [type, version] of [
      ["DocumentDreamt", 1],
      ["DocumentRemoved", 99],
      ["constructor", 1]
    ] as const) {
      const refusal = Either.getOrThrow(Either.flip(decodeEvent(type, version, {})))
      assert.instanceOf(refusal, UnknownEvent)
      assert.include(refusal.message, type)
    }
  })

  it("whose data does not fit their schema are refused", () => {
    for (const data of [undefined, null, 7, [], {}, { documentId: "no uuid" }]) {
      assert.isTrue(Either.isLeft(decodeEvent("DocumentRemoved", 1, data)))
    }
  })

  it("that complete a version are decoded as by their schema, whatever their data", () => {
    const digest = "0f".repeat(32)
    const data = {
      documentId: "0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60",
      version: 3,
      chunker: "markdown-0123456789ab",
      model: "hashing-0123456789ab",
      descriptor: digest,
      textBlob: digest,
      manifestBlob: digest,
      vectorsRoot: digest,
      count: 8
    }
    const others = [
      undefined,
      null,
      0,
      -0,
      -1,
      1.5,
      2 ** 53,
      "",
      "x",
      `${digest}0`,
      `${digest}\n`,
      digest.toUpperCase(),
      [],
      {}
    ]
    const decode = Schema.decodeUnknownEither(Event)
    const all: ReadonlyArray<unknown> = [
      data,
      { ...data, more: 1 },
      undefined,
      [data],
      ...Object.keys(data).flatMap((field) => others.map((other) => ({ ...data, [field]: other })))
    ]
    for (const type of ["DocumentCommitted", "DocumentBuilt"] as const)
      for (const one of all) {
        const read = decodeEvent(type, 1, one)
        const expected = decode({ ...(Array.isArray(one) ? {} : (one as object | undefined)), _tag: type })
        assert.strictEqual(Either.isRight(read), Either.isRight(expected), JSON.stringify(one))
        if (Either.isRight(read)) {
          assert.deepStrictEqual<unknown>(read, expected)
          assert.deepStrictEqual(Object.keys(read.right), Object.keys(Either.getOrThrow(expected)))
        }
      }
  })

  it("take no type from their data", () => {
    const removed = {
      documentId: "0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60",
      reason: "lost",
      commandId: "c",
      orderKey: "",
      _tag: "SourceRemoved"
    }
    assert.instanceOf(Either.getOrThrow(decodeEvent("DocumentRemoved", 1, removed)), DocumentRemoved)
  })

  it("that change what search can see are exactly three", () => {
    assert.deepStrictEqual([...visibilityEvents], ["DocumentCommitted", "DocumentBuilt", "DocumentRemoved"])
  })

  it("of a document stand in the stream of its id", () => {
    const { documentId } = Either.getOrThrow(
      Schema.decodeUnknownEither(DocumentRemoved)({
        _tag: "DocumentRemoved",
        documentId: "0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60",
        reason: "lost",
        commandId: "c",
        orderKey: ""
      })
    )
    assert.strictEqual(documentStream(documentId), "document-0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60")
  })
})
