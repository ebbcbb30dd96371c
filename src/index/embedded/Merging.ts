/**
 * Which segments to merge. Neighbours only, so that the ranges of ordinals stay disjoint, and never more points than
 * one segment holds, so that each merge is a bounded step.
 *
 * Sizes fall into tiers that grow by {@link fanIn}. A merge within a tier yields a segment above it, so a point is
 * rewritten once a tier: a handful of times in its life. Small segments are left at the end, where the next ones will
 * join them, and nowhere else.
 */
import { segmentPoints } from "./Segment.ts"
import type { SegmentInfo } from "./SegmentTables.ts"

const fanIn = 8
/** Neighbours that are merged however few points they hold together. */
const crowd = 4 * fanIn
/** A segment from here on is large: only its dead members make it worth a rewrite. */
const large = segmentPoints / 2

export interface MergeRun {
  readonly segments: ReadonlyArray<number>
  /** The ordinals that these segments cover: from the first up to where the next one begins. */
  readonly from: number
  readonly to: number
}

/** `segments` in the order of their ordinals. */
export const mergeRun = (segments: ReadonlyArray<SegmentInfo>): MergeRun | undefined => {
  for (let below = fanIn * 2; ; below = Math.min(large, below * fanIn)) {
    const run = smallRun(segments, below)
    if (run !== undefined) return run
    if (below === large) break
  }
  const hollow = segments.findIndex(({ live, points }) => 2 * live <= points)
  return hollow < 0 ? undefined : runOf(segments, hollow, hollow + 1)
}

/**
 * The first run of neighbours that each hold fewer than `below` points and together more, or that is closed by a large
 * one, so that nothing will join it.
 */
const smallRun = (segments: ReadonlyArray<SegmentInfo>, below: number): MergeRun | undefined => {
  let start = 0
  while (start < segments.length) {
    let end = start
    let points = 0
    while (end < segments.length) {
      const next = segments[end]
      if (next === undefined || next.live >= below || points + next.live > segmentPoints) break
      points += next.live
      end++
    }
    const closed = (segments[end]?.live ?? 0) >= large || points + (segments[end]?.live ?? 0) > segmentPoints
    const count = end - start
    if (
      (count >= fanIn && points >= below) ||
      count >= crowd ||
      (count >= 2 && end < segments.length && closed)
    )
      return runOf(segments, start, end)
    start = Math.max(end, start + 1)
  }
  return undefined
}

export const runOf = (segments: ReadonlyArray<SegmentInfo>, start: number, end: number): MergeRun => ({
  segments: segments.slice(start, end).map(({ segment }) => segment),
  from: segments[start]?.firstOrdinal ?? 0,
  to: segments[end]?.firstOrdinal ?? Number.MAX_SAFE_INTEGER
})
