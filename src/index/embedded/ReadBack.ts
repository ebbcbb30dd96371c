/**
 * Reads a segment's points back once, in the order in which they were written: each as its leaf, and all that is derived
 * from them compared on the way. What a verification asks first: it says that everything is sound, or that something is
 * not; who wants to know what it is scans, and derives anew ({@link "./DerivedCheck.ts"}).
 */
import { randomInt } from "node:crypto"
import { digestBytes, putLeaf, putUuid } from "../Fingerprint.ts"
import { type ReadPoints, readLeafAt, readPointBytes } from "../Index.ts"
import { type CodeBlock, pointsPerBlock, strideOf } from "./Codes.ts"
import { bytesOf, numberOf, type Row, textOf, typedBytes, viewBytes } from "./Database.ts"
import type { ProjectFile } from "./ProjectFile.ts"
import { segmentPoints } from "./Segment.ts"
import { isWithinRange, type PostingBlock } from "./SegmentTables.ts"
import { encoderOf, type VectorEncoder, vectorsAtOnce } from "./VectorEncoder.ts"

export interface ReadSegment {
  /** Those visible at the position asked for, in order. */
  readonly points: ReadPoints
  /** Every point stands in the segment, with its own postings and codes. What belongs to points that are gone is left alone. */
  readonly isSound: boolean
  /** The ordinal to go on from. */
  readonly next: number | undefined
}

const pageRows = 250

/** The segment at ordinal `from` on. Within a read transaction. */
export const readSegment = (file: ProjectFile, at: number, from: number): ReadSegment => {
  const info = file.segments.at(from)
  const next = file.segments.after(info?.firstOrdinal ?? from - 1)?.firstOrdinal
  const notSound = { points: noPoints, isSound: false, next }
  if (info === undefined)
    return { ...notSound, isSound: file.rows(from, next ?? Number.MAX_SAFE_INTEGER, 1).length === 0 }
  if (info.points > segmentPoints || !(next === undefined || next > from)) return notSound
  const members = file.segments.ordinals(info.segment)
  if (info.firstOrdinal !== from || !isWithinRange(info, members, next)) return notSound
  const derived = new Derived(file, info.segment, members.length)
  const points = new Gathered(members.length)
  let payload = ""
  let payloadDigest = digestBytes(payload)
  let member = 0
  let present = 0
  const end = next ?? Number.MAX_SAFE_INTEGER
  for (let begin = from, isOver = false; !isOver; ) {
    const rows = file.rows(begin, end, pageRows)
    for (const row of rows) {
      const ordinal = numberOf(row[0])
      // Whether one was swept or lost the ledger tells.
      for (; member < members.length && (members[member] ?? 0) < ordinal; member++) derived.pass(member)
      if (members[member] !== ordinal) return notSound
      const sparse = typedBytes(row[7], Uint32Array)
      const dense = typedBytes(row[8], Float32Array)
      if (sparse === undefined || sparse.length % 2 !== 0 || dense?.length !== file.dimensions)
        return notSound
      derived.add(member, sparse, dense)
      member += 1
      present += 1
      if (textOf(row[6]) !== payload) {
        payload = textOf(row[6])
        payloadDigest = digestBytes(payload)
      }
      if (numberOf(row[4]) <= at && at < numberOf(row[5]) && !points.add(row, payloadDigest)) return notSound
    }
    begin = numberOf(rows.at(-1)?.[0] ?? begin) + 1
    isOver = rows.length < pageRows
  }
  for (; member < members.length; member++) derived.pass(member)
  // Counted too low, it would go while it has points.
  return { points: points.all(), isSound: present <= info.live && derived.isSound(), next }
}

const noPoints: ReadPoints = { count: 0, bytes: new Uint8Array(0), windows: new Float64Array(0) }

class Gathered {
  readonly #bytes: Buffer
  readonly #windows: Float64Array
  #count = 0

  constructor(most: number) {
    this.#bytes = Buffer.allocUnsafeSlow(readPointBytes * most)
    this.#windows = new Float64Array(2 * most)
  }

  /** False where its ids are none: whoever scans can tell whose they are. */
  add(row: Row, payloadDigest: Buffer): boolean {
    const bytes = this.#bytes
    const place = readPointBytes * this.#count
    if (
      !putUuid(textOf(row[1]), bytes, place) ||
      !putUuid(textOf(row[2]), bytes, place + chunkAt) ||
      !putUuid(textOf(row[3]), bytes, place + documentAt)
    )
      return false
    putLeaf(bytes, place + chunkAt, payloadDigest, bytesOf(row[7]), bytesOf(row[8]), place + readLeafAt)
    this.#windows[2 * this.#count] = numberOf(row[4])
    this.#windows[2 * this.#count + 1] = numberOf(row[5])
    this.#count += 1
    return true
  }

  all(): ReadPoints {
    const count = this.#count
    const bytes = this.#bytes.subarray(0, readPointBytes * count)
    return { count, bytes, windows: this.#windows.subarray(0, 2 * count) }
  }
}

const [chunkAt, documentAt] = [16, 32]

/**
 * What stands in a segment's derived tables, held against its members as they come.
 *
 * Codes are compared as they stand. Of postings there are millions, in two orders, and going from one to the other misses every
 * cache: so both sides are added up. The sums of two sets that differ are equal for one in 2^64, whatever the difference,
 * since nobody knows the numbers that they are mixed with.
 */
class Derived {
  readonly #file: ProjectFile
  readonly #segment: number
  /** How many members the segment has. */
  readonly #count: number
  readonly #size: number
  readonly #stride: number
  readonly #expected = new Sums()
  readonly #encoder: VectorEncoder
  #stored: CodeBlock | undefined
  #block = -1
  /** Members whose codes are still to be compared: how many, and the first one's place in its block. */
  #pending = 0
  #first = 0
  #codesDiffer = false
  /** Of each member 1 where its point is gone; made with the first one. */
  #gone: Uint8Array | undefined

