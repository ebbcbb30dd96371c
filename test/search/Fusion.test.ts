import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import { fuse, type Scored } from "../../src/search/Fusion.ts"

const candidates: ReadonlyArray<Scored> = [
  { chunkId: "c", sparse: 2, dense: 0.1 },
  { chunkId: "a", sparse: 4, dense: 0.2 },
  { chunkId: "b", sparse: 0, dense: 0.9 },
  { chunkId: "d", sparse: 2, dense: 0.1 }
]
const order = (options: Partial<Parameters<typeof fuse>[1]>, from = candidates) =>
  fuse(from, { mode: "hybrid", denseWeight: 1, limit: 10, ...options }).map(
    ({ candidate }) => candidate.chunkId
  )

describe("fusion", () => {
  it("ranks by one side's own score in the modes of one side", () => {
    assert.deepStrictEqual(order({ mode: "sparse" }), ["a", "c", "d"])
    assert.deepStrictEqual(order({ mode: "dense" }), ["b", "a", "c", "d"])
  })

  it("never takes a sparse score of 0 for a match", () => {
    assert.notInclude(order({ mode: "sparse" }), "b")
    const hit = fuse(candidates, { mode: "hybrid", denseWeight: 1, limit: 10 }).find(
      ({ candidate }) => candidate.chunkId === "b"
    )
    assert.deepStrictEqual(hit?.ranks, { dense: 1 })
  })

  it("stretches both sides to 0…1 and adds them by weight", () => {
    const [first, second] = fuse(candidates, { mode: "hybrid", denseWeight: 0.2, limit: 2 })
    assert.strictEqual(first?.candidate.chunkId, "a")
    assert.approximately(first?.score ?? 0, (1 + 0.2 * 0.125) / 1.2, 1e-12)
    assert.strictEqual(second?.candidate.chunkId, "c")
    assert.approximately(second?.score ?? 0, 0.5 / 1.2, 1e-12)
  })

  it("follows the dense side where its weight is large", () => {
    assert.strictEqual(order({ denseWeight: 5 })[0], "b")
  })

  it("breaks ties by chunk id, whatever the order of the candidates", () => {
    assert.deepStrictEqual(order({}, [...candidates].reverse()), order({}))
    assert.isBelow(order({}).indexOf("c"), order({}).indexOf("d"))
  })

  it("fuses ranks where scores mean nothing", () => {
    const hits = fuse(candidates, { mode: "hybrid", method: "ranks", denseWeight: 1, limit: 10 })
    assert.deepStrictEqual(
      hits.map(({ candidate }) => candidate.chunkId),
      ["a", "c", "d", "b"]
    )
    assert.approximately(hits[0]?.score ?? 0, (1 + 61 / 62) / 2, 1e-12)
  })

  it("gives ranks only within the depth that each side was asked for", () => {
    const hits = fuse(candidates, { mode: "hybrid", denseWeight: 1, depth: 2, limit: 10 })
    assert.deepStrictEqual(
      hits.map(({ candidate, ranks }) => [candidate.chunkId, ranks.sparse, ranks.dense]),
      [
        ["a", 1, 2],
        ["b", undefined, 1],
        ["c", 2, undefined],
        ["d", undefined, undefined]
      ]
    )
  })

  it("gives nothing for nothing, and numbers its hits", () => {
    assert.deepStrictEqual(fuse([], { mode: "hybrid", denseWeight: 1, limit: 5 }), [])
    const hits = fuse(candidates, { mode: "hybrid", denseWeight: 1, limit: 3 })
    assert.deepStrictEqual(
      hits.map(({ rank }) => rank),
      [1, 2, 3]
    )
  })

  it("has scores between 0 and 1 that never rise, with a candidate of one side or both", () => {
    const candidate = fc.record(
      {
        chunkId: fc.uuid(),
        sparse: fc.double({ min: 0, max: 50, noNaN: true }),
        dense: fc.double({ min: -1, max: 1, noNaN: true })
      },
      { requiredKeys: ["chunkId"] }
    )
    fc.assert(
      fc.property(
        fc.array(candidate, { maxLength: 30 }),
        fc.constantFrom("scores" as const, "ranks" as const),
        (some, method) => {
          const from = some.map(({ chunkId, dense, sparse }) => ({
            chunkId,
            ...(dense !== undefined && { dense }),
            ...(sparse !== undefined && { sparse })
          }))
          let last = 1
          for (const { score } of fuse(from, { mode: "hybrid", method, denseWeight: 0.7, limit: 100 })) {
            assert.isTrue(score >= 0 && score <= last + 1e-12)
            last = score
          }
        }
      )
    )
  })
})
