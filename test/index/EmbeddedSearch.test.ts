/**
 * The embedded engine's search against looking at every point, at sizes where segments, blocks, merges and the bound on
 * memory matter.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { segmentPoints } from "../../src/index/embedded/Segment.ts"
import { type Filter, matches, noFilter } from "../../src/index/Filter.ts"
import type { Candidate, EngineGeneration, EngineQuery, Point } from "../../src/index/Index.ts"
import { denseScore, sparseScore } from "../../src/index/Scores.ts"
import { here, mark, point, sourceOf, there } from "../conformance/index.ts"
import { Embedded } from "./EmbeddedFixture.ts"

const dimensions = 40

/** Few distinct vectors and weights, so that whole crowds share a score; some points end, some begin later. */
const crowd = (count: number): ReadonlyArray<Point> =>
  Array.from({ length: count }, (_, chunk) => ({
    ...point({
      chunk,
      from: 1 + (chunk % 7 === 0 ? 2 : 0),
      until: chunk % 11 === 0 ? 3 : 9,
      source: chunk % 50
    }),
    dense: vector(chunk % 5 === 0 ? chunk : chunk % 60),
    sparse: {
      ids: Uint32Array.from([1, 2 + (chunk % 9), 100 + (chunk % 301), 0xffff0000 + (chunk % 3)]),
      weights: Float32Array.from([0.25, 1 + (chunk % 4), 2.5, chunk % 2])
    }
  }))

const vector = (seed: number): Float32Array => {
  const values = Array.from({ length: dimensions }, (_, at) => Math.sin(seed * 12.9898 + at * 78.233))
  const norm = Math.hypot(...values)
  return Float32Array.from(values, (value) => value / norm)
}

const filters: ReadonlyArray<Filter> = [
  noFilter,
  { sources: [sourceOf(3)] },
  { sources: [sourceOf(3), sourceOf(4)], metadata: [{ key: "year", gte: 2002 }] },
  { metadata: [{ key: "tags", in: ["red"] }] },
  { metadata: [{ key: "absent", in: [1] }] }
]

const anyQuery: fc.Arbitrary<EngineQuery> = fc
  .record({
    seed: fc.nat(200),
    sides: fc.constantFrom("dense", "sparse", "hybrid"),
    filter: fc.constantFrom(...filters),
    at: fc.constantFrom(1, 2, 3, 8),
    limit: fc.constantFrom(1, 2, 10, 63, 64, 65, 100, 1000, 100_000),
    tokens: fc.uniqueArray(fc.constantFrom(1, 2, 5, 9, 100, 250, 400, 0xffff0000, 0xffff0002, 77), {
      minLength: 1
    })
  })
  .map(({ seed, sides, filter, at, limit, tokens }) => ({
    scope: here,
    at,
    filter,
    limit,
    ...(sides !== "sparse" && { dense: vector(seed) }),
    ...(sides !== "dense" && {
      sparse: {
        ids: Uint32Array.from(tokens).sort(),
        weights: Float32Array.from(tokens, (_, at) => 0.5 + (at % 3))
      }
    })
  }))

const exactly = (points: ReadonlyArray<Point>, query: EngineQuery): ReadonlyArray<Candidate> => {
  const scored = points
    .filter(
      ({ from, until, payload }) =>
        from <= query.at && query.at < until && matches(query.filter, JSON.parse(payload))
    )
    .map((one) => ({
      one,
      dense: query.dense && denseScore(query.dense, one.dense),
      sparse: query.sparse && sparseScore(query.sparse, one.sparse)
    }))
  const best = (side: "dense" | "sparse") =>
    scored
      .filter((each) => each[side] !== undefined)
      .sort((a, b) => (b[side] ?? 0) - (a[side] ?? 0) || (a.one.chunkId < b.one.chunkId ? -1 : 1))
      .slice(0, query.limit)
  return [...new Set([...best("dense"), ...best("sparse")])].map(({ one, dense, sparse }) => ({
    pointId: one.id,
    chunkId: one.chunkId,
    documentId: one.documentId,
    from: one.from,
    ...(query.dense && { dense: dense ?? 0 }),
    ...(query.sparse && { sparse: sparse ?? 0 })
  }))
}

