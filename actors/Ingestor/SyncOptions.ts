/** How passes over sources are run. */
import type { Deferred } from "effect"
import type { RawPath } from "../../src/sources/RawPath.ts"

export interface SyncSettings {
  /** Documents submitted whose end is awaited at a time. */
  readonly window: number
  /** Bytes of files in memory at a time. One larger file is read alone. */
  readonly inFlightBytes: number
  /** More than this share of a source's live documents is not removed without approval … */
  readonly heldShare: number
  /** … in a source with more than this many of them. */
  readonly heldAbove: number
  /** Files to look at that are remembered while the scan goes on; beyond it moves are no longer recognised. */
  readonly pending: number
}

/**
 * Half of the documents of a source of more than ten: a `git checkout` of another branch passes, an unmounted part or a
 * glob that is too narrow does not.
 */
export const defaultSyncSettings: SyncSettings = {
  window: 512,
  inFlightBytes: 64 * 1024 * 1024,
  heldShare: 0.5,
  heldAbove: 10,
  pending: 250_000
}

export interface SyncOptions {
  /** Reads and hashes every file, whatever its size and times say. */
  readonly full?: boolean
  /** Removes what would be held. */
  readonly approveRemovals?: boolean
  /** What lies at or below these paths, and nothing else. What was removed there on request is added again. */
  readonly only?: ReadonlyArray<RawPath>
  /** When it is done, nothing more is submitted; what is under way is finished. */
  readonly stop?: Deferred.Deferred<void>
}
