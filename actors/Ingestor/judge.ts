/**
 * What a file means for its document: pure and total.
 */
import type { Digest } from "../../events/Ids.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"

export type Verdict =
  /** The Coordinator has to see these bytes. */
  | { readonly _tag: "Submit" }
  | { readonly _tag: "Unchanged" }
  | { readonly _tag: "Skipped" }
  /** The same content is under way since an earlier pass. */
  | { readonly _tag: "Wait"; readonly version: number }

/** There is something to remove: a version that is found, or one that may yet be. */
export const isThere = (row: DocumentRow | undefined): row is DocumentRow =>
  row !== undefined && (row.live !== undefined || row.open !== undefined || row.parked !== undefined)

/** Whether the newest version is the one that is found. */
export const isSettled = (row: DocumentRow): boolean =>
  row.removed === undefined && row.open === undefined && row.live?.version === row.submittedVersion

/** A person took it out; it stays out until somebody adds its path again. */
export const isTakenOut = (row: DocumentRow | undefined): boolean => row?.removed === "requested"

/**
 * `readmit`: its path was named by somebody who adds it; what was skipped is looked at once more then. A parked version is
 * submitted again, because the code that failed on it may have changed; the Coordinator answers at once where it has not.
 */
export const judge = (
  row: DocumentRow | undefined,
  content: { readonly raw: Digest; readonly descriptor: Digest },
  readmit: boolean
): Verdict => {
  if (row === undefined) return { _tag: "Submit" }
  if (isTakenOut(row) && !readmit) return { _tag: "Skipped" }
  if (row.raw !== content.raw || row.descriptor !== content.descriptor) return { _tag: "Submit" }
  if (row.open !== undefined) return { _tag: "Wait", version: row.open.version }
  if (row.removed === "skipped" && !readmit) return { _tag: "Skipped" }
  return isSettled(row) ? { _tag: "Unchanged" } : { _tag: "Submit" }
}

/** Within two seconds of being read, a file may change again without a trace in its times. */
const racyNs = 2_000_000_000n

/** What stands for the time of a file that has to be read again next time: no file has it. */
const never = -1n

/** The stamp to remember: one that the next pass may trust. */
export const trusted = <Stamp extends { readonly mtimeNs: bigint }>(stamp: Stamp, nowMs: number): Stamp =>
  stamp.mtimeNs > BigInt(nowMs) * 1_000_000n - racyNs ? { ...stamp, mtimeNs: never } : stamp

/** Whether so many removals wait for approval. */
export const isHeld = (
  removals: number,
  live: number,
  settings: { readonly heldShare: number; readonly heldAbove: number }
): boolean => live > settings.heldAbove && removals > settings.heldShare * live
