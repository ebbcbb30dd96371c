/**
 * The document aggregate: one item of a source, its versions, and what is known of each.
 *
 * A version is submitted, chunked, and committed (or rejected). Only `DocumentCommitted`, `DocumentBuilt` and
 * `DocumentRemoved` change what search can see. The events hold ids, sizes and digests; title, URI, metadata and text
 * are content, named by digest, so that erasing content leaves the log's chain valid.
 */
import { Schema } from "effect"
import { ChunkId, CodeFingerprint, Digest, DocumentId, SourceId } from "./Ids.ts"

/** A version's number within its document: 1, 2, 3 … Content A, then B, then A again is version 3. */
export const DocumentVersion = Schema.Int.pipe(Schema.positive(), Schema.brand("DocumentVersion"))
export type DocumentVersion = typeof DocumentVersion.Type

/** Scalars, or lists of scalars, that a source declares and searches may filter by. */
export const MetadataValue = Schema.Union(
  Schema.String,
  Schema.Number,
  Schema.Boolean,
  Schema.Array(Schema.Union(Schema.String, Schema.Number, Schema.Boolean))
)
export const DocumentMetadata = Schema.Record({ key: Schema.String, value: MetadataValue })
export type DocumentMetadata = typeof DocumentMetadata.Type

/** What is known about a version besides its bytes. Content (a blob of canonical JSON), because it names people. */
export const Descriptor = Schema.Struct({
  /** The document's id within its source, as text for people (bytes that are no UTF-8 stand as `\xNN`). */
  externalId: Schema.String,
  uri: Schema.String,
  mediaType: Schema.String,
  title: Schema.optional(Schema.String),
  /** Only a title from the text or the source enters an embedding's input; one made from a path is for display. */
  titleFrom: Schema.optional(Schema.Literal("source", "text", "path")),
  metadata: DocumentMetadata
})
export type Descriptor = typeof Descriptor.Type

/** One chunk of a version: its span counts UTF-16 code units of the stored text, `end` exclusive. */
export const ManifestEntry = Schema.Struct({
  chunkId: ChunkId,
  /** SHA-256 of the rendered embedding input, in UTF-8. */
  inputHash: Digest,
  start: Schema.NonNegativeInt,
  end: Schema.NonNegativeInt,
  headings: Schema.Array(Schema.String)
})
export type ManifestEntry = typeof ManifestEntry.Type

/** The chunks of a version under one chunker, in the order of the text. Content (a blob of canonical JSON). */
export const Manifest = Schema.Struct({ chunker: CodeFingerprint, entries: Schema.Array(ManifestEntry) })
export type Manifest = typeof Manifest.Type

/** The intent: a version exists, its bytes are stored, its preparation may begin. */
export class DocumentSubmitted extends Schema.TaggedClass<DocumentSubmitted>()("DocumentSubmitted", {
  documentId: DocumentId,
  sourceId: SourceId,
  version: DocumentVersion,
  raw: Digest,
  rawBytes: Schema.NonNegativeInt,
  descriptor: Digest,
  commandId: Schema.String,
  /** Compared bytewise with the document's last accepted one; comparable within one sender only. */
  orderKey: Schema.String,
  /** The sync within which it was read. */
  sync: Schema.optional(Schema.Int),
  /** The document whose place this one takes: its removal and this one's commit are one append. */
  movedFrom: Schema.optional(DocumentId),
  /** With which order key that was asked for, where an earlier submission asked, whose move this one takes over. */
  moveKey: Schema.optional(Schema.String)
}) {}

/** What a chunker made of a version: the resolved descriptor, the stored text, the list of chunks. */
const chunked = {
  documentId: DocumentId,
  version: DocumentVersion,
  chunker: CodeFingerprint,
  descriptor: Digest,
  textBlob: Digest,
  manifestBlob: Digest,
  count: Schema.NonNegativeInt
}

export class DocumentChunked extends Schema.TaggedClass<DocumentChunked>()("DocumentChunked", chunked) {}

/** A chunked version with all its vectors under one model. A fold takes the contents only if the root matches. */
const embedded = {
  ...chunked,
  model: CodeFingerprint,
  /** See `vectorsRoot` of events/Vectors.ts. */
  vectorsRoot: Digest
}

/** The commit point: the version is visible from here on, and its predecessor no longer. */
export class DocumentCommitted extends Schema.TaggedClass<DocumentCommitted>()(
  "DocumentCommitted",
  embedded
) {}

/** Completes a committed version under another (chunker, model), for every generation of that pair. */
export class DocumentBuilt extends Schema.TaggedClass<DocumentBuilt>()("DocumentBuilt", embedded) {}

/** Why a version could not be made searchable. `code` is for programs, `message` holds no content. */
export const Reason = Schema.Struct({ code: Schema.String, message: Schema.String })
export type Reason = typeof Reason.Type

/** The mutation is over without a commit; the former version stays live. */
export class DocumentRejected extends Schema.TaggedClass<DocumentRejected>()("DocumentRejected", {
  documentId: DocumentId,
  version: DocumentVersion,
  reason: Reason
}) {}

export const RemovalReason = Schema.Literal(
  /** A person or program asked for it; the path stays excluded until it is added again. */
  "requested",
  /** Its source has it no more: a complete scan did not meet it, or left it out (ignored, excluded, too large to be read). */
  "missing",
  /** It stands under another external id now. */
  "moved",
  /** Its newest content has nothing to search: it is empty, binary or too large. */
  "skipped",
  /** Its source was removed. */
  "source",
  /** An accepted rollback found its content gone. */
  "lost"
)
export type RemovalReason = typeof RemovalReason.Type

/** The document is not to be found from here on. Also rolls back an open mutation of it. */
export class DocumentRemoved extends Schema.TaggedClass<DocumentRemoved>()("DocumentRemoved", {
  documentId: DocumentId,
  reason: RemovalReason,
  commandId: Schema.String,
  orderKey: Schema.String,
  sync: Schema.optional(Schema.Int)
}) {}

/**
 * Everything of the document up to `version` is erased: bytes, text, title, path, metadata, vectors. Nobody finds it from
 * here on; whoever folds the log meets contents that are gone.
 */
export class DocumentErased extends Schema.TaggedClass<DocumentErased>()("DocumentErased", {
  documentId: DocumentId,
  version: DocumentVersion,
  commandId: Schema.String
}) {}

export const DocumentEvent = Schema.Union(
  DocumentSubmitted,
  DocumentChunked,
  DocumentCommitted,
  DocumentBuilt,
  DocumentRejected,
  DocumentRemoved,
  DocumentErased
)
export type DocumentEvent = typeof DocumentEvent.Type

export const documentStream = (id: DocumentId): string => `document-${id}`
