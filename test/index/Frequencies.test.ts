import { assert, describe, it } from "@effect/vitest"
import { FrequencyChanges, frequencyIn, perBlock } from "../../src/index/Frequencies.ts"

const applied = (
  stored: Map<number, Uint8Array>,
  changes: ReadonlyArray<readonly [id: number, delta: number]>
) => {
  const counted = new FrequencyChanges()
  for (const [id, delta] of changes) counted.add(id, delta)
  const next = new Map(stored)
  counted.apply(
    (block) => stored.get(block),
    (block, frequencies) => next.set(block, frequencies)
  )
  return next
}

const frequency = (stored: Map<number, Uint8Array>, id: number) =>
  frequencyIn(stored.get(Math.floor(id / perBlock)), id)

describe("frequencies in blocks", () => {
  it("add up, each by its id, from one batch to the next", () => {
    const ids = [1, perBlock - 1, perBlock, perBlock + 1, 2 ** 40 + 1]
    const first = applied(
      new Map(),
      ids.flatMap((id) => [[id, 3] as const, [id, id % 7] as const])
    )
    const second = applied(first, [
      [perBlock, -2],
      [2 ** 40 + 1, -3]
    ])
    for (const id of ids) {
      const taken = id === perBlock ? 2 : id === 2 ** 40 + 1 ? 3 : 0
      assert.strictEqual(frequency(second, id), 3 + (id % 7) - taken, `id ${id}`)
    }
  })

  it("are none where nothing was counted, or a block is cut", () => {
    const stored = applied(new Map(), [[5, 1]])
    assert.deepStrictEqual(
      [4, 6, perBlock + 5].map((id) => frequency(stored, id)),
      [0, 0, 0]
    )
    assert.strictEqual(frequencyIn(stored.get(0)?.subarray(0, 22), 5), 0)
  })
})
