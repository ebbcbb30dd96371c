/**
 * The fingerprint of an index, computed a second time and from its definition alone.
 *
 *     leaf    = SHA-256( chunk id as 16 raw bytes || SHA-256(payload, canonical JSON in UTF-8)
 *                        || SHA-256(sparse vector: (u32, f32) little-endian pairs sorted by id)
 *                        || SHA-256(dense vector: float32 little endian) )
 *     bucket  = first raw byte of the chunk id; its state: (sum of its leaves as big-endian integers mod 2^256, count)
 *     project = SHA-256 over the 256 buckets in order, each: sum (32 bytes, big endian) || count (u64, big endian)
 *     all     = SHA-256 over each project with at least one visible chunk, sorted by `team/project`:
 *               u32 big-endian length of the key || key || the project's fingerprint as 32 raw bytes
 *
 * Shares no code with `src/`.
 */
import { createHash } from "node:crypto"

/** What a leaf covers. `payload` and the vectors in the bytes that are stored. */
export interface LeafParts {
  readonly chunkId: string
  readonly payload: string | Uint8Array
  readonly sparse: Uint8Array
  readonly dense: Uint8Array
}

/** A visible chunk, reduced to what the fingerprint needs. `leaf` is 64 hexadecimal digits. */
export interface VisibleLeaf {
  readonly chunkId: string
  readonly leaf: string
}

const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest()

const rawId = (id: string): Buffer => {
  const bytes = Buffer.from(id.replaceAll("-", ""), "hex")
  if (bytes.length !== 16) throw new Error(`${id} is no UUID.`)
  return bytes
}

export const leafOf = (parts: LeafParts): string =>
  createHash("sha256")
    .update(rawId(parts.chunkId))
    .update(sha256(parts.payload))
    .update(sha256(parts.sparse))
    .update(sha256(parts.dense))
    .digest("hex")

const modulus = 1n << 256n

/** Order does not matter: buckets are sums. */
export const projectFingerprint = (leaves: Iterable<VisibleLeaf>): string => {
  const sums = new Array<bigint>(256).fill(0n)
  const counts = new Array<bigint>(256).fill(0n)
  for (const { chunkId, leaf } of leaves) {
    const bucket = Number.parseInt(chunkId.slice(0, 2), 16)
    sums[bucket] = ((sums[bucket] ?? 0n) + BigInt(`0x${leaf}`)) % modulus
    counts[bucket] = (counts[bucket] ?? 0n) + 1n
  }
  const bytes = Buffer.alloc(256 * 40)
  for (let bucket = 0; bucket < 256; bucket++) {
    // An empty one is all zeros.
    if (counts[bucket] === 0n) continue
    bytes.write((sums[bucket] ?? 0n).toString(16).padStart(64, "0"), bucket * 40, "hex")
    bytes.writeBigUInt64BE(counts[bucket] ?? 0n, bucket * 40 + 32)
  }
  return sha256(bytes).toString("hex")
}

/** Over all projects, by `team/project`. Projects without a visible chunk do not count. */
export const overallFingerprint = (projects: ReadonlyMap<string, ReadonlyArray<VisibleLeaf>>): string => {
  const hash = createHash("sha256")
  for (const key of [...projects.keys()].sort()) {
    const leaves = projects.get(key) ?? []
    if (leaves.length === 0) continue
    const length = Buffer.alloc(4)
    length.writeUInt32BE(Buffer.byteLength(key))
    hash.update(length).update(key).update(projectFingerprint(leaves), "hex")
  }
  return hash.digest("hex")
}

/** (u32, f32) little-endian pairs sorted by id. */
export const sparseBytes = (weights: ReadonlyMap<number, number>): Buffer => {
  const bytes = Buffer.alloc(weights.size * 8)
  let offset = 0
  for (const [id, weight] of [...weights].sort(([one], [other]) => one - other)) {
    bytes.writeUInt32LE(id, offset)
    bytes.writeFloatLE(weight, offset + 4)
    offset += 8
  }
  return bytes
}
