/** A document as a write carries it when everything goes well: bodies, vectors, and the events that name them. */
import {
  canonicalJson,
  chunkId,
  type Digest,
  DocumentCommitted,
  defaultScope,
  sha256,
  vectorsRoot
} from "../../events/index.ts"
import { vectorBytes } from "../../src/log/ContentStore.ts"
import type { WriteRequest } from "../../src/log/WriteGroup.ts"
import {
  appendOf,
  blobOf,
  chunked,
  chunker,
  documentNamed,
  model,
  requestOf,
  submitted
} from "./logEvents.ts"

const unit = (seed: number): Float32Array => {
  const angle = seed / 7
  return Float32Array.of(Math.cos(angle), Math.sin(angle))
}

/** A document as a whole: bodies, vectors, and the events that name them. */
export const wholeDocument = (name: string, n: number): WriteRequest => {
  const text = `${name}: ${"some words that deflate well ".repeat(400)}`
  const raw = blobOf(`raw ${text}`)
  const body = blobOf(text)
  const descriptor = blobOf(
    canonicalJson({ externalId: name, uri: `file:///${name}`, mediaType: "text/plain", metadata: {} })
  )
  const inputs: ReadonlyArray<Digest> = [sha256(`input 1 of ${name}`), sha256(`input 2 of ${name}`)]
  const manifest = blobOf(
    canonicalJson({
      chunker,
      entries: inputs.map((inputHash, at) => ({
        chunkId: chunkId(documentNamed(name), inputHash, 0),
        inputHash,
        start: at * 10,
        end: at * 10 + 10,
        headings: []
      }))
    })
  )
  const vectors = inputs.map((inputHash, at) => ({
    ...defaultScope,
    model,
    inputHash,
    vector: unit(n * 2 + at)
  }))
  const fields = {
    ...chunked(name),
    descriptor: descriptor.digest,
    textBlob: body.digest,
    manifestBlob: manifest.digest
  }
  const commit = new DocumentCommitted({
    ...fields,
    model,
    vectorsRoot: vectorsRoot(
      vectors.map(({ inputHash, vector }) => ({ inputHash, vectorDigest: sha256(vectorBytes(vector)) }))
    )
  })
  return requestOf([appendOf(`whole-${name}`, name, [submitted(name), commit])], {
    blobs: [raw, body, descriptor, manifest, blobOf(`descriptor of ${name} 1`), blobOf(`${name} 1`)],
    vectors
  })
}
