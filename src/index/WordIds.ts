/** The words of a point as the ledger keeps them. */
import { ascending } from "../documents/RadixSort.ts"

/** Of the ids at hand: in 32 bits, and encoded. */
let narrow = new Uint32Array(1 << 10)
let encoded = Buffer.allocUnsafeSlow(1 << 13)
/** An id is an integer of at most 53 bits: eight bytes of seven. */
const mostBytes = 8

/** The first `size` of the ids in ascending order, as differences in LEB128: about a byte a word. */
export const encodeIds = (ids: Float64Array, size: number = ids.length): Buffer => {
  if (size > narrow.length) {
    narrow = new Uint32Array(2 * size)
    encoded = Buffer.allocUnsafeSlow(2 * size * mostBytes)
  }
  let isNarrow = true
  for (let at = 0; at < size; at++) {
    const id = ids[at] ?? 0
    narrow[at] = id
    isNarrow &&= narrow[at] === id
  }
  // As numbers of 32 bits, which most are, they take a fraction of the time.
  return Buffer.from(encoded.subarray(0, isNarrow ? encodeNarrow(size) : encodeWide(ids.subarray(0, size))))
}

const encodeNarrow = (size: number): number => {
  const order = ascending(narrow, size)
  let end = 0
  let last = 0
  for (let at = 0; at < size; at++) {
    const id = narrow[order[at] ?? 0] ?? 0
    let rest = id - last
    last = id
    while (rest >= 0x80) {
      encoded[end++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    encoded[end++] = rest
  }
  return end
}

const encodeWide = (ids: Float64Array): number => {
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
