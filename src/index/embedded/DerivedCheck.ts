/**
 * Derives a segment anew from its points and compares it with what stands in the file, bit by bit.
 *
 * What belongs to points that are gone is left alone: it finds nothing, and the next merge drops it.
 */
import type { PointId } from "../../../events/Ids.ts"
import { EngineMismatch } from "../Index.ts"
import { pointsPerBlock, strideOf } from "./Codes.ts"
import { damaged, viewBytes } from "./Database.ts"
import { invert, maxMembers } from "./Postings.ts"
import type { ProjectFile, StoredMember } from "./ProjectFile.ts"
import { segmentPoints } from "./Segment.ts"
import { isWithinRange, type Posting, type SegmentInfo } from "./SegmentTables.ts"
import { encodeBlocks } from "./VectorEncoder.ts"

export interface PointDifference {
  readonly id: PointId
  readonly what: string
}

/** Points read at a time: more than a sound segment has, and few enough where no segment is left. */
const pagePoints = segmentPoints + 1

/** What differs among the points visible at `at` from ordinal `from` on, and where to go on: a segment at a time. */
export const checkSegment = (
  file: ProjectFile,
  at: number,
  from: number
): { readonly differences: ReadonlyArray<PointDifference>; readonly next: number | undefined } => {
  const info = file.segments.at(from)
  const following = file.segments.after(info?.firstOrdinal ?? from - 1)?.firstOrdinal
  const points = file.stored(from, following ?? Number.MAX_SAFE_INTEGER, pagePoints)
  const last = points[pagePoints - 1]
  const next = last === undefined ? following : last.ordinal + 1
  // Pages that are damaged can contradict each other.
  if (next !== undefined && !(next > from))
    throw damaged(file.file.path, "The order of its segments is broken.")
  return {
    differences: info === undefined ? outside(points, at) : compared(file, info, following, points, at),
    next
  }
}

const outside = (points: ReadonlyArray<StoredMember>, at: number): ReadonlyArray<PointDifference> =>
  points.filter((point) => isVisible(point, at)).map(({ id }) => ({ id, what: "in no segment" }))

const compared = (
  file: ProjectFile,
  info: SegmentInfo,
  next: number | undefined,
  points: ReadonlyArray<StoredMember>,
  at: number
): ReadonlyArray<PointDifference> => {
  try {
    return differences(file, info, next, points, at)
  } catch (cause) {
    if (!(cause instanceof EngineMismatch) || cause.reason !== "damaged" || points.length === 0) throw cause
    // Whatever their windows: as long as one of them is left, the segment stays and no query is answered.
    return points.map(({ id }) => ({ id, what: "segment damaged" }))
  }
}

const differences = (
  file: ProjectFile,
  info: SegmentInfo,
  next: number | undefined,
  points: ReadonlyArray<StoredMember>,
  at: number
): ReadonlyArray<PointDifference> => {
  const { segment } = info
  const ordinals = file.segments.ordinals(segment)
  const byOrdinal = new Map(points.map((point) => [point.ordinal, point]))
  const members = Array.from(ordinals, (ordinal) => byOrdinal.get(ordinal))
  const present = members.filter((member) => member !== undefined).length
  if (present > info.live || !isWithinRange(info, ordinals, next))
    throw damaged(file.file.path, `Segment ${segment} counts or names points that are not its own.`)
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

/** Stored and expected rows side by side, both by ascending token; rows that are equal need no closer look. */
const comparePostings = (file: ProjectFile, segment: number, members: Members, differs: Differs): void => {
  const expected = invert(members.map((point) => point?.sparse ?? nothing))
  const rowAt = (row: number): Posting => {
    const [start, end] = [expected.starts[row] ?? 0, expected.starts[row + 1] ?? 0]
    return { members: expected.members.subarray(start, end), weights: expected.weights.subarray(start, end) }
  }
  let row = 0
  for (const block of file.segments.postings(segment)) {
    block.tokens.forEach((token, at) => {
      for (; (expected.tokens[row] ?? token) < token; row++) compareRow(none, rowAt(row), members, differs)
      const stored = file.segments.postingAt(segment, block, at, members.length)
      compareRow(stored, expected.tokens[row] === token ? rowAt(row++) : none, members, differs)
    })
  }
  for (; row < expected.tokens.length; row++) compareRow(none, rowAt(row), members, differs)
}

const compareRow = (stored: Posting, expected: Posting, members: Members, differs: Differs): void => {
  if (
    viewBytes(stored.members).equals(viewBytes(expected.members)) &&
    viewBytes(stored.weights).equals(viewBytes(expected.weights))
  )
    return
  let left = 0
  let right = 0
  while (left < stored.members.length || right < expected.members.length) {
    const is = stored.members[left] ?? maxMembers
    const should = expected.members[right] ?? maxMembers
    if (is < should) differs(members[is], "posting extra")
    else if (is > should) differs(members[should], "posting missing")
    else if (!Object.is(stored.weights[left], expected.weights[right]))
      differs(members[is], "posting changed")
    if (is <= should) left++
    if (should <= is) right++
  }
}

const none: Posting = { members: new Uint16Array(0), weights: new Float32Array(0) }
const nothing = { ids: new Uint32Array(0), weights: new Float32Array(0) }

const compareCodes = (file: ProjectFile, segment: number, members: Members, differs: Differs): void => {
  const { dimensions } = file
  const size = pointsPerBlock(dimensions)
  const stride = strideOf(dimensions)
  for (let block = 0; block < file.segments.blocks(members.length); block++) {
    const stored = file.segments.block(segment, block, members.length)
    const present = members.slice(block * size, (block + 1) * size)
    // A member without a point keeps its place.
    const vectors = present.map((point) => point?.dense ?? new Float32Array(dimensions))
    const expected = encodeBlocks(vectors, dimensions)[0]
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

const isVisible = ({ from, until }: StoredMember, at: number): boolean => from <= at && at < until
