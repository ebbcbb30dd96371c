/** Documents written straight into a real log, as the Coordinator would: content first, then the events. */
import { Effect } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import type { Event } from "../../events/Catalogue.ts"
import {
  type Descriptor,
  DocumentBuilt,
  DocumentCommitted,
  DocumentRemoved,
  DocumentSubmitted,
  DocumentVersion,
  documentStream
} from "../../events/Document.ts"
import {
  GenerationOpened,
  GenerationPromoted,
  GenerationRetired,
  generationsStream,
  type Spec
} from "../../events/Generation.ts"
import {
  type CodeFingerprint,
  codeFingerprint,
  defaultScope,
  documentId,
  GenerationId,
  type ProjectScope,
  sha256,
  sourceId
} from "../../events/Ids.ts"
import { vectorsRoot } from "../../events/Vectors.ts"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { makeChunker } from "../../src/documents/Chunker.ts"
import { prepare } from "../../src/documents/Prepare.ts"
import { renderInput } from "../../src/documents/RenderedInput.ts"
import { hashingFeatures } from "../../src/embedding/HashingFeatures.ts"
import { denseBytes } from "../../src/index/Fingerprint.ts"
import { type BlobPut, Log, type VectorPut } from "../../src/log/Log.ts"

export const testAnalyzer = makeAnalyzer({ language: "english", unicodeVersion: "15.0" })
const chunker = makeChunker({ maxTokens: 32, overlapTokens: 0 })
const dimensions = 32

export const specOf = (model: string): Spec => ({
  engine: "embedded",
  chunker: chunker.fingerprint,
  model: codeFingerprint(model, [model]),
  modelName: model,
  dimensions,
  analyzer: testAnalyzer.fingerprint,
  payload: 1
})
export const firstSpec = specOf("first")
export const secondSpec = specOf("second")

const testAnalysis = testAnalyzer.analyze
const encoder = new TextEncoder()
export const testSource = sourceId(defaultScope, "files", "/test")

/** Both test models hash words; the second one turns the signs, so that their vectors differ. */
export const testVector = (model: CodeFingerprint, text: string): Float32Array => {
  const vector = hashingFeatures(testAnalysis(text), dimensions)
  return model === secondSpec.model ? vector.map((value) => -value + 0) : vector
}

export const named = (name: string, scope: ProjectScope = defaultScope) => documentId(scope, testSource, name)

/** The blobs, vectors and fields of a version under a spec. */
const contentsOf = (
  scope: ProjectScope,
  name: string,
  text: string,
  spec: Spec,
  kind = name.startsWith("a") ? "alpha" : "other"
) => {
  const id = named(name, scope)
  const descriptor: Descriptor = {
    externalId: name,
    uri: `file:///test/${name}`,
    mediaType: "text/markdown",
    metadata: { kind }
  }
  const prepared = prepare(id, encoder.encode(text), descriptor, chunker)
  if (prepared._tag !== "Prepared") throw new Error(`${name} was not prepared: ${prepared._tag}`)
  const put = (value: string): BlobPut => {
    const bytes = encoder.encode(value)
    return { ...scope, digest: sha256(bytes), bytes }
  }
  const blobs = {
    raw: put(text),
    submitted: put(canonicalJson({ ...descriptor })),
    descriptor: put(canonicalJson({ ...prepared.descriptor })),
    text: put(prepared.text),
    manifest: put(JSON.stringify(prepared.manifest))
  }
  const vectors = prepared.manifest.entries.map((entry): VectorPut => {
    const input = renderInput(
      prepared.descriptor,
      entry.headings,
      prepared.text.slice(entry.start, entry.end)
    )
    return { ...scope, model: spec.model, inputHash: entry.inputHash, vector: testVector(spec.model, input) }
  })
  const fields = {
    documentId: id,
    chunker: spec.chunker,
    model: spec.model,
    descriptor: blobs.descriptor.digest,
    textBlob: blobs.text.digest,
    manifestBlob: blobs.manifest.digest,
    count: prepared.manifest.entries.length,
    vectorsRoot: vectorsRoot(
      vectors.map(({ inputHash, vector }) => ({ inputHash, vectorDigest: sha256(denseBytes(vector)) }))
    )
  }
  return { id, blobs: Object.values(blobs), raw: blobs.raw, submitted: blobs.submitted, vectors, fields }
}

let causes = 0
const append = (
  scope: { readonly team: string; readonly project: string },
  events: ReadonlyArray<{ stream: string; event: Event }>
) =>
  Effect.gen(function* () {
    const log = yield* Log
    causes += 1
    const appended = yield* log.append({
      ...scope,
      cause: `corpus-${causes}`,
      actor: "test",
      correlationId: "test",
      events
    })
    return appended.lastPosition
  })

const operator = { team: "_", project: "_" }

export const generation = (number: number) => GenerationId.make(`g${String(number).padStart(3, "0")}`)

export const openGeneration = (number: number, spec: Spec, reason: "initial" | "replay" | "build") =>
  append(operator, [
    {
      stream: generationsStream,
      event: new GenerationOpened({ generation: generation(number), spec, reason })
    }
  ])

export const promoteGeneration = (number: number) =>
  append(operator, [
    {
      stream: generationsStream,
      event: new GenerationPromoted({ generation: generation(number), excluded: [] })
    }
  ])

export const commitDocument = (
  name: string,
  text: string,
  version: number,
  spec: Spec = firstSpec,
  scope: ProjectScope = defaultScope,
  kind?: string
) =>
  Effect.gen(function* () {
    const log = yield* Log
    const contents = contentsOf(scope, name, text, spec, kind)
    yield* log.write({ blobs: contents.blobs, vectors: contents.vectors })
    const stream = documentStream(contents.id)
    yield* append(scope, [
      {
        stream,
        event: new DocumentSubmitted({
          documentId: contents.id,
          sourceId: testSource,
          version: DocumentVersion.make(version),
          raw: contents.raw.digest,
          rawBytes: contents.raw.bytes.length,
          descriptor: contents.submitted.digest,
          commandId: `corpus-${name}-${version}`,
          orderKey: String(version)
        })
      }
    ])
    return yield* append(scope, [
      {
        stream,
        event: new DocumentCommitted({ ...contents.fields, version: DocumentVersion.make(version) })
      }
    ])
  })

export const buildDocument = (
  name: string,
  text: string,
  version: number,
  spec: Spec,
  scope: ProjectScope = defaultScope
) =>
  Effect.gen(function* () {
    const log = yield* Log
    const contents = contentsOf(scope, name, text, spec)
    yield* log.write({ blobs: contents.blobs, vectors: contents.vectors })
    return yield* append(scope, [
      {
        stream: documentStream(contents.id),
        event: new DocumentBuilt({ ...contents.fields, version: DocumentVersion.make(version) })
      }
    ])
  })

export const removeDocument = (name: string, scope: ProjectScope = defaultScope) =>
  append(scope, [
    {
      stream: documentStream(named(name, scope)),
      event: new DocumentRemoved({
        documentId: named(name, scope),
        reason: "missing",
        commandId: `corpus-remove-${name}`,
        orderKey: "9"
      })
    }
  ])

export const retireGeneration = (number: number) =>
  append(operator, [
    {
      stream: generationsStream,
      event: new GenerationRetired({ generation: generation(number), reason: "replaced" })
    }
  ])
