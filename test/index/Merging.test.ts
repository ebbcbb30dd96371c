import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { mergeRun } from "../../src/index/embedded/Merging.ts"
import { segmentPoints } from "../../src/index/embedded/Segment.ts"
import type { SegmentInfo } from "../../src/index/embedded/SegmentTables.ts"

/** Segments of these numbers of live points, one after the other. */
const segmentsOf = (
  sizes: ReadonlyArray<readonly [points: number, live: number]>
): ReadonlyArray<SegmentInfo> => {
  let firstOrdinal = 1
  return sizes.map(([points, live], segment) => {
    const info = { segment, firstOrdinal, points, live }
    firstOrdinal += points
    return info
  })
}

const merge = (segments: ReadonlyArray<SegmentInfo>, next: number) => {
  const run = mergeRun(segments)
  if (run === undefined) return undefined
  const at = segments.findIndex(({ segment }) => segment === run.segments[0])
  const merged = segments.slice(at, at + run.segments.length)
  assert.deepStrictEqual(
    merged.map(({ segment }) => segment),
    run.segments,
    "neighbours"
  )
  assert.strictEqual(run.from, merged[0]?.firstOrdinal)
  assert.strictEqual(run.to, segments[at + merged.length]?.firstOrdinal ?? Number.MAX_SAFE_INTEGER)
  const live = merged.reduce((sum, one) => sum + one.live, 0)
  assert.isAtMost(live, segmentPoints)
  const after = [
    ...segments.slice(0, at),
    ...(live > 0 ? [{ segment: next, firstOrdinal: run.from, points: live, live }] : []),
    ...segments.slice(at + merged.length)
  ]
  return { after, live }
}

let nextSegment = 1_000_000

const settled = (segments: ReadonlyArray<SegmentInfo>) => {
  let rewritten = 0
  const bound = 2 * segments.length
  for (let step = 0; ; step++) {
    assert.isAtMost(step, bound, "it comes to an end")
    const merged = merge(segments, nextSegment++)
    if (merged === undefined) return { segments, rewritten }
    segments = merged.after
    rewritten += merged.live
  }
}

describe("merging segments", () => {
  it("leaves few segments, whatever their sizes", () => {
    const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: segmentPoints }))
    fc.assert(
      fc.property(
        fc.array(fc.tuple(size, fc.double({ min: 0, max: 1, noNaN: true })), { maxLength: 80 }),
        (sizes) => {
          const before = segmentsOf(sizes.map(([points, share]) => [points, Math.round(points * share)]))
          const { segments } = settled(before)
          const live = segments.reduce((sum, one) => sum + one.live, 0)
          assert.strictEqual(
            live,
            before.reduce((sum, one) => sum + one.live, 0)
          )
          assert.isAtMost(segments.length, 40 + (4 * live) / segmentPoints)
          for (const { live, points } of segments) assert.isAbove(2 * live, points)
        }
      )
    )
  })

  it("rewrites a point a handful of times while it grows by small applies", () => {
    let segments: ReadonlyArray<SegmentInfo> = []
    let rewritten = 0
    const applies = 4000
    for (let apply = 0; apply < applies; apply++) {
      segments = [...segments, { segment: apply, firstOrdinal: 1 + 5 * apply, points: 5, live: 5 }]
      const after = settled(segments)
      segments = after.segments
      rewritten += after.rewritten
      assert.isAtMost(segments.length, 40)
    }
    assert.isBelow(rewritten / (5 * applies), 6)
  })

  it("leaves a rebuild's full segments alone", () => {
    assert.isUndefined(mergeRun(segmentsOf(Array.from({ length: 20 }, () => [segmentPoints, segmentPoints]))))
  })

  it("rewrites a segment of which half is gone", () => {
    assert.deepStrictEqual(mergeRun(segmentsOf([[segmentPoints, segmentPoints / 2]]))?.segments, [0])
  })
})
