/**
 * What crosses to the writer and back, whichever thread it runs in: plain data only.
 */
import type { EventEncoded } from "../../events/Catalogue.ts"
import type { Digest, Position } from "../../events/Ids.ts"
import type { Append, BlobPut, Head, OperationalChange, VectorPut } from "./Log.ts"

/** An append as it crosses to the writer: its events are encoded by their schema, `_tag` included. */
export interface EncodedAppend extends Omit<Append, "events"> {
  readonly events: ReadonlyArray<{ readonly stream: string; readonly event: EventEncoded }>
}

/** A `WriteBatch` as it crosses to the writer. The core has no clock: the time comes along. */
export interface WriteRequest {
  readonly recordedAt: number
  readonly blobs: ReadonlyArray<BlobPut>
  readonly vectors: ReadonlyArray<VectorPut>
  readonly appends: ReadonlyArray<EncodedAppend>
  readonly operational: ReadonlyArray<OperationalChange>
}

export type Refusal =
  | {
      readonly _tag: "VersionConflict"
      readonly stream: string
      readonly expected: number
      readonly actual: number
    }
  | { readonly _tag: "HeadMoved"; readonly expected: Position; readonly actual: Position }
  | { readonly _tag: "ContentMissing"; readonly missing: ReadonlyArray<Digest> }

export interface AppendedAt {
  readonly firstPosition: number
  readonly lastPosition: number
  readonly lastSequence: number
  readonly repeated: boolean
}

export type AppendAnswer =
  | { readonly _tag: "Appended"; readonly appended: AppendedAt }
  | { readonly _tag: "Refused"; readonly refusal: Refusal }

export type WriteOutcome =
  | { readonly _tag: "Written"; readonly answers: ReadonlyArray<AppendAnswer> }
  | { readonly _tag: "Failed"; readonly operation: string; readonly reason: string }

export interface GroupResult {
  /** One for each request, in order. */
  readonly outcomes: ReadonlyArray<WriteOutcome>
  readonly head: Head
  /** The group is safe, but something beside it went wrong (the head file, a WAL checkpoint). */
  readonly warning: string | undefined
}
