/** Two threads on one scan: whatever one of them does or leaves undone, the bounds are those of one that scans alone. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, FastCheck as fc } from "effect"
import { type CodedQuery, encodeQuery } from "../../src/index/embedded/Codes.ts"
import { DenseScan, type PlacedBlock } from "../../src/index/embedded/DenseScan.ts"
import { Answering, Asking, bytesOfMeeting } from "../../src/index/embedded/ScanBoard.ts"
import {
  boundsOf,
  kernelOver,
  newMemory,
  type PlacedQuery,
  page,
  type ScanKernel
} from "../../src/index/embedded/ScanKernel.ts"
import { SecondScan } from "../../src/index/embedded/SecondScan.ts"
import { encodeBlocks } from "../../src/index/embedded/VectorEncoder.ts"

const dimensions = 24

const vectorOf = (seed: number): Float32Array =>
  Float32Array.from({ length: dimensions }, (_, at) => Math.sin(seed * 12.9898 + at * 78.233) / 5)

const blocksOf = (count: number, sizes: ReadonlyArray<number>) =>
  Array.from({ length: count }, (_, block) => {
    const vectors = Array.from({ length: sizes[block % sizes.length] ?? 1 }, (_, at) =>
      vectorOf(1 + block * 1000 + at)
    )
    const [encoded = assert.fail("No block.")] = encodeBlocks(vectors, dimensions)
    return encoded
  })

/** A memory with codes and queries placed in it by hand, and both sides over it in this thread. */
const bench = (blocks: ReadonlyArray<ReturnType<typeof blocksOf>[number]>) => {
  const memory = newMemory()
  const kernel = kernelOver(memory)
  const grow = (bytes: number) => memory.grow(Math.ceil(bytes / page)) * page
  const meeting = grow(bytesOfMeeting)
  const asking = new Asking(memory, meeting, grow)
  const [dots, out, stride] = [grow(4 * 2048), grow(8 * 2048), 32]
  const placed = blocks.map(({ codes, errors, scales }) => {
    const filled = 4 * Math.ceil(scales.length / 4)
    const at = grow(filled * (8 + stride))
    new Float32Array(memory.buffer, at, scales.length).set(scales)
    new Float32Array(memory.buffer, at + 4 * filled, errors.length).set(errors)
    const plain = grow(filled * stride)
    new Int8Array(memory.buffer, plain, codes.length).set(codes)
    kernel.weave(plain, filled / 4, stride, at + 8 * filled)
    return { at, count: scales.length }
  })
  const queries = [1, 2, 3].map((seed): PlacedQuery => {
    const { codes, least, perError, perScale, perStep, unit } = encodeQuery(vectorOf(seed))
    const at = grow(2 * stride)
    new Int16Array(memory.buffer, at, stride).set(codes)
    return { at, stride, least, perError, perScale, perStep, unit }
  })
  const alone = (query: PlacedQuery, { at, count }: { readonly at: number; readonly count: number }) => {
    assert.isTrue(boundsOf(kernel, query, at, count, dots, out))
    return new Float64Array(memory.buffer, out, count).slice()
  }
  const answering = (own: ScanKernel = kernel) => new Answering(memory, own, meeting)
  return { alone, answering, asking, kernel, memory, placed, queries }
}

