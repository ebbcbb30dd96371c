/**
 * From a version's contents in the log to its points. The one place that decides what a point holds, used by the fold,
 * by repair, and by the log engine, so that they cannot disagree.
 *
 * Text, manifest and vectors are facts; only the analysis and the payload's projection are computed here.
 */

import { canonicalJson, type Json } from "../../events/Canonical.ts"
import type { Descriptor, Manifest, ManifestEntry } from "../../events/Document.ts"
import type { Spec } from "../../events/Generation.ts"
import type { DocumentId, SourceId } from "../../events/Ids.ts"
import { Digest } from "../../events/Ids.ts"
import { vectorsRoot } from "../../events/Vectors.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { Words } from "../documents/Lexicon.ts"
import { renderInput } from "../documents/RenderedInput.ts"
import { documentTerms } from "../documents/SparseVector.ts"
import {
  ContentDamaged,
  type LogSnapshot,
  type StoredVector,
  type VersionContents
} from "../log/LogSnapshot.ts"
import { digestBytes, leaf, sharedSparseBytes, uuidBytes } from "./Fingerprint.ts"
import type { Payload, SparseVector } from "./Index.ts"
import type { StateWord } from "./StateSchema.ts"

/** Distinct surface words, by their numbers in a vocabulary. */
export interface PointWords {
  readonly vocabulary: Words
  readonly numbers: ArrayLike<number>
  /** Those of them before which another has the same token. */
  readonly repeats: ArrayLike<number>
}

/** Each as itself, with its stem and token. */
export const pointWords = ({ numbers, vocabulary }: Omit<PointWords, "repeats">): ReadonlyArray<StateWord> =>
  Array.from(numbers, (number) => {
    const term = vocabulary.terms[number] ?? 0
    return {
      word: vocabulary.words[number] ?? "",
      stem: vocabulary.stems[term] ?? "",
      token: vocabulary.tokens[term] ?? 0
    }
  })

/** A chunk as this spec sees it, before it has a place in time. */
export interface VersionPoint {
  readonly chunkId: ManifestEntry["chunkId"]
  readonly chunk: Buffer
  readonly dense: Float32Array
  readonly sparse: SparseVector
  readonly words: PointWords
  readonly leaf: Buffer
}

/** A version's contents, opened: what is cheap to know of all chunks, and each chunk's point on demand. */
export interface OpenedVersion {
  readonly _tag: "Opened"
  readonly descriptor: Descriptor
  readonly text: string
  readonly entries: ReadonlyArray<ManifestEntry>
  /** Canonical JSON, the same for all chunks of a version. */
  readonly payload: string
  readonly payloadDigest: Buffer
  readonly point: (entry: number) => VersionPoint
}

/** What the fold notes where it has to fold a document as empty. */
export interface ContentsMissing {
  readonly _tag: "Missing"
  readonly what: "descriptor" | "text" | "manifest" | "vectors" | "other vectors" | Skipped
}

/** Why a document was left out on purpose: it waits for no build, but for its content to be restored. */
export type Skipped = `${typeof skippedPrefix}${string}`
export const skippedPrefix = "skipped: "

/** What a decoder says of bytes that are no UTF-8. Any other `TypeError` is a bug of ours. */
const isNoText = (cause: unknown): cause is TypeError =>
  cause instanceof TypeError && "code" in cause && cause.code === "ERR_ENCODING_INVALID_ENCODED_DATA"

/** Content that is damaged, or is none, as content that is missing. A disk that fails is no such thing, and is thrown on. */
export const skipping = <A>(open: () => A): A | ContentsMissing => {
  try {
    return open()
  } catch (cause) {
    if (!(cause instanceof ContentDamaged || cause instanceof SyntaxError || isNoText(cause))) throw cause
    return { _tag: "Missing", what: `${skippedPrefix}${cause.message}` }
  }
}

/** The fields of `DocumentCommitted` and `DocumentBuilt` that name a version's contents. */
export type ContentsNamed = Pick<VersionContents, "descriptor" | "textBlob" | "manifestBlob" | "vectorsRoot">

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

export const filterPayload = (source: SourceId, document: DocumentId, descriptor: Descriptor): Payload => ({
  source,
  document,
  metadata: descriptor.metadata
})

/** What people read of a version: no vectors, nothing computed. */
export interface OpenedText {
  readonly _tag: "OpenedText"
  readonly descriptor: Descriptor
  readonly text: string
  readonly entries: ReadonlyArray<ManifestEntry>
  /** Of what it was opened from. */
  readonly bytes: number
}

