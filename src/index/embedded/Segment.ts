/**
 * What is derived from a set of points so that they are found: postings and codes. Append-only: points are immutable,
 * so a segment is written once, with the points that are new, and later merged with its neighbours.
 *
 * A pure function of its points: merging builds a segment anew from the points' own bytes, and checking does the same
 * and compares.
 */
import type { SparseVector } from "../Index.ts"
import { type CodeBlock, encodeBlocks } from "./Codes.ts"
import { invert, type Postings } from "./Postings.ts"

/** Points in a segment at most. Small enough to be merged in a step, large enough that a rebuild writes few rows. */
export const segmentPoints = 10_000

export interface Member {
  readonly ordinal: number
  readonly dense: Float32Array
  readonly sparse: SparseVector
}

export interface Segment {
  /** Ascending. */
  readonly ordinals: Uint32Array
  readonly postings: Postings
  readonly blocks: ReadonlyArray<CodeBlock>
}

/** `members` in ascending order of their ordinals, at most {@link segmentPoints}. */
export const buildSegment = (members: ReadonlyArray<Member>, dimensions: number): Segment => ({
  ordinals: Uint32Array.from(members, ({ ordinal }) => ordinal),
  postings: invert(members.map(({ sparse }) => sparse)),
  blocks: encodeBlocks(
    members.map(({ dense }) => dense),
    dimensions
  )
})
