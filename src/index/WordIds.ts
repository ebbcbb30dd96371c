/** The words of a point as the ledger keeps them. */

/** Of the ids at hand, encoded. */
let encoded = Buffer.allocUnsafeSlow(1 << 13)
/** An id is an integer of at most 53 bits: eight bytes of seven. */
const mostBytes = 8

/** Ids below it are put in order by marking them. */
const mostMarked = 1 << 22
/** A bit for each id, and one for each 32 of those that are not all 0. All are 0 between two calls. */
let marks = new Int32Array(1 << 11)
let marked = new Int32Array(1 << 6)

/** The first `size` of the ids, which are distinct, in ascending order, as differences in LEB128: about a byte a word. */
export const encodeIds = (ids: Float64Array, size: number = ids.length): Buffer => {
  if (mostBytes * size > encoded.length) encoded = Buffer.allocUnsafeSlow(2 * mostBytes * size)
  let highest = 0
  for (let at = 0; at < size; at++) highest = Math.max(highest, ids[at] ?? 0)
  return Buffer.from(
    encoded.subarray(
      0,
      highest < mostMarked ? encodeMarked(ids, size, highest) : encodeAny(ids.subarray(0, size))
    )
  )
}

/** Without a comparison that a processor could guess wrong: sorting them took ten times as long. */
const encodeMarked = (ids: Float64Array, size: number, highest: number): number => {
  if (highest >= 32 * marks.length) {
    marks = new Int32Array(2 ** Math.ceil(Math.log2(highest + 1) - 5))
    marked = new Int32Array(Math.max(1, marks.length >> 5))
  }
  for (let at = 0; at < size; at++) {
    const id = ids[at] ?? 0
    marks[id >> 5] = (marks[id >> 5] ?? 0) | (1 << id)
    marked[id >> 10] = (marked[id >> 10] ?? 0) | (1 << (id >> 5))
  }
  let end = 0
  let last = 0
  for (let group = 0; group <= highest >> 10; group++) {
    let words = marked[group] ?? 0
    marked[group] = 0
    for (; words !== 0; words &= words - 1) {
      const at = (group << 5) + lowestBit(words)
      let bits = marks[at] ?? 0
      marks[at] = 0
      for (; bits !== 0; bits &= bits - 1) {
        const id = (at << 5) + lowestBit(bits)
        let rest = id - last
        last = id
        while (rest >= 0x80) {
          encoded[end++] = (rest & 0x7f) | 0x80
          rest >>>= 7
        }
        encoded[end++] = rest
      }
    }
  }
  return end
}

/** The place of the lowest bit that is 1. */
const lowestBit = (bits: number): number => 31 - Math.clz32(bits & -bits)

const encodeAny = (ids: Float64Array): number => {
  let end = 0
  let last = 0
  for (const id of ids.toSorted()) {
    let rest = id - last
    last = id
    while (rest >= 0x80) {
      encoded[end++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    encoded[end++] = rest
  }
  return end
}

export const decodeIds = (bytes: Uint8Array): Array<number> => {
  const ids: Array<number> = []
  let last = 0
  let value = 0
  let factor = 1
  for (const byte of bytes) {
    value += (byte & 0x7f) * factor
    factor *= 0x80
    if (byte < 0x80) {
      last += value
      ids.push(last)
      value = 0
      factor = 1
    }
  }
  return ids
}
