/**
 * Vectors are paid for, so none of them is left with a process that may end: what is too large for a message travels as
 * several results, each of which the server stores. Whoever takes them cannot tell them from smaller batches.
 */
import type { WorkResult } from "../Bus.ts"
import { encodeResult } from "./MessageCodec.ts"

/** Of an input's digest in the head: 64 digits, quotes, a comma. */
const digestBytes = 67

/** The result, or parts of it that have `mostBytes` as a frame; a single vector that is larger stays whole. */
export const divided = (result: WorkResult, mostBytes: number): ReadonlyArray<WorkResult> => {
  if (result._tag !== "Vectors") return [result]
  const { batchId, vectors } = result
  const each = digestBytes + (vectors[0]?.vector.byteLength ?? 0)
  if (vectors.length * each < mostBytes / 2) return [result]
  const bare = encodeResult({ ...result, batchId: `${batchId}-${vectors.length}`, vectors: [] }).length
  const together = Math.max(1, Math.floor((mostBytes - bare) / each))
  if (vectors.length <= together) return [result]
  return Array.from({ length: Math.ceil(vectors.length / together) }, (_, at) => ({
    ...result,
    batchId: `${batchId}-${at + 1}`,
    vectors: vectors.slice(at * together, (at + 1) * together),
    // What it cost is counted once.
    ...(at > 0 && { tokens: 0, elapsedMs: 0 })
  }))
}
