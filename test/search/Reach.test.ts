import { assert, describe, it } from "@effect/vitest"
import { Position } from "../../events/Ids.ts"
import { reach } from "../../src/search/Reach.ts"

/** A log in which something is to be seen at `visible`, looked at four events at a time. */
const logWith = (visible: ReadonlyArray<number>) => {
  let looks = 0
  const sameUntil = (after: number, upTo: number): number => {
    const last = Math.max(after, Math.min(upTo, after + 4))
    looks += last - after
    return (visible.find((position) => position > after && position <= last) ?? last + 1) - 1
  }
  return { reachOf: reach({ sameUntil }), looked: () => looks }
}

const headAt = (epoch: number, position: number) => ({ epoch, position: Position.make(position) })

describe("how far an answer is true", () => {
  it("is to the event before the next that is to be seen, or to the head", () => {
    const { reachOf } = logWith([3])
    assert.strictEqual(reachOf(1, headAt(1, 9)), 2)
    assert.strictEqual(reachOf(3, headAt(1, 5)), 5)
  })

  it("goes on where it was looked at before, and never back", () => {
    const { looked, reachOf } = logWith([])
    const head = headAt(1, 11)
    assert.deepStrictEqual(
      [0, 0, 0, 2].map((at) => reachOf(at, head)),
      [4, 8, 11, 11]
    )
    assert.strictEqual(looked(), 11)
  })

  it("stays known when a search that began earlier ends later", () => {
    const { reachOf } = logWith([3])
    const head = headAt(1, 11)
    for (const at of [3, 3]) reachOf(at, head)
    assert.strictEqual(reachOf(1, head), 2)
    assert.strictEqual(reachOf(3, head), 11)
  })

  it("is looked at anew in another epoch", () => {
    const { reachOf } = logWith([])
    assert.strictEqual(reachOf(4, headAt(1, 8)), 8)
    assert.strictEqual(reachOf(4, headAt(2, 5)), 5)
  })
})
