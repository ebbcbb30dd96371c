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

const digitBits = 11
const digits = 1 << digitBits

/** A stable radix sort of all (token, member) pairs by token: linear, and members stay in their order. */
export const invert = (vectors: ReadonlyArray<SparseVector>): Postings => {
  let total = 0
  for (const { ids } of vectors) total += ids.length
  const sorted = sortedPlaces(vectors, total)
  const { members: memberAt, tokens: tokenAt, weights: weightAt } = sorted.flat
  const tokenOf = (at: number): number => tokenAt[sorted.order[at] ?? 0] ?? 0
  let distinct = 0
  for (let at = 0; at < total; at++) if (at === 0 || tokenOf(at) !== tokenOf(at - 1)) distinct++
  const tokens = new Uint32Array(distinct)
  const starts = new Uint32Array(distinct + 1)
  const members = new Uint16Array(total)
  const weights = new Float32Array(total)
  let rows = 0
  for (let at = 0; at < total; at++) {
    const place = sorted.order[at] ?? 0
    const token = tokenAt[place] ?? 0
    if (rows === 0 || tokens[rows - 1] !== token) {
      tokens[rows] = token
      starts[rows++] = at
    }
    members[at] = memberAt[place] ?? 0
    weights[at] = weightAt[place] ?? 0
  }
  starts[rows] = total
  return { tokens, starts, members, weights }
}

/** Every pair side by side, and their places by ascending token. */
const sortedPlaces = (vectors: ReadonlyArray<SparseVector>, total: number) => {
  const flat = {
    tokens: new Uint32Array(total),
    members: new Uint16Array(total),
    weights: new Float32Array(total)
  }
  let at = 0
  vectors.forEach(({ ids, weights }, member) => {
    flat.tokens.set(ids, at)
    flat.weights.set(weights, at)
    flat.members.fill(member, at, at + ids.length)
    at += ids.length
  })
  let order = new Uint32Array(total)
  for (let place = 0; place < total; place++) order[place] = place
  let next = new Uint32Array(total)
  for (let shift = 0; shift < 32; shift += digitBits) {
    const counts = new Uint32Array(digits + 1)
    for (const token of flat.tokens) {
      const digit = (token >>> shift) & (digits - 1)
      counts[digit + 1] = (counts[digit + 1] ?? 0) + 1
    }
    for (let digit = 1; digit <= digits; digit++)
      counts[digit] = (counts[digit] ?? 0) + (counts[digit - 1] ?? 0)
    for (const place of order) {
      const digit = ((flat.tokens[place] ?? 0) >>> shift) & (digits - 1)
      const to = counts[digit] ?? 0
      counts[digit] = to + 1
      next[to] = place
    }
    const done = order
    order = next
    next = done
  }
  return { flat, order }
}
