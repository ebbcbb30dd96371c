/** Events, appends and requests for tests of the log. */
import { Schema } from "effect"
import {
  CodeFingerprint,
  type Digest,
  DocumentChunked,
  DocumentCommitted,
  type DocumentId,
  DocumentSubmitted,
  DocumentVersion,
  defaultScope,
  documentId,
  documentStream,
  Event,
  type EventEncoded,
  sha256,
  sourceId
} from "../../events/index.ts"
import { type FailpointsService, inert } from "../../src/faults/Failpoints.ts"
import type { Append, BlobPut } from "../../src/log/Log.ts"
import { type OpenedWriter, openWriter } from "../../src/log/LogOpening.ts"
import type { EncodedAppend, WriteRequest } from "../../src/log/WriteGroup.ts"

export const source = sourceId(defaultScope, "push", "tests")
export const chunker = CodeFingerprint.make("plain-0123456789ab")
export const model = CodeFingerprint.make("hashing-0123456789ab")

export const documentNamed = (name: string): DocumentId => documentId(defaultScope, source, name)

export const submitted = (name: string, version = 1, text = `${name} ${version}`): DocumentSubmitted =>
  new DocumentSubmitted({
    documentId: documentNamed(name),
    sourceId: source,
    version: DocumentVersion.make(version),
    raw: sha256(text),
    rawBytes: text.length,
    descriptor: sha256(`descriptor of ${text}`),
    commandId: `submit-${name}-${version}`,
    orderKey: ""
  })

const chunkedFields = (name: string, version: number) => ({
  documentId: documentNamed(name),
  version: DocumentVersion.make(version),
  chunker,
  descriptor: sha256(`resolved descriptor of ${name} ${version}`),
  textBlob: sha256(`text of ${name} ${version}`),
  manifestBlob: sha256(`manifest of ${name} ${version}`),
  count: 2
})

export const chunked = (name: string, version = 1): DocumentChunked =>
  new DocumentChunked(chunkedFields(name, version))

export const committed = (name: string, version = 1): DocumentCommitted =>
  new DocumentCommitted({
    ...chunkedFields(name, version),
    model,
    vectorsRoot: sha256(`root ${name} ${version}`)
  })

export const blobOf = (text: string): BlobPut => {
  const bytes = new TextEncoder().encode(text)
  return { ...defaultScope, digest: sha256(bytes), bytes }
}

const encodeEvent = Schema.encodeSync(Event)

/** An append of these events to the document's stream, caused by `cause`. */
export const appendOf = (
  cause: string,
  name: string,
  events: ReadonlyArray<Event>,
  more: Partial<Append> = {}
): Append => ({
  ...defaultScope,
  cause,
  actor: "test",
  correlationId: cause,
  events: events.map((event) => ({ stream: documentStream(documentNamed(name)), event })),
  ...more
})

export const encodedAppend = (append: Append): EncodedAppend => ({
  ...append,
  events: append.events.map(({ event, stream }): { stream: string; event: EventEncoded } => ({
    stream,
    event: encodeEvent(event)
  }))
})

export const requestOf = (
  appends: ReadonlyArray<Append>,
  more: Partial<Omit<WriteRequest, "appends">> = {}
): WriteRequest => ({
  recordedAt: 1_000,
  blobs: [],
  vectors: [],
  operational: [],
  ...more,
  appends: appends.map(encodedAppend)
})

export interface TestOpening {
  readonly failpoints?: FailpointsService
  readonly acceptRollback?: boolean
  readonly checkpointPages?: number
}

export const openTestWriter = (directory: string, options: TestOpening = {}): OpenedWriter =>
  openWriter(
    {
      directory,
      holder: { hostname: "test", pid: process.pid, started: "2026-01-01T00:00:00.000Z", command: "test" },
      newLogId: "0123456789abcdef",
      witnesses: [],
      acceptRollback: options.acceptRollback ?? false,
      checkpointPages: options.checkpointPages ?? 1000,
      now: 2_000
    },
    options.failpoints ?? inert
  )

export const digestOf = (text: string): Digest => sha256(text)