const sorted = (found: ReadonlyArray<Candidate>) =>
  [...found].sort((a, b) => (a.pointId < b.pointId ? -1 : 1))

const agrees = (index: EngineGeneration, points: ReadonlyArray<Point>, numRuns: number) =>
  Effect.gen(function* () {
    for (const query of fc.sample(anyQuery, { numRuns, seed: numRuns }))
      assert.deepStrictEqual(sorted(yield* index.query(query)), sorted(exactly(points, query)))
  })

describe("a search of the embedded engine is that of looking at every point, to the bit", () => {
  const points = crowd(6000)

  for (const [name, memoryMiB] of [
    ["codes in memory", 64],
    ["no memory for codes: blocks are read for each query", 0],
    ["memory for some of the codes", 0.3]
  ] as const)
    it.scoped(`over several segments, ${name}`, () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make(dimensions)
        const writer = yield* engine.open()
        for (let at = 0; at < points.length; at += 1500) yield* writer.insert(points.slice(at, at + 1500))
        yield* mark(writer, 9)
        const reader = yield* engine.openReadOnly(memoryMiB)
        yield* agrees(reader, points, 60)
      })
    )

  it.scoped("over many blocks, which a second thread scans, too", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(dimensions)
      const writer = yield* engine.open()
      for (let at = 0; at < points.length; at += 500) yield* writer.insert(points.slice(at, at + 500))
      yield* mark(writer, 9)
      yield* agrees(yield* engine.openReadOnly(64, true), points, 100)
    })
  )

  it.scoped("of two projects that take each other's memory", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(dimensions)
      const few = points.slice(0, 1500)
      yield* engine.fill([...few, ...few.map((one) => ({ ...one, scope: there }))], 9)
      // Room for the codes of one.
      const reader = yield* engine.openReadOnly(0.15)
      const [asked = assert.fail()] = fc.sample(anyQuery, { numRuns: 1, seed: 3 })
      const query: EngineQuery = { ...asked, dense: vector(3), limit: 10 }
      const expected = sorted(exactly(few, query))
      for (const scope of [here, there, there, here])
        assert.deepStrictEqual(sorted(yield* reader.query({ ...query, scope })), expected)
    })
  )

  it.scoped("before, between and after merges, to a reader that has the file open", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(dimensions)
      const writer = yield* engine.open()
      const few = points.slice(0, 1000)
      yield* mark(writer, 9)
      const reader = yield* engine.openReadOnly()
      let merges = 0
      for (let at = 0; at < few.length; at += 13) {
        yield* writer.insert(few.slice(at, at + 13))
        if (at % 4 === 0) continue
        if (yield* writer.maintain) merges++
        yield* agrees(reader, few.slice(0, at + 13), 1)
      }
      assert.isAbove(merges, 3)
      while (yield* writer.maintain);
      yield* agrees(reader, few, 30)
      assert.deepStrictEqual(yield* reader.checkDerived(2), [])
    })
  )

  it.scoped("after most points were swept and what derives from them was merged away", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(dimensions)
      const writer = yield* engine.open()
      const ended = points.slice(0, 2000).map((one, at) => (at % 10 < 7 ? { ...one, until: 5 } : one))
      yield* writer.insert(ended)
      yield* mark(writer, 8, 5)
      const reader = yield* engine.openReadOnly()
      const left = ended.filter(({ until }) => until > 5)
      const asked = fc.sample(anyQuery, { numRuns: 30, seed: 1 }).map((query) => ({ ...query, at: 8 }))
      const check = Effect.forEach(asked, (query) =>
        Effect.map(reader.query(query), (found) => {
          assert.deepStrictEqual(sorted(found), sorted(exactly(left, query)))
        })
      )
      yield* check
      yield* writer.sweep(5)
      yield* check
      assert.isTrue(yield* writer.maintain)
      yield* check
      assert.isFalse(yield* writer.maintain)
    })
  )

  it.scoped("more points in one call than a segment holds", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(dimensions)
      const many = crowd(segmentPoints + 100)
      yield* engine.fill(many, 9)
      yield* agrees(yield* engine.openReadOnly(), many, 4)
    })
  )
})
