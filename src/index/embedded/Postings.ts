/**
 * The sparse side of a segment, turned around: for each token the members that have it, and with what weight.
 *
 * A member is a point's place in its segment, so that a query adds up a segment's scores in an array that fits a cache.
 */
import { randomInt } from "node:crypto"
import { ascending } from "../../documents/RadixSort.ts"
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

/**
 * Counts each token's members first, then puts every pair at its place: nothing is sorted but the distinct tokens, and
 * members stay in their order.
 */
export const invert = (vectors: ReadonlyArray<SparseVector>): Postings => {
  const distinct = new Tokens()
  let total = 0
  for (const { ids } of vectors) total += ids.length
  const numbers = new Uint32Array(total)
  let pair = 0
  for (const { ids } of vectors)
    for (let at = 0; at < ids.length; at++) numbers[pair++] = distinct.count(ids[at] ?? 0)

  const found = distinct.tokens.slice(0, distinct.size)
  const order = ascending(found)
  const tokens = new Uint32Array(found.length)
  const starts = new Uint32Array(found.length + 1)
  /** Where the next pair of a token goes, by the token's number. */
  const next = new Uint32Array(found.length)
  for (let row = 0; row < found.length; row++) {
    const number = order[row] ?? 0
    tokens[row] = found[number] ?? 0
    next[number] = starts[row] ?? 0
    starts[row + 1] = (starts[row] ?? 0) + (distinct.counts[number] ?? 0)
  }
  const members = new Uint16Array(total)
  const weights = new Float32Array(total)
  pair = 0
  for (let member = 0; member < vectors.length; member++) {
    const { weights: given } = vectors[member] ?? nothing
    for (let at = 0; at < given.length; at++) {
      const number = numbers[pair++] ?? 0
      const to = next[number] ?? 0
      next[number] = to + 1
      members[to] = member
      weights[to] = given[at] ?? 0
    }
  }
  return { tokens, starts, members, weights }
}

const nothing: SparseVector = { ids: new Uint32Array(0), weights: new Float32Array(0) }

/** Odd, and nobody's to know: whoever writes texts cannot choose words that all fall into one place. */
const scatter = randomInt(2 ** 31) | 1

const placeOf = (token: number, mask: number): number => {
  const mixed = Math.imul(token, scatter)
  return (mixed ^ (mixed >>> 16)) & mask
}

/** Distinct tokens, numbered as they come, in a hash table with open addressing. */
class Tokens {
  size = 0
  tokens = new Uint32Array(1 << 10)
  counts = new Uint32Array(1 << 10)
  /** A token's number plus one, 0 where it is free. At most half are taken. */
  #slots = new Uint32Array(1 << 11)

  /** Answers the token's number. */
  count(token: number): number {
    const mask = this.#slots.length - 1
    for (let slot = placeOf(token, mask); ; slot = (slot + 1) & mask) {
      const number = (this.#slots[slot] ?? 0) - 1
      if (number < 0) return this.#begin(token, slot)
      if (this.tokens[number] !== token) continue
      this.counts[number] = (this.counts[number] ?? 0) + 1
      return number
    }
  }

  #begin(token: number, slot: number): number {
    if (this.size === this.tokens.length) {
      this.#widen()
      return this.count(token)
    }
    this.tokens[this.size] = token
    this.counts[this.size] = 1
    this.size += 1
    this.#slots[slot] = this.size
    return this.size - 1
  }

  #widen(): void {
    const [tokens, counts] = [this.tokens, this.counts]
    this.tokens = new Uint32Array(2 * this.size)
    this.counts = new Uint32Array(2 * this.size)
    this.tokens.set(tokens)
    this.counts.set(counts)
    this.#slots = new Uint32Array(4 * this.size)
    const mask = this.#slots.length - 1
    for (let number = 0; number < this.size; number++) {
      let slot = placeOf(tokens[number] ?? 0, mask)
      while (this.#slots[slot] !== 0) slot = (slot + 1) & mask
      this.#slots[slot] = number + 1
    }
  }
}
