/**
 * Derives a segment anew from its points and compares it with what stands in the file, bit by bit.
 *
 * What belongs to points that are gone is left alone: it finds nothing, and the next merge drops it.
 */
import type { PointId } from "../../../events/Ids.ts"
import type { SparseVector } from "../Index.ts"
import { EngineMismatch } from "../Index.ts"
import { pointsPerBlock, strideOf } from "./Codes.ts"
import { damaged } from "./Database.ts"
import type { ProjectFile, StoredMember } from "./ProjectFile.ts"
import { buildSegment } from "./Segment.ts"
import type { SegmentInfo } from "./SegmentTables.ts"

export interface PointDifference {
  readonly id: PointId
  readonly what: string
}

/** What differs among the points visible at `at` from ordinal `from` on, and where to go on: a segment at a time. */
export const checkSegment = (
  file: ProjectFile,
  at: number,
  from: number
): { readonly differences: ReadonlyArray<PointDifference>; readonly next: number | undefined } => {
  const info = file.segments.at(from)
  const next = file.segments.after(info?.firstOrdinal ?? from - 1)
  const last = next?.firstOrdinal ?? Number.MAX_SAFE_INTEGER
  const points = file.stored(from, last)
  return {
    differences: info === undefined ? outside(points, at) : compared(file, info, points, at),
    next: next?.firstOrdinal
  }
}

const outside = (points: ReadonlyArray<StoredMember>, at: number): ReadonlyArray<PointDifference> =>
  points.filter((point) => isVisible(point, at)).map(({ id }) => ({ id, what: "in no segment" }))

const compared = (
  file: ProjectFile,
  info: SegmentInfo,
  points: ReadonlyArray<StoredMember>,
  at: number
): ReadonlyArray<PointDifference> => {
  try {
    return differences(file, info, points, at)
  } catch (cause) {
    if (!(cause instanceof EngineMismatch) || cause.reason !== "damaged" || points.length === 0) throw cause
    // Whatever their windows: as long as one of them is left, the segment stays and no query is answered.
    return points.map(({ id }) => ({ id, what: "segment damaged" }))
  }
}

const differences = (
  file: ProjectFile,
  { segment }: SegmentInfo,
  points: ReadonlyArray<StoredMember>,
  at: number
): ReadonlyArray<PointDifference> => {
  const ordinals = file.segments.ordinals(segment)
  const byOrdinal = new Map(points.map((point) => [point.ordinal, point]))
  const members = Array.from(ordinals, (ordinal) => byOrdinal.get(ordinal))
  const found = new Map<StoredMember, string>()
  const differs = (point: StoredMember | undefined, what: string) => {
    if (point !== undefined && isVisible(point, at) && !found.has(point)) found.set(point, what)
  }
  for (const point of members) if (point !== undefined) byOrdinal.delete(point.ordinal)
  for (const point of byOrdinal.values()) differs(point, "in no segment")
  comparePostings(file, segment, members, differs)
  compareCodes(file, segment, members, differs)
  return [...found].map(([{ id }, what]) => ({ id, what }))
}

type Differs = (point: StoredMember | undefined, what: string) => void
type Members = ReadonlyArray<StoredMember | undefined>

const comparePostings = (file: ProjectFile, segment: number, members: Members, differs: Differs): void => {
  const matched = new Uint32Array(members.length)
  for (const [token, row] of file.segments.postings(segment, members.length)) {
    for (let at = 0; at < row.members.length; at++) {
      const member = row.members[at] ?? 0
      const point = members[member]
      if (point === undefined) continue
      const place = placeOf(point.sparse, token)
      if (place < 0) differs(point, "posting extra")
      else if (!Object.is(point.sparse.weights[place], row.weights[at])) differs(point, "posting changed")
      else matched[member] = (matched[member] ?? 0) + 1
    }
  }
  members.forEach((point, member) => {
    if (point !== undefined && matched[member] !== point.sparse.ids.length) differs(point, "posting missing")
  })
}

const compareCodes = (file: ProjectFile, segment: number, members: Members, differs: Differs): void => {
  const { dimensions } = file
  const size = pointsPerBlock(dimensions)
  const stride = strideOf(dimensions)
  for (let block = 0; block < file.segments.blocks(members.length); block++) {
    const stored = file.segments.block(segment, block, members.length)
    const present = members.slice(block * size, (block + 1) * size)
    // A member without a point keeps its place.
    const expected = buildSegment(
      present.map((point) => point ?? nobody(dimensions)),
      dimensions
    ).blocks[0]
    if (expected === undefined) throw damaged(file.file.path, `Segment ${segment} is empty.`)
    present.forEach((point, at) => {
      const codesEqual = Buffer.from(
        stored.codes.buffer,
        stored.codes.byteOffset + at * stride,
        stride
      ).equals(Buffer.from(expected.codes.buffer, expected.codes.byteOffset + at * stride, stride))
      if (
        !codesEqual ||
        !Object.is(stored.scales[at], expected.scales[at]) ||
        !Object.is(stored.errors[at], expected.errors[at])
      )
        differs(point, "code changed")
    })
  }
}

const nobody = (dimensions: number) => ({
  ordinal: 0,
  dense: new Float32Array(dimensions),
  sparse: { ids: new Uint32Array(0), weights: new Float32Array(0) }
})

const isVisible = ({ from, until }: StoredMember, at: number): boolean => from <= at && at < until

/** The place of a token among a vector's, or −1. */
const placeOf = ({ ids }: SparseVector, token: number): number => {
  let [low, high] = [0, ids.length - 1]
  while (low <= high) {
    const middle = (low + high) >> 1
    const id = ids[middle] ?? 0
    if (id === token) return middle
    if (id < token) low = middle + 1
    else high = middle - 1
  }
  return -1
}
