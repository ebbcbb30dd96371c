/**
 * Synchronous reading of log and content for cores that run in a worker (fold, search, verification).
 *
 * Implementations hold read-only connections of their own. Everything is bounded: callers page.
 */
import type { StoredEvent } from "../../events/Envelope.ts"
import type { CodeFingerprint, Digest, DocumentId } from "../../events/Ids.ts"
import type { EventFilter, Head } from "./Log.ts"

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
  readonly head: () => Head
  /** At most `limit` events in (after, upTo], by position, their data parsed but not schema-checked. */
  readonly events: (
    after: number,
    upTo: number,
    limit: number,
    filter?: EventFilter
  ) => ReadonlyArray<StoredEvent>
  /** Checked against its digest: throws `ContentDamaged` where the bytes differ. */
  readonly blob: (team: string, project: string, digest: Digest) => Uint8Array | undefined
  readonly vectors: (
    team: string,
    project: string,
    model: CodeFingerprint,
    inputs: ReadonlyArray<Digest>
  ) => ReadonlyArray<Float32Array | undefined>
  /** The version that is committed at `position` and not ended there, if any. */
  readonly versionAt: (
    documentId: DocumentId,
    position: number
  ) => { readonly version: number; readonly sourceId: string; readonly committedAt: number } | undefined
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