  constructor(file: ProjectFile, segment: number, count: number) {
    this.#file = file
    this.#segment = segment
    this.#count = count
    this.#size = pointsPerBlock(file.dimensions)
    this.#stride = strideOf(file.dimensions)
    this.#encoder = encoderOf(file.dimensions)
  }

  /** Members come in their order; `sparse` is in pairs of id and weight (its bits). */
  add(member: number, sparse: Uint32Array, dense: Float32Array): void {
    this.#expected.addPoint(member, sparse)

    this.#enter(member)
    if (this.#pending === vectorsAtOnce) this.#compareCodes()
    if (this.#pending === 0) this.#first = member % this.#size
    this.#encoder.put(this.#pending++, dense)
  }

  /** In place of {@link add}, where a member's point is gone. */
  pass(member: number): void {
    this.#enter(member)
    this.#compareCodes()
    this.#gone ??= new Uint8Array(this.#count)
    this.#gone[member] = 1
  }

  /** A search reads every block, be all its members gone: each has to be there, and whole. */
  #enter(member: number): void {
    const block = Math.floor(member / this.#size)
    if (block === this.#block) return
    this.#compareCodes()
    this.#block = block
    this.#stored = this.#file.segments.block(this.#segment, block, this.#count)
  }

  #compareCodes(): void {
    const count = this.#pending
    if (count === 0) return
    this.#pending = 0
    const [stored, expected] = [this.#stored, this.#encoder.encode(count)]
    const [from, to] = [this.#first, this.#first + count]
    this.#codesDiffer ||=
      stored === undefined ||
      !viewBytes(stored.scales.subarray(from, to)).equals(viewBytes(expected.scales)) ||
      !viewBytes(stored.errors.subarray(from, to)).equals(viewBytes(expected.errors)) ||
      !viewBytes(stored.codes.subarray(from * this.#stride, to * this.#stride)).equals(
        viewBytes(expected.codes)
      )
  }

  isSound(): boolean {
    this.#compareCodes()
    if (this.#codesDiffer) return false
    const stored = new Sums()
    for (const block of this.#file.segments.postings(this.#segment))
      if (!stored.addPostings(block, this.#count, this.#gone)) return false
    return stored.equals(this.#expected)
  }
}

/** Odd numbers that each process draws for itself. */
const drawn = Int32Array.from({ length: 8 }, () => randomInt(2 ** 32) | 1)
const [tokenA = 1, memberA = 1, weightA = 1, mixA = 1, tokenB = 1, memberB = 1, weightB = 1, mixB = 1] = drawn

/** Of (token, member, weight), in whatever order: two sums of 32 bits, and how many there were. */
class Sums {
  #a = 0
  #b = 0
  #count = 0

  addPoint(member: number, sparse: Uint32Array): void {
    let [a, b] = [this.#a, this.#b]
    for (let at = 0; at < sparse.length; at += 2) {
      const [token, bits] = [sparse[at] ?? 0, sparse[at + 1] ?? 0]
      a =
        (a + mixed(Math.imul(token, tokenA) + Math.imul(member, memberA) + Math.imul(bits, weightA), mixA)) |
        0
      b =
        (b + mixed(Math.imul(token, tokenB) + Math.imul(member, memberB) + Math.imul(bits, weightB), mixB)) |
        0
    }
    this.#a = a
    this.#b = b
    this.#count += sparse.length / 2
  }

  /**
   * False where a token has no members, or such as do not ascend or are none: whatever they add up to. Those that are gone do not
   * count.
   */
  addPostings(
    { ends, members, tokens, weights }: PostingBlock,
    count: number,
    gone: Uint8Array | undefined
  ): boolean {
    const all = new Uint32Array(weights.buffer, weights.byteOffset, weights.length)
    let [a, b] = [this.#a, this.#b]
    let at = 0
    let passed = 0
    for (let row = 0; row < tokens.length; row++) {
      const [token, end] = [tokens[row] ?? 0, ends[row] ?? 0]
      if (end <= at) return false
      const [ofTokenA, ofTokenB] = [Math.imul(token, tokenA), Math.imul(token, tokenB)]
      for (let last = -1; at < end; at++) {
        const [member, bits] = [members[at] ?? count, all[at] ?? 0]
        if (member <= last || member >= count) return false
        last = member
        if (gone?.[member] === 1) {
          passed += 1
          continue
        }
        a = (a + mixed(ofTokenA + Math.imul(member, memberA) + Math.imul(bits, weightA), mixA)) | 0
        b = (b + mixed(ofTokenB + Math.imul(member, memberB) + Math.imul(bits, weightB), mixB)) | 0
      }
    }
    this.#a = a
    this.#b = b
    this.#count += at - passed
    return true
  }

  equals(other: Sums): boolean {
    return this.#a === other.#a && this.#b === other.#b && this.#count === other.#count
  }
}

/** A last mix, so that differences that cancel each other in one place do not in the sum. */
const mixed = (sum: number, by: number): number => {
  const once = Math.imul(sum ^ (sum >>> 15), by)
  return once ^ (once >>> 13)
}
