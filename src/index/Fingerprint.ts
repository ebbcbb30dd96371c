/**
 * The digest that proves an index equals the fold of the log. It says what search can find, not how it came about.
 *
 * - leaf = SHA-256(chunk id as 16 raw bytes ‖ SHA-256(payload, canonical JSON in UTF-8) ‖ SHA-256(sparse, (u32, f32)
 *   pairs, little endian, sorted by id) ‖ SHA-256(dense, float32, little endian)). No position, no version number.
 * - bucket of a chunk = the first of its id's raw bytes; a bucket holds the sum of its leaves, as big-endian unsigned
 *   integers, modulo 2^256, and their count: free of order, and a leaf can be taken out again.
 * - fingerprint of a project = SHA-256 over the 256 buckets in order, each: sum (32 bytes, big endian) ‖ count (u64,
 *   big endian).
 * - fingerprint of all projects = SHA-256 over every project with at least one visible chunk, by `team/project` in code
 *   unit order: length of that key (u32, big endian) ‖ key ‖ the project's fingerprint (32 raw bytes).
 */
import { createHash, hash } from "node:crypto"
import { Digest } from "../../events/Ids.ts"
import type { SparseVector } from "./Index.ts"

/** Where a UUID's bytes have their two digits. */
const digitsAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]
const noDigit = 16
/** What a character of the lower case is worth, by its code. */
const digits = new Uint8Array(128).fill(noDigit)
for (let value = 0; value < 16; value++) digits[value.toString(16).charCodeAt(0)] = value

/** A UUID as its 16 raw bytes. What is none comes out as some other number of bytes, or with some of it left out. */
export const uuidBytes = (uuid: string): Buffer => {
  const bytes = Buffer.allocUnsafe(16)
  return putUuid(uuid, bytes, 0) ? bytes : Buffer.from(uuid.replaceAll("-", ""), "hex")
}

