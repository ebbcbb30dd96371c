/**
 * Synchronous reading of log and content for cores that run in a worker (fold, search, verification).
 *
 * Implementations hold read-only connections of their own. Everything is bounded: callers page.
 */
import type { StoredEvent } from "../../events/Envelope.ts"
import type { CodeFingerprint, Digest, DocumentId, SourceId } from "../../events/Ids.ts"
import type { EventFilter, Head } from "./Log.ts"
import type { GenerationRow } from "./ReadModels.ts"

/** What a version became under one (chunker, model): a row of the `contents` read model, from Committed or Built. */
export interface VersionContents {
  readonly documentId: DocumentId
  readonly version: number
  readonly chunker: CodeFingerprint
  readonly model: CodeFingerprint
  /** The position of the event that completed it. */
  readonly position: number
  readonly descriptor: Digest
  readonly textBlob: Digest
  readonly manifestBlob: Digest
  readonly vectorsRoot: Digest
  readonly count: number
}

export interface LogSnapshot {
  /** Reads that see the log at one moment, and content at one moment after it. Many small reads cost half as much in it. */
  readonly together: <A>(read: () => A) => A
  readonly head: () => Head
  /** At most `limit` events in (after, upTo], by position, their data parsed but not schema-checked. */
  readonly events: (
    after: number,
    upTo: number,
    limit: number,
    filter?: EventFilter
  ) => ReadonlyArray<StoredEvent>
  /** How far, and no further than `upTo`, search sees what it sees at `after`. No more than some thousand events are looked at. */
  readonly sameUntil: (after: number, upTo: number) => number
  /** Checked against its digest: throws `ContentDamaged` where the bytes differ. */
  readonly blob: (team: string, project: string, digest: Digest) => Uint8Array | undefined
  readonly vectors: (
    team: string,
    project: string,
    model: CodeFingerprint,
    inputs: ReadonlyArray<Digest>
  ) => ReadonlyArray<StoredVector | undefined>
  /** The version that is committed at `position` and not ended there, if any. */
  readonly versionAt: (
    documentId: DocumentId,
    position: number
  ) => { readonly version: number; readonly sourceId: SourceId; readonly committedAt: number } | undefined
  /** The versions of a project that are committed at `position` and not ended there, by source, in the order of their first submission. */
  readonly versionsAt: (
    team: string,
    project: string,
    position: number,
    after: DocumentId | undefined,
    limit: number
  ) => ReadonlyArray<{
    readonly documentId: DocumentId
    readonly version: number
    readonly sourceId: SourceId
    readonly committedAt: number
  }>
  /** Projects that ever had an event. */
  readonly projects: () => ReadonlyArray<{ readonly team: string; readonly project: string }>
  /** All generations, in the order of opening, as of the snapshot's head. */
  readonly generations: () => ReadonlyArray<GenerationRow>
  /** The place of a log position among its project's events: what leaves the project's scope. */
  readonly sequenceAt: (team: string, project: string, position: number) => number
  /** The newest contents of a version under a pair, completed at or before `position`. */
  readonly contents: (
    documentId: DocumentId,
    version: number,
    chunker: CodeFingerprint,
    model: CodeFingerprint,
    position: number
  ) => VersionContents | undefined
  readonly close: () => void
}

/** A vector, and the SHA-256 of its bytes that it was compared with. */
export interface StoredVector {
  readonly vector: Float32Array
  readonly digest: Buffer
}

/** Stored bytes do not hash to their address. Named, located, never served. */
export class ContentDamaged extends Error {
  override readonly name = "ContentDamaged"
  readonly digest: string
  constructor(kind: "blob" | "vector", digest: string) {
    super(
      `The stored ${kind} ${digest} does not match its digest. Restore it from a backup: reprise log verify names every damaged one.`
    )
    this.digest = digest
  }
}
