import { assert, describe, it } from "@effect/vitest"
import { errorOf, pointsPerBlock, strideOf } from "../../src/index/embedded/Codes.ts"
import { encodeBlocks } from "../../src/index/embedded/VectorEncoder.ts"

/** What a code is, component by component. */
const coded = (vector: Float32Array) => {
  const greatest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const scale = Math.fround(greatest / 127)
  let lost = 0
  const codes = Array.from(vector, (value) => {
    const code = scale === 0 ? 0 : Math.max(-127, Math.min(127, Math.round(value / scale)))
    lost += (value - scale * code) ** 2
    return Number.isNaN(code) ? 0 : code + 0
  })
  const filled = [...codes, ...Array.from({ length: strideOf(vector.length) - vector.length }, () => 0)]
  return { scale, error: Math.fround(errorOf(lost)), codes: filled }
}

const vectors = (dimensions: number): ReadonlyArray<Float32Array> => {
  const each = (component: (at: number) => number) =>
    Float32Array.from({ length: dimensions }, (_, at) => component(at))
  return [
    each(() => 0),
    each((at) => (at === 0 ? 127 : -0)),
    // Halves go up, on both sides of zero.
    each((at) => (at === 0 ? 127 : (at % 254) - 127 + 0.5)),
    each((at) => (at % 5) * 1e-44),
    each((at) => at * 1e-45),
    each(() => 3e38),
    each((at) => (at === 0 ? Number.POSITIVE_INFINITY : 1)),
    each((at) => (at === dimensions - 1 ? Number.NaN : 1)),
    ...Array.from({ length: 100 }, (_, n) => each((at) => Math.sin(n * 131 + at * (n + 1)) * 10 ** -(n % 40)))
  ]
}

describe("the codes of vectors", () => {
  for (const dimensions of [1, 15, 16, 17, 384])
    it(`of ${dimensions} dimensions are the same bits as component by component, however many there are`, () => {
      const some = vectors(dimensions)
      const many = Array.from({ length: 21 }, () => some).flat()
      const blocks = encodeBlocks(many, dimensions)
      assert.strictEqual(blocks.length, Math.ceil(many.length / pointsPerBlock(dimensions)))
      many.forEach((vector, member) => {
        const [block, at] = [
          blocks[Math.floor(member / pointsPerBlock(dimensions))],
          member % pointsPerBlock(dimensions)
        ]
        const expected = coded(vector)
        assert.isTrue(Object.is(block?.scales[at], expected.scale), `scale of ${member}`)
        assert.isTrue(Object.is(block?.errors[at], expected.error), `error of ${member}`)
        const stride = strideOf(dimensions)
        assert.deepStrictEqual(
          [...(block?.codes.subarray(at * stride, (at + 1) * stride) ?? [])],
          expected.codes
        )
      })
    })
})