/** 16 raw bytes as a UUID. */
export const uuidText = (bytes: Uint8Array): string => {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

const dashes = [8, 13, 18, 23]
const dashCode = 0x2d

/** Puts a UUID's 16 raw bytes at a place. False where the text is not what {@link uuidText} makes of them. */
export const putUuid = (uuid: string, target: Uint8Array, place: number): boolean => {
  if (uuid.length !== 36) return false
  let all = 0
  for (let byte = 0; byte < 16; byte++) {
    const at = digitsAt[byte] ?? 0
    const high = digits[uuid.charCodeAt(at)] ?? noDigit
    const low = digits[uuid.charCodeAt(at + 1)] ?? noDigit
    all |= high | low
    target[place + byte] = (high << 4) | low
  }
  for (const at of dashes) if (uuid.charCodeAt(at) !== dashCode) return false
  return all < noDigit
}

let pairs = new Uint32Array(1 << 11)

/** (u32, f32) pairs, little endian: the order of bytes on the machines that Node runs on. */
export const sparseBytes = (sparse: SparseVector): Buffer => Buffer.from(sharedSparseBytes(sparse))

/** As {@link sparseBytes}. Holds until the next call. */
export const sharedSparseBytes = (sparse: SparseVector): Buffer => {
  if (2 * sparse.ids.length > pairs.length) pairs = new Uint32Array(4 * sparse.ids.length)
  // As words, so that every bit of a weight survives.
  const weights = new Uint32Array(sparse.weights.buffer, sparse.weights.byteOffset, sparse.weights.length)
  for (let at = 0; at < sparse.ids.length; at++) {
    pairs[2 * at] = sparse.ids[at] ?? 0
    pairs[2 * at + 1] = weights[at] ?? 0
  }
  return Buffer.from(pairs.buffer, 0, 8 * sparse.ids.length)
}

/** float32, little endian: the bytes of the array itself on the machines that Node runs on. */
export const denseBytes = (dense: Float32Array): Buffer =>
  Buffer.from(dense.buffer, dense.byteOffset, dense.byteLength)

export const digestBytes = (bytes: Uint8Array | string): Buffer =>
  Buffer.from(hash("sha256", bytes, "hex"), "hex")

/** A leaf's parts, side by side. */
const parts = Buffer.alloc(112)

/** The leaf of a chunk from the raw digests of its parts. */
export const leaf = (
  chunkId: Uint8Array,
  payloadDigest: Uint8Array,
  sparseDigest: Uint8Array,
  denseDigest: Uint8Array
): Buffer => {
  // A damaged id may have any length.
  if (chunkId.length !== 16)
    return digestBytes(Buffer.concat([chunkId, payloadDigest, sparseDigest, denseDigest]))
  parts.set(chunkId, 0)
  parts.set(payloadDigest, 16)
  parts.set(sparseDigest, 48)
  parts.set(denseDigest, 80)
  return digestBytes(parts)
}

/** Puts the leaf of the chunk whose id's raw bytes stand at a place at another one: what {@link leaf} answers, with nothing made on the way. */
export const putLeaf = (
  target: Buffer,
  chunkAt: number,
  payloadDigest: Uint8Array,
  sparse: Uint8Array,
  dense: Uint8Array,
  leafAt: number
): void => {
  target.copy(parts, 0, chunkAt, chunkAt + 16)
  parts.set(payloadDigest, 16)
  parts.write(hash("sha256", sparse, "hex"), 48, "hex")
  parts.write(hash("sha256", dense, "hex"), 80, "hex")
  target.write(hash("sha256", parts, "hex"), leafAt, "hex")
}

export const bucketOf = (chunkId: Uint8Array): number => chunkId[0] ?? 0

/** The sum of leaves modulo 2^256 as eight 32-bit limbs, most significant first, and how many there are. */
export class Bucket {
  readonly limbs = new Uint32Array(8)
  count = 0

  static from(sum: Uint8Array, count: number): Bucket {
    const bucket = new Bucket()
    const view = new DataView(sum.buffer, sum.byteOffset, 32)
    for (let limb = 0; limb < 8; limb++) bucket.limbs[limb] = view.getUint32(limb * 4)
    bucket.count = count
    return bucket
  }

  /** The leaf stands at a place of the bytes. */
  add(leaf: Uint8Array, at = 0): void {
    this.#combine(leaf, at, 1)
    this.count += 1
  }

  subtract(leaf: Uint8Array): void {
    this.#combine(leaf, 0, -1)
    this.count -= 1
  }

  get sum(): Buffer {
    const bytes = Buffer.allocUnsafe(32)
    for (let limb = 0; limb < 8; limb++) bytes.writeUInt32BE(this.limbs[limb] ?? 0, limb * 4)
    return bytes
  }

  #combine(leaf: Uint8Array, at: number, sign: 1 | -1): void {
    let carry = 0
    for (let limb = 7; limb >= 0; limb--) {
      const from = at + 4 * limb
      const bits =
        ((leaf[from] ?? 0) << 24) |
        ((leaf[from + 1] ?? 0) << 16) |
        ((leaf[from + 2] ?? 0) << 8) |
        (leaf[from + 3] ?? 0)
      const total = (this.limbs[limb] ?? 0) + sign * (bits >>> 0) + carry
      this.limbs[limb] = total
      carry = Math.floor(total / 0x1_0000_0000)
    }
  }
}

/** The 256 buckets of a project. */
export class Buckets {
  readonly buckets: ReadonlyArray<Bucket>

  constructor(buckets: ReadonlyArray<Bucket> = Array.from({ length: 256 }, () => new Bucket())) {
    this.buckets = buckets
  }

  /** The bucket into which a chunk falls. */
  of(chunkId: Uint8Array): Bucket {
    const bucket = this.buckets[bucketOf(chunkId)]
    if (bucket === undefined) throw new RangeError("A project has 256 buckets.")
    return bucket
  }

  get count(): number {
    return this.buckets.reduce((total, bucket) => total + bucket.count, 0)
  }

  get fingerprint(): Digest {
    const hash = createHash("sha256")
    const count = Buffer.alloc(8)
    for (const bucket of this.buckets) {
      count.writeBigUInt64BE(BigInt(bucket.count))
      hash.update(bucket.sum).update(count)
    }
    return Digest.make(hash.digest("hex"))
  }
}

/** Over all projects that have a visible chunk; `key` is `team/project`. */
export const overallFingerprint = (
  projects: Iterable<{ readonly key: string; readonly buckets: Buckets }>
): Digest => {
  const hash = createHash("sha256")
  const length = Buffer.alloc(4)
  const present = [...projects].filter(({ buckets }) => buckets.count > 0)
  for (const { key, buckets } of present.sort((one, other) => (one.key < other.key ? -1 : 1))) {
    const bytes = Buffer.from(key)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes).update(buckets.fingerprint, "hex")
  }
  return Digest.make(hash.digest("hex"))
}
