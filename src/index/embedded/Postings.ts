/**
 * The sparse side of a segment, turned around: for each token the members that have it, and with what weight.
 *
 * A member is a point's place in its segment, so that a query adds up a segment's scores in an array that fits a cache.
 */
import type { SparseVector } from "../Index.ts"

/** Members are stored as u16. */
export const maxMembers = 65_536

/** Row `i` of the postings is `tokens[i]` with `members` and `weights` from `starts[i]` up to `starts[i + 1]`. */
export interface Postings {
  /** Ascending, unsigned. */
  readonly tokens: Uint32Array
  readonly starts: Uint32Array
  /** Ascending within a token. */
  readonly members: Uint16Array
  readonly weights: Float32Array
}

/** Two passes: count each token, then put each weight where it belongs. Linear but for the sort of distinct tokens. */
export const invert = (vectors: ReadonlyArray<SparseVector>): Postings => {
  let total = 0
  for (const { ids } of vectors) total += ids.length
  const slots = new Map<number, number>()
  const slotOf = new Uint32Array(total)
  const counts: Array<number> = []
  let at = 0
  for (const { ids } of vectors) {
    for (let i = 0; i < ids.length; i++) {
      const token = ids[i] ?? 0
      let slot = slots.get(token)
      if (slot === undefined) {
        slot = slots.size
        slots.set(token, slot)
        counts.push(0)
      }
      counts[slot] = (counts[slot] ?? 0) + 1
      slotOf[at++] = slot
    }
  }
  const tokens = Uint32Array.from(slots.keys()).sort()
  const starts = new Uint32Array(tokens.length + 1)
  const next = new Uint32Array(tokens.length)
  let start = 0
  for (let row = 0; row < tokens.length; row++) {
    const slot = slots.get(tokens[row] ?? 0) ?? 0
    starts[row] = start
    next[slot] = start
    start += counts[slot] ?? 0
  }
  starts[tokens.length] = start
  const members = new Uint16Array(total)
  const weights = new Float32Array(total)
  at = 0
  for (let member = 0; member < vectors.length; member++) {
    const vector = vectors[member]
    if (vector === undefined) continue
    for (let i = 0; i < vector.ids.length; i++) {
      const slot = slotOf[at++] ?? 0
      const place = next[slot] ?? 0
      members[place] = member
      weights[place] = vector.weights[i] ?? 0
      next[slot] = place + 1
    }
  }
  return { tokens, starts, members, weights }
}