export const openText = (
  snapshot: Pick<LogSnapshot, "blob">,
  scope: { readonly team: string; readonly project: string },
  named: Omit<ContentsNamed, "vectorsRoot">
): OpenedText | ContentsMissing => {
  const { team, project } = scope
  const descriptorBytes = snapshot.blob(team, project, named.descriptor)
  if (descriptorBytes === undefined) return { _tag: "Missing", what: "descriptor" }
  const manifestBytes = snapshot.blob(team, project, named.manifestBlob)
  if (manifestBytes === undefined) return { _tag: "Missing", what: "manifest" }
  const textBytes = snapshot.blob(team, project, named.textBlob)
  if (textBytes === undefined) return { _tag: "Missing", what: "text" }
  // Their digests were checked, and only our own codec writes them: their shapes need no second check here.
  const descriptor: Descriptor = JSON.parse(decoder.decode(descriptorBytes))
  const { entries }: Manifest = JSON.parse(decoder.decode(manifestBytes))
  const bytes = descriptorBytes.length + manifestBytes.length + textBytes.length
  return { _tag: "OpenedText", descriptor, text: decoder.decode(textBytes), entries, bytes }
}

export const openVersion = (
  snapshot: LogSnapshot,
  analyzer: Analyzer,
  spec: Spec,
  scope: { readonly team: string; readonly project: string },
  source: SourceId,
  document: DocumentId,
  named: ContentsNamed
): OpenedVersion | ContentsMissing => {
  const { team, project } = scope
  const opened = openText(snapshot, scope, named)
  if (opened._tag === "Missing") return opened
  const { descriptor, entries, text } = opened
  const inputs = entries.map(({ inputHash }) => inputHash)
  const dense = rootedVectors(snapshot.vectors(team, project, spec.model, inputs), inputs)
  if (dense === undefined) return { _tag: "Missing", what: "vectors" }
  if (dense.root !== named.vectorsRoot) return { _tag: "Missing", what: "other vectors" }
  const json: Json = { ...filterPayload(source, document, descriptor) }
  const payload = canonicalJson(json)
  const payloadDigest = digestBytes(payload)
  return {
    _tag: "Opened",
    descriptor,
    text,
    entries,
    payload,
    payloadDigest,
    point: (index) => {
      const entry = entries[index]
      const vector = dense.vectors[index]
      const denseDigest = dense.digests[index]
      if (entry === undefined || vector === undefined || denseDigest === undefined)
        throw new RangeError(`No chunk ${index} in the version.`)
      const { sparse, words } = analyzeEntry(analyzer, opened, index)
      const chunk = uuidBytes(entry.chunkId)
      return {
        chunkId: entry.chunkId,
        chunk,
        dense: vector,
        sparse,
        words,
        leaf: leaf(chunk, payloadDigest, digestBytes(sharedSparseBytes(sparse)), denseDigest)
      }
    }
  }
}

/** All vectors of a version with their digests and the root over them; `undefined` where one is not stored. */
export const rootedVectors = (
  stored: ReadonlyArray<StoredVector | undefined>,
  inputs: ReadonlyArray<Digest>
):
  | {
      readonly vectors: ReadonlyArray<Float32Array>
      readonly digests: ReadonlyArray<Buffer>
      readonly root: Digest
    }
  | undefined => {
  const present = stored.filter((vector) => vector !== undefined)
  if (present.length < inputs.length) return undefined
  const digests = present.map(({ digest }) => digest)
  const root = vectorsRoot(
    inputs.map((inputHash, index) => ({
      inputHash,
      vectorDigest: Digest.make(digests[index]?.toString("hex") ?? "", { disableValidation: true })
    }))
  )
  return { vectors: present.map(({ vector }) => vector), digests, root }
}

/** A chunk's sparse vector and its distinct surface words. */
export const analyzeEntry = (
  analyzer: Analyzer,
  { descriptor, entries, text }: OpenedText,
  index: number
): Pick<VersionPoint, "sparse" | "words"> => {
  const entry = entries[index]
  if (entry === undefined) throw new RangeError(`No chunk ${index} in the version.`)
  const spelt = analyzer.spelt(renderInput(descriptor, entry.headings, text.slice(entry.start, entry.end)))
  const { repeats, sparse, words: numbers } = documentTerms(spelt)
  return { sparse, words: { vocabulary: spelt.vocabulary, numbers, repeats } }
}
