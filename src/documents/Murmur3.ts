/**
 * MurmurHash3, x86, 32 bit (Austin Appleby, public domain), over the UTF-8 bytes of a string. Not for secrets: anyone
 * can make two strings collide.
 */
const c1 = 0xcc9e2d51
const c2 = 0x1b873593

const mixBlock = (hash: number, block: number): number => {
  let k = Math.imul(block, c1)
  k = (k << 15) | (k >>> 17)
  const h = hash ^ Math.imul(k, c2)
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0
}

/** Spreads every input bit over all output bits; unsigned. */
export const finalMix = (hash: number): number => {
  let h = hash ^ (hash >>> 16)
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

const encoder = new TextEncoder()

/** Unsigned 32 bit. A lone surrogate hashes as U+FFFD. */
export const murmur3 = (text: string, seed = 0): number => {
  let hash = seed | 0
  let block = 0
  let shift = 0
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return murmur3Bytes(encoder.encode(text), seed)
    block |= code << shift
    if (shift === 24) {
      hash = mixBlock(hash, block)
      block = 0
      shift = 0
    } else shift += 8
  }
  return finish(hash, block, shift, text.length)
}

/** Unsigned 32 bit. */
export const murmur3Bytes = (bytes: Uint8Array, seed = 0): number => {
  let hash = seed | 0
  let block = 0
  let shift = 0
  for (const byte of bytes) {
    block |= byte << shift
    if (shift === 24) {
      hash = mixBlock(hash, block)
      block = 0
      shift = 0
    } else shift += 8
  }
  return finish(hash, block, shift, bytes.length)
}

const finish = (hash: number, tail: number, shift: number, length: number): number => {
  let h = hash
  if (shift > 0) {
    let k = Math.imul(tail, c1)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, c2)
  }
  return finalMix(h ^ length)
}
