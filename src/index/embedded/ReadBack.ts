/**
 * Reads a segment's points back once, in the order in which they were written: each as its leaf, and all that is derived
 * from them compared on the way. What a verification asks first: it says that everything is sound, or that something is
 * not; who wants to know what it is scans, and derives anew ({@link "./DerivedCheck.ts"}).
 */
import { digestBytes, leaf, uuidBytes } from "../Fingerprint.ts"
import type { ReadPoint } from "../Index.ts"
import { type CodeBlock, encodeVector, pointsPerBlock, strideOf } from "./Codes.ts"
import { bytesOf, numberOf, type Row, textOf, typedBytes, viewBytes } from "./Database.ts"
import type { ProjectFile } from "./ProjectFile.ts"
import { segmentPoints } from "./Segment.ts"

export interface ReadSegment {
  /** Those visible at the position asked for, in order. */
  readonly points: ReadonlyArray<ReadPoint>
  /** Every point stands in the segment, with its own postings and codes, and nothing else does. */
  readonly isSound: boolean
  /** The ordinal to go on from. */
  readonly next: number | undefined
}

const pageRows = 250

/** The segment at ordinal `from` on. Within a read transaction. */
export const readSegment = (file: ProjectFile, at: number, from: number): ReadSegment => {
  const info = file.segments.at(from)
  const next = file.segments.after(info?.firstOrdinal ?? from - 1)?.firstOrdinal
  const notSound = { points: [], isSound: false, next }
  if (info === undefined)
    return { ...notSound, isSound: file.rows(from, next ?? Number.MAX_SAFE_INTEGER, 1).length === 0 }
  if (info.points > segmentPoints || !(next === undefined || next > from)) return notSound
  const members = file.segments.ordinals(info.segment)
  const derived = new Derived(file, info.segment, members.length)
  const points: Array<ReadPoint> = []
  let payload = ""
  let payloadDigest = digestBytes(payload)
  let member = 0
  const end = next ?? Number.MAX_SAFE_INTEGER
  for (let begin = from; member < members.length; ) {
    const rows = file.rows(begin, end, pageRows)
    for (const row of rows) {
      // A member whose point is gone would have to be told from one that was lost: whoever derives anew can.
      if (numberOf(row[0]) !== members[member]) return notSound
      const sparse = typedBytes(row[7], Uint32Array)
      const dense = typedBytes(row[8], Float32Array)
      if (sparse === undefined || sparse.length % 2 !== 0 || dense?.length !== file.dimensions)
        return notSound
      derived.add(member, sparse, dense)
      member += 1
      if (textOf(row[6]) !== payload) {
        payload = textOf(row[6])
        payloadDigest = digestBytes(payload)
      }
      if (numberOf(row[4]) <= at && at < numberOf(row[5])) points.push(readPoint(row, payloadDigest))
    }
    const last = rows.at(-1)
    if (last === undefined) return notSound
    begin = numberOf(last[0]) + 1
    if (rows.length < pageRows && member < members.length) return notSound
  }
  const isLast = file.rows((members.at(-1) ?? 0) + 1, end, 1).length === 0
  return { points, isSound: isLast && derived.isSound(), next }
}

const readPoint = (row: Row, payloadDigest: Buffer): ReadPoint => {
  const chunkId = textOf(row[2])
  const [sparse, dense] = [digestBytes(bytesOf(row[7])), digestBytes(bytesOf(row[8]))]
  return {
    id: textOf(row[1]),
    chunkId,
    documentId: textOf(row[3]),
    from: numberOf(row[4]),
    until: numberOf(row[5]),
    leaf: leaf(uuidBytes(chunkId), payloadDigest, sparse, dense)
  }
}

/** What stands in a segment's derived tables, held against its members as they come. */
class Derived {
  readonly #file: ProjectFile
  readonly #segment: number
  /** How many members the segment has. */
  readonly #count: number
  readonly #size: number
  readonly #stride: number
  /** All members' sparse vectors one after another, in pairs of id and weight (its bits), and where each begins. */
  #pairs = new Uint32Array(1 << 16)
  readonly #starts: Uint32Array
  readonly #one: CodeBlock
  #stored: CodeBlock | undefined
  #codesDiffer = false

  constructor(file: ProjectFile, segment: number, count: number) {
    this.#file = file
    this.#segment = segment
    this.#count = count
    this.#size = pointsPerBlock(file.dimensions)
    this.#stride = strideOf(file.dimensions)
    this.#starts = new Uint32Array(count + 1)
    this.#one = {
      scales: new Float32Array(1),
      errors: new Float32Array(1),
      codes: new Int8Array(this.#stride)
    }
  }

  /** Members come in their order. */
  add(member: number, sparse: Uint32Array, dense: Float32Array): void {
    const start = this.#starts[member] ?? 0
    if (start + sparse.length > this.#pairs.length) {
      const grown = new Uint32Array(2 * (start + sparse.length))
      grown.set(this.#pairs.subarray(0, start))
      this.#pairs = grown
    }
    this.#pairs.set(sparse, start)
    this.#starts[member + 1] = start + sparse.length

    const place = member % this.#size
    if (place === 0)
      this.#stored = this.#file.segments.block(this.#segment, Math.floor(member / this.#size), this.#count)
    const [one, stored] = [this.#one, this.#stored]
    encodeVector(dense, one, 0, this.#stride)
    const codes = stored?.codes.subarray(place * this.#stride, (place + 1) * this.#stride)
    this.#codesDiffer ||=
      codes === undefined ||
      !Object.is(stored?.scales[place], one.scales[0]) ||
      !Object.is(stored?.errors[place], one.errors[0]) ||
      !viewBytes(codes).equals(viewBytes(one.codes))
  }

  /**
   * Tokens come in ascending order, and so do a member's ids: a posting is right if it is the next of its member's, and
   * none is missing if at the end every member is through.
   */
  isSound(): boolean {
    if (this.#codesDiffer) return false
    const next = this.#starts.slice(0, this.#count)
    for (const { ends, members, tokens, weights } of this.#file.segments.postings(this.#segment)) {
      const bits = new Uint32Array(weights.buffer, weights.byteOffset, weights.length)
      let at = 0
      for (let row = 0; row < tokens.length; row++) {
        const [token, end] = [tokens[row] ?? 0, ends[row] ?? 0]
        for (let last = -1; at < end; at++) {
          const member = members[at] ?? 0
          const place = next[member] ?? 0
          if (
            member <= last ||
            place >= (this.#starts[member + 1] ?? 0) ||
            this.#pairs[place] !== token ||
            this.#pairs[place + 1] !== bits[at]
          )
            return false
          last = member
          next[member] = place + 2
        }
      }
    }
    return next.every((place, member) => place === this.#starts[member + 1])
  }
}
