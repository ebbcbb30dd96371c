import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { Manifest } from "../../events/Document.ts"
import { DocumentId } from "../../events/Ids.ts"
import { defaultChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { prepare } from "../../src/documents/Prepare.ts"
import { defaultPrepareLimits } from "../../src/documents/PrepareLimits.ts"
import { buffersOf, type PrepareRequest, prepareOperation } from "../../src/documents/PrepareOperation.ts"

const request = (text: string): PrepareRequest => ({
  documentId: DocumentId.make("00000000-0000-5000-8000-000000000001"),
  raw: new TextEncoder().encode(text),
  descriptor: { externalId: "a.md", uri: "file:///a.md", mediaType: "", metadata: {} },
  chunker: defaultChunkerSettings,
  limits: defaultPrepareLimits
})

describe("preparation as an operation", () => {
  it("answers the bodies as they are stored", () => {
    const asked = request("# Größe\n\nEin Satz.\n")
    const { documentId, raw, descriptor } = asked
    const direct = prepare(documentId, raw, descriptor, makeChunker(defaultChunkerSettings))
    const answer = prepareOperation(asked)
    if (answer._tag !== "Prepared" || direct._tag !== "Prepared") return assert.fail(answer._tag)
    const decoder = new TextDecoder()
    assert.strictEqual(decoder.decode(answer.text), direct.text)
    assert.strictEqual(decoder.decode(answer.descriptor), canonicalJson(direct.descriptor))
    const manifest = Schema.decodeSync(Schema.parseJson(Manifest))(decoder.decode(answer.manifest))
    assert.deepStrictEqual(manifest, direct.manifest)
    assert.strictEqual(answer.count, 1)
  })

  it("each body is alone in its buffer, so that it can be moved", () => {
    const answer = prepareOperation(request("text"))
    if (answer._tag !== "Prepared") return assert.fail(answer._tag)
    const sizes = [answer.descriptor, answer.text, answer.manifest].map((body) => body.byteLength)
    assert.deepStrictEqual(
      buffersOf([answer]).map((buffer) => buffer.byteLength),
      sizes
    )
  })

  it("what is not prepared is answered as it is", () => {
    const answer = prepareOperation(request(""))
    assert.deepStrictEqual(answer, { _tag: "Skipped", reason: "empty", detail: "no bytes" })
    assert.deepStrictEqual(buffersOf([answer]), [])
  })

  it("other settings are another chunker", () => {
    const one = prepareOperation(request("text"))
    const two = prepareOperation({ ...request("text"), chunker: { maxTokens: 64, overlapTokens: 0 } })
    assert.notDeepEqual(one, two)
    assert.deepStrictEqual(prepareOperation(request("text")), one)
  })
})
