import { spawnSync } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import {
  type CodeBlock,
  type CodedQuery,
  encodeQuery,
  pointsPerBlock
} from "../../src/index/embedded/Codes.ts"
import { DenseScan, type PlacedBlock } from "../../src/index/embedded/DenseScan.ts"
import { encodeBlocks } from "../../src/index/embedded/VectorEncoder.ts"
import { denseScore } from "../../src/index/Scores.ts"

const scan = new DenseScan()

/** What a scan computes, one component after the other. */
const plainly = (query: CodedQuery, { codes, errors, scales }: CodeBlock): Float64Array => {
  const stride = query.codes.length
  return Float64Array.from(scales, (scale, at) => {
    let dot = 0
    for (let i = 0; i < stride; i++) dot += (codes[at * stride + i] ?? 0) * (query.codes[i] ?? 0)
    const lost = Math.min(query.perError * (errors[at] ?? 0), query.perStep * scale + query.least)
    return (query.unit * dot + query.perScale) * scale + lost
  })
}

/** Of a query's own blocks and of placed ones, which are given back. */
const boundsOf = (query: Float32Array, vectors: ReadonlyArray<Float32Array>): Float64Array => {
  const bounds = new Float64Array(vectors.length)
  const coded = encodeQuery(query)
  let offset = 0
  for (const block of encodeBlocks(vectors, query.length)) {
    assert.isTrue(scan.bounds(coded, block, bounds, offset))
    const end = offset + block.scales.length
    assert.deepStrictEqual(bounds.slice(offset, end), plainly(coded, block))
    const placed = scan.place(block, query.length)
    if (placed === undefined) return assert.fail("There is no memory.")
    const again = new Float64Array(vectors.length)
    assert.isTrue(scan.boundsOf(coded, placed, again, offset))
    assert.deepStrictEqual(again.slice(offset, end), bounds.slice(offset, end))
    scan.giveBack(placed)
    offset = end
  }
  assert.strictEqual(offset, vectors.length)
  return bounds
}

const normalised = (values: ReadonlyArray<number>): Float32Array => {
  const norm = Math.hypot(...values)
  return Float32Array.from(values, (value) => (norm > 0 ? value / norm : 0))
}

/** Components of very different sizes, zeros and denormals among them. */
const component = fc.oneof(
  fc.double({ min: -1, max: 1, noNaN: true }),
  fc.constantFrom(0, -0, 1, -1, 1e-3, 1e-20, -1e-39, 2 ** -149)
)
const vectorsOf = (dimensions: number, count: number) =>
  fc.array(fc.array(component, { minLength: dimensions, maxLength: dimensions }), {
    minLength: 1,
    maxLength: count
  })

describe("the dense scan", () => {
  it("never bounds a score below its exact value, and unit vectors not far above it", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 70 }).chain((dimensions) => vectorsOf(dimensions, 12)),
        fc.boolean(),
        (rows, unit) => {
          const vectors = rows.map((row) => (unit ? normalised(row) : Float32Array.from(row)))
          const [query = new Float32Array(0)] = vectors
          const bounds = boundsOf(query, vectors)
          vectors.forEach((vector, at) => {
            const exact = denseScore(query, vector)
            const bound = bounds[at] ?? Number.NaN
            assert.isAtLeast(bound, exact)
            if (unit) assert.isBelow(bound - exact, 0.08)
          })
        }
      ),
      { numRuns: 2000 }
    )
  })

  it("holds for every count of vectors around the width of the kernel and the size of a block", () => {
    const size = pointsPerBlock(24)
    for (const count of [1, 2, 3, 4, 5, 7, 8, size - 1, size, size + 1, 2 * size + 3]) {
      const vectors = Array.from({ length: count }, (_, at) =>
        normalised(Array.from({ length: 24 }, (_, i) => Math.sin((at + 1) * (i + 1))))
      )
      const query = normalised(Array.from({ length: 24 }, (_, i) => Math.cos(i)))
      boundsOf(query, vectors).forEach((bound, at) => {
        const exact = denseScore(query, vectors[at] ?? query)
        assert.isTrue(bound >= exact && bound < exact + 0.05, `${count}, ${at}: ${bound}, ${exact}`)
      })
    }
  })

  it("bounds a question that rests on few components by what those can be off", () => {
    const vectors = Array.from({ length: 20 }, (_, at) =>
      normalised(Array.from({ length: 384 }, (_, i) => Math.sin((at + 1) * (i + 1))))
    )
    const query = normalised(Array.from({ length: 384 }, (_, i) => (i % 96 === 0 ? 1 : 0)))
    boundsOf(query, vectors).forEach((bound, at) => {
      const vector = vectors[at] ?? query
      const step = Math.max(...vector.map(Math.abs)) / 127
      // Four components of one half each, off by half a step each.
      assert.isAtMost(bound - denseScore(query, vector), 2 * step)
    })
  })

  it("does not overflow at 4,096 dimensions where all components have the greatest size", () => {
    const vector = new Float32Array(4096).fill(1 / 64)
    const [bound = Number.NaN] = boundsOf(vector, [vector])
    assert.isTrue(bound >= 1 && bound < 1.01, String(bound))
  })

  it("says so where a block holds what is no number", () => {
    const vector = Float32Array.of(1, 0)
    const [block] = encodeBlocks([vector], 2)
    if (block === undefined) return assert.fail()
    block.scales[0] = Number.NaN
    assert.isFalse(scan.bounds(encodeQuery(vector), block, new Float64Array(1), 0))
    const placed = scan.place(block, 2)
    if (placed === undefined) return assert.fail()
    assert.isFalse(scan.boundsOf(encodeQuery(vector), placed, new Float64Array(1), 0))
  })

  it("keeps what is placed as it is, whatever else comes and goes", () => {
    const own = new DenseScan()
    const query = encodeQuery(normalised(Array.from({ length: 24 }, (_, i) => Math.cos(i))))
    const blockOf = (count: number, seed: number): CodeBlock => {
      const vectors = Array.from({ length: count }, (_, at) =>
        normalised(Array.from({ length: 24 }, (_, i) => Math.sin((seed * count + at + 1) * (i + 1))))
      )
      return encodeBlocks(vectors, 24)[0] ?? assert.fail()
    }
    const step = fc.record({
      count: fc.integer({ min: 1, max: 2048 }),
      gives: fc.boolean(),
      which: fc.nat(20)
    })
    const places = new Set<number>()
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const held: Array<readonly [PlacedBlock, Float64Array]> = []
        for (const [seed, { count, gives, which }] of steps.entries()) {
          const [gone] = gives ? held.splice(which % (held.length || 1), 1) : []
          if (gone !== undefined) {
            own.giveBack(gone[0])
            continue
          }
          const block = blockOf(count, seed)
          const placed = own.place(block, 24) ?? assert.fail()
          places.add(placed.at)
          held.push([placed, plainly(query, block)])
        }
        for (const [placed, expected] of held) {
          const bounds = new Float64Array(expected.length)
          assert.isTrue(own.boundsOf(query, placed, bounds, 0))
          assert.deepStrictEqual(bounds, expected)
          own.giveBack(placed)
        }
      }),
      { numRuns: 20, seed: 1 }
    )
    // At most 30 at a time, of one or two pages: 600 blocks have lain there.
    assert.isAtMost(places.size, 60)
  })

  it("runs the bytes that its source assembles to", () => {
    const { status, stderr } = spawnSync(process.execPath, ["scripts/build-wasm.js", "--check"], {
      encoding: "utf8"
    })
    assert.strictEqual(status, 0, stderr)
  })
})
