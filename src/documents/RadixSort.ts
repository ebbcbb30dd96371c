/**
 * Small sets of unsigned 32-bit numbers in order, byte by byte from the lowest (Hollerith's radix sort): stable, and
 * without a comparison that a processor could guess wrong.
 */

let places = new Uint32Array(1 << 10)
let others = new Uint32Array(1 << 10)
const counts = new Uint32Array(256)

/** The places of `keys` by ascending key, equal ones as they stood. Holds until the next call; what follows is no part of it. */
export const ascending = (keys: Uint32Array): Uint32Array => {
  const size = keys.length
  if (size > places.length) {
    places = new Uint32Array(2 * size)
    others = new Uint32Array(2 * size)
  }
  for (let at = 0; at < size; at++) places[at] = at
  for (let shift = 0; shift < 32; shift += 8) {
    counts.fill(0)
    for (let at = 0; at < size; at++) {
      const digit = ((keys[at] ?? 0) >>> shift) & 255
      counts[digit] = (counts[digit] ?? 0) + 1
    }
    if (counts[((keys[0] ?? 0) >>> shift) & 255] === size) continue
    let next = 0
    for (let digit = 0; digit < 256; digit++) {
      const count = counts[digit] ?? 0
      counts[digit] = next
      next += count
    }
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
  return places
}
