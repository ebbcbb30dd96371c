/** The words of a point as the ledger keeps them. */
import { ascending } from "../documents/RadixSort.ts"

/** Ascending ids as differences in LEB128: about a byte a word. */
export const encodeIds = (ids: Float64Array): Buffer => {
  const sorted = inOrder(ids)
  // An id is an integer of at most 53 bits: eight bytes of seven.
  const bytes = Buffer.allocUnsafe(sorted.length * 8)
  let size = 0
  let last = 0
  for (const id of sorted) {
    let rest = id - last
    last = id
    while (rest >= 0x80) {
      bytes[size++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    bytes[size++] = rest
  }
  return Buffer.from(bytes.subarray(0, size))
}

/** As numbers of 32 bits, which most are, they take a fraction of the time. */
const inOrder = (ids: Float64Array): Float64Array => {
  const narrow = new Uint32Array(ids)
  for (let at = 0; at < ids.length; at++) if (ids[at] !== narrow[at]) return ids.toSorted()
  const order = ascending(narrow)
  const sorted = new Float64Array(ids.length)
  for (let at = 0; at < ids.length; at++) sorted[at] = narrow[order[at] ?? 0] ?? 0
  return sorted
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
