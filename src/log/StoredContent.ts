/**
 * Stored bodies and vectors as they come back: unpacked, and compared with their digest before anybody sees them.
 */
import { hash } from "node:crypto"
import { inflateSync } from "node:zlib"
import { encodings, littleEndian } from "./ContentStore.ts"
import { ContentDamaged } from "./LogSnapshot.ts"

export interface BlobRow {
  readonly encoding: number
  readonly size: number
  readonly bytes: Buffer
}

export interface VectorRow {
  readonly digest: Buffer
  readonly vector: Buffer
}

/** Throws `ContentDamaged` where the bytes are not those of the digest. */
export const unpackBlob = (digest: string, row: BlobRow): Uint8Array => {
  const bytes = row.encoding === encodings.deflate ? inflated(digest, row) : row.bytes
  if (hash("sha256", bytes, "hex") !== digest) throw new ContentDamaged("blob", digest)
  return bytes
}

/** What is inflated never exceeds the size that was stored with it, whatever the damaged bytes say. */
const inflated = (digest: string, row: BlobRow): Buffer => {
  try {
    const size = Math.max(row.size, 1)
    // With a byte to spare all comes in one piece; zlib's own pieces of 16 KiB would be put together.
    return inflateSync(row.bytes, { maxOutputLength: size, chunkSize: within(64, size + 1, 1 << 20) })
  } catch {
    throw new ContentDamaged("blob", digest)
  }
}

const within = (least: number, value: number, most: number): number => Math.min(most, Math.max(least, value))

/** Throws `ContentDamaged`, named by the input's hash, where the bytes are not those of the row's digest. */
export const unpackVector = (input: string, row: VectorRow): Float32Array => {
  const { digest, vector } = row
  if (vector.length % 4 !== 0 || hash("sha256", vector, "hex") !== digest.toString("hex")) {
    throw new ContentDamaged("vector", input)
  }
  return vectorOf(vector)
}

/** The vector of stored bytes (float32, little endian), aligned and of its own memory: that of the bytes where it is theirs alone. */
export const vectorOf = (bytes: Uint8Array): Float32Array => {
  if (littleEndian && bytes.length === bytes.buffer.byteLength && bytes.buffer instanceof ArrayBuffer)
    return new Float32Array(bytes.buffer)
  const values = new Float32Array(bytes.length / 4)
  if (littleEndian) {
    new Uint8Array(values.buffer).set(bytes)
    return values
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < values.length; at++) values[at] = view.getFloat32(at * 4, true)
  return values
}