describe("a scan of two threads", () => {
  it("takes over what the other one finished, and nothing of what it did not", () => {
    const { alone, answering, asking, placed, queries } = bench(blocksOf(9, [5, 300, 2048]))
    const question = fc.record({
      query: fc.nat(queries.length - 1),
      blocks: fc.uniqueArray(fc.nat(placed.length - 1)),
      first: fc.uniqueArray(fc.nat(placed.length - 1)),
      answers: fc.boolean()
    })
    let number = 0
    let takenOver = 0
    fc.assert(
      fc.property(fc.array(question, { maxLength: 12 }), (questions) => {
        const other = answering()
        for (const { answers, blocks, first, query } of questions) {
          const asked = queries[query] ?? assert.fail()
          const codes = blocks.map((block) => placed[block] ?? assert.fail())
          assert.isTrue(asking.ask(asked, codes))
          number += 1
          // What is taken before the other side comes to it is not done there.
          const here = first.filter((block) => block < codes.length)
          for (const block of here) assert.isUndefined(asking.take(block))
          if (answers) other.answer(number)
          for (const [block, one] of codes.entries()) {
            const taken = asking.take(block)
            if (!answers || here.includes(block)) assert.isUndefined(taken)
            else {
              assert.deepStrictEqual(taken, alone(asked, one))
              takenOver += 1
            }
          }
        }
      }),
      { numRuns: 200, seed: 5 }
    )
    assert.isAbove(takenOver, 100)
  })

  it("leaves alone what is late: an answer to an earlier question is nobody's", () => {
    const { alone, answering, asking, kernel, placed, queries } = bench(blocksOf(6, [40]))
    const [earlier = assert.fail(), later = assert.fail()] = queries
    const others = [...placed].reverse()
    let isLate = true
    // While the other side has a block in hand, the next question is asked, with its blocks in another order.
    const slow = answering({
      ...kernel,
      weave: kernel.weave,
      bounds: (...given) => {
        if (isLate) assert.isTrue(asking.ask(later, others))
        isLate = false
        return kernel.bounds(...given)
      }
    })
    assert.isTrue(asking.ask(earlier, placed))
    slow.answer(1)
    for (const [block] of others.entries()) assert.isUndefined(asking.take(block))
    assert.isTrue(asking.ask(later, others))
    slow.answer(3)
    for (const [block, one] of others.entries()) assert.deepStrictEqual(asking.take(block), alone(later, one))
  })

  it("survives a question that points beyond the memory", () => {
    const { alone, answering, asking, placed, queries } = bench(blocksOf(2, [40]))
    const [query = assert.fail()] = queries
    const [good = assert.fail()] = placed
    assert.isTrue(asking.ask(query, [good, { at: 2 ** 30, count: 2048 }]))
    answering().answer(1)
    assert.deepStrictEqual(asking.take(0), alone(query, good))
    assert.isUndefined(asking.take(1))
  })

  it("asks on a larger board when there are more blocks, and leaves the former one as it is", () => {
    const { alone, answering, asking, placed, queries } = bench(blocksOf(30, [17]))
    const [query = assert.fail()] = queries
    const other = answering()
    for (const [at, count] of [1, 2, 5, 30, 3].entries()) {
      const codes = placed.slice(-count)
      assert.isTrue(asking.ask(query, codes))
      other.answer(at + 1)
      for (const [block, one] of codes.entries())
        assert.deepStrictEqual(asking.take(block), alone(query, one))
    }
  })

  it("says so where a block holds what is no number", () => {
    const blocks = blocksOf(2, [40])
    blocks[1]?.scales.fill(Number.NaN, 7, 8)
    const { answering, asking, placed, queries } = bench(blocks)
    assert.isTrue(asking.ask(queries[0] ?? assert.fail(), placed))
    answering().answer(1)
    assert.instanceOf(asking.take(0), Float64Array)
    assert.isFalse(asking.take(1))
  })
})

/** Asks again and again until the other thread has finished something. */
const untilAnswered = (second: SecondScan, ask: () => CodedQuery, blocks: ReadonlyArray<PlacedBlock>) =>
  Effect.gen(function* () {
    for (;;) {
      const query = ask()
      yield* Effect.sleep(5)
      const taken = blocks.map(({ at }) => second.take(query, at))
      if (taken.some((bounds) => bounds !== undefined)) return { query, taken }
    }
  })

describe("the second thread of a scan", () => {
  it.live(
    "is started where many blocks are asked about again and again, and ends when nobody searches any more",
    () =>
      Effect.gen(function* () {
        const { alone, memory, placed, queries } = bench(blocksOf(9, [400]))
        const second = new SecondScan(memory, true, (bytes) => memory.grow(Math.ceil(bytes / page)) * page)
        const coded = encodeQuery(vectorOf(1))
        const [query = assert.fail()] = queries
        for (let n = 0; n < 3; n++) second.begin(coded, query, placed)
        for (let n = 0; n < 9; n++) second.begin(coded, query, placed.slice(0, 7))
        assert.isFalse(second.isRunning)
        second.begin(coded, query, placed)
        assert.isTrue(second.isRunning)
        const blocks = placed.map((one) => ({ ...one, pages: 1 }))
        const ask = () => {
          second.begin(coded, query, placed)
          return coded
        }
        const { taken } = yield* untilAnswered(second, ask, blocks)
        for (const [block, bounds] of taken.entries())
          if (bounds !== undefined)
            assert.deepStrictEqual(bounds, alone(query, placed[block] ?? assert.fail()))
        // Another query's bounds are not to be had here.
        second.begin(coded, query, placed)
        assert.isUndefined(second.take(encodeQuery(vectorOf(1)), placed[0]?.at ?? 0))
        second.rest()
        assert.isFalse(second.isRunning)
      })
  )

  it("is not started where nobody allows it", () => {
    const { memory, placed, queries } = bench(blocksOf(9, [4]))
    const second = new SecondScan(memory, false, () => undefined)
    for (let n = 0; n < 20; n++) second.begin(encodeQuery(vectorOf(1)), queries[0] ?? assert.fail(), placed)
    assert.isFalse(second.isRunning)
  })

  it("changes no bound of a scan that has it", () => {
    const [alone, together] = [new DenseScan(), new DenseScan(true)]
    const blocks = blocksOf(12, [2048, 1000])
    const placed = blocks.map((block) => ({
      block,
      one: together.place(block, dimensions) ?? assert.fail()
    }))
    for (let seed = 0; seed < 300; seed++) {
      const query = encodeQuery(vectorOf(seed))
      together.begin(
        query,
        placed.map(({ one }) => one)
      )
      for (const { block, one } of placed) {
        const [expected, found] = [new Float64Array(one.count), new Float64Array(one.count)]
        assert.isTrue(alone.bounds(query, block, expected, 0))
        assert.isTrue(together.boundsOf(query, one, found, 0))
        assert.deepStrictEqual(found, expected)
      }
    }
    together.rest()
  })
})
