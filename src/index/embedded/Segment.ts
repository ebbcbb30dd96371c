/**
 * What is derived from a set of points so that they are found: postings and codes. Append-only: points are immutable,
 * so a segment is written once, with the points that are new, and later merged with its neighbours.
 *
 * A pure function of its points, and of each point apart: so merging joins what segments hold, and checking derives it anew
 * from the points' own bytes and compares.
 */
import type { SparseVector } from "../Index.ts"
import type { CodeBlock } from "./Codes.ts"
import { invert, type Postings } from "./Postings.ts"
import { encodeBlocks } from "./VectorEncoder.ts"

/**
 * Points in a segment at most. A search looks for each of its words in each segment, so few large ones are searched sooner; a
 * merge is one step, and what comes in waits for it. Four of a rebuild's batches fit in.
 */
export const segmentPoints = 24_000

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
