/**
 * Small sets of unsigned 32-bit numbers in order. Numbers that lie well spread, as hashes do, are put into buckets by their
 * highest bits, which leaves little to move. Any others go byte by byte from the lowest (Hollerith's radix sort): without a
 * comparison that a processor could guess wrong, and in as many steps whatever they are. Both are stable.
 */

let places = new Uint32Array(1 << 10)
let others = new Uint32Array(1 << 10)
const counts = new Uint32Array(256)

/** Above it buckets hold too many. */
const mostInBuckets = 4096
/** Moves for each number that are still quicker than going through all bytes. */
const mostMoves = 6

/**
 * The places of the first `size` of `keys` by ascending key, equal ones as they stood. Holds until the next call; what follows
 * is no part of it.
 */
export const ascending = (keys: Uint32Array, size: number = keys.length): Uint32Array => {
  if (size > places.length) {
    places = new Uint32Array(2 * size)
    others = new Uint32Array(2 * size)
  }
  if (size > mostInBuckets || !inBuckets(keys, size)) byteByByte(keys, size)
  return places
}

/** False where it was given up. */
const inBuckets = (keys: Uint32Array, size: number): boolean => {
  let all = 0
  for (let at = 0; at < size; at++) all |= keys[at] ?? 0
  const shift = Math.max(0, 24 - Math.clz32(all))
  counts.fill(0)
  for (let at = 0; at < size; at++) {
    const bucket = (keys[at] ?? 0) >>> shift
    counts[bucket] = (counts[bucket] ?? 0) + 1
  }
  beginnings()
  for (let at = 0; at < size; at++) {
    const bucket = (keys[at] ?? 0) >>> shift
    const to = counts[bucket] ?? 0
    counts[bucket] = to + 1
    places[to] = at
  }
  let moves = mostMoves * size
  for (let at = 1; at < size; at++) {
    const place = places[at] ?? 0
    const key = keys[place] ?? 0
    let to = at
    for (; to > 0 && (keys[places[to - 1] ?? 0] ?? 0) > key; to--) places[to] = places[to - 1] ?? 0
    places[to] = place
    moves -= at - to
    if (moves < 0) return false
  }
  return true
}

const byteByByte = (keys: Uint32Array, size: number): void => {
  for (let at = 0; at < size; at++) places[at] = at
  for (let shift = 0; shift < 32; shift += 8) {
    counts.fill(0)
    for (let at = 0; at < size; at++) {
      const digit = ((keys[at] ?? 0) >>> shift) & 255
      counts[digit] = (counts[digit] ?? 0) + 1
    }
    if (counts[((keys[0] ?? 0) >>> shift) & 255] === size) continue
    beginnings()
    for (let at = 0; at < size; at++) {
      const place = places[at] ?? 0
      const digit = ((keys[place] ?? 0) >>> shift) & 255
      const to = counts[digit] ?? 0
      counts[digit] = to + 1
      others[to] = place
    }
    const sorted = others
    others = places
    places = sorted
  }
}

/** From how many there are of each to where each begins. */
const beginnings = (): void => {
  let next = 0
  for (let digit = 0; digit < 256; digit++) {
    const count = counts[digit] ?? 0
    counts[digit] = next
    next += count
  }
}
