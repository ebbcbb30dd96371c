/**
 * Preparation as an operation of a thread: what goes in and comes out can be moved between threads and stored as it
 * is. Descriptor and manifest are canonical JSON, the text is UTF-8; each array is the whole of its buffer.
 */
import { canonicalJson } from "../../events/Canonical.ts"
import type { Descriptor } from "../../events/Document.ts"
import type { DocumentId } from "../../events/Ids.ts"
import { type Chunker, type ChunkerSettings, makeChunker } from "./Chunker.ts"
import { prepare, type Skipped, type Unparseable } from "./Prepare.ts"
import type { PrepareLimits } from "./PrepareLimits.ts"

export interface PrepareRequest {
  readonly documentId: DocumentId
  readonly raw: Uint8Array
  readonly descriptor: Descriptor
  readonly chunker: ChunkerSettings
  readonly limits: PrepareLimits
}

/** The three bodies as they are stored. */
export interface PreparedBodies {
  readonly _tag: "Prepared"
  readonly descriptor: Uint8Array
  readonly text: Uint8Array
  readonly manifest: Uint8Array
  /** The chunks of the manifest. */
  readonly count: number
}

export type PrepareAnswer = PreparedBodies | Skipped | Unparseable

/** As a `Thread` of the entry `prepare` can be asked. */
export type PrepareOperations = {
  /** An answer for each, in their order. */
  readonly prepare: (requests: ReadonlyArray<PrepareRequest>) => ReadonlyArray<PrepareAnswer>
}

const encoder = new TextEncoder()
let latest:
  | { readonly maxTokens: number; readonly overlapTokens: number; readonly chunker: Chunker }
  | undefined

/** Settings hardly ever change between two requests; a fingerprint costs two hashes. */
const chunkerOf = (settings: ChunkerSettings): Chunker => {
  if (latest?.maxTokens !== settings.maxTokens || latest.overlapTokens !== settings.overlapTokens) {
    latest = { ...settings, chunker: makeChunker(settings) }
  }
  return latest.chunker
}

/** Pure but for the remembered chunker; also the core that a simulation calls in its own thread. */
export const prepareOperation = (request: PrepareRequest): PrepareAnswer => {
  const { documentId, raw, descriptor, chunker, limits } = request
  const outcome = prepare(documentId, raw, descriptor, chunkerOf(chunker), limits)
  if (outcome._tag !== "Prepared") return outcome
  return {
    _tag: "Prepared",
    descriptor: encoder.encode(canonicalJson(outcome.descriptor)),
    text: encoder.encode(outcome.text),
    manifest: encoder.encode(canonicalJson({ ...outcome.manifest })),
    count: outcome.manifest.entries.length
  }
}

/** The buffers of answers, to be moved instead of copied. */
export const buffersOf = (answers: ReadonlyArray<PrepareAnswer>): ReadonlyArray<ArrayBuffer> =>
  answers.flatMap((answer) =>
    answer._tag === "Prepared"
      ? [answer.descriptor, answer.text, answer.manifest].flatMap(({ buffer }) =>
          buffer instanceof ArrayBuffer ? [buffer] : []
        )
      : []
  )
