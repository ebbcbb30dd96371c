import { randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import { isUuidOf, sharedSparseBytes, sparseBytes, uuidBytes, uuidText } from "../../src/index/Fingerprint.ts"

describe("raw ids", () => {
  it("are told from texts that differ in one character, or in their length", () => {
    const ids = ["00000000-0000-0000-0000-000000000000", "0f7e2a4c-6d1b-5c3e-8a90-ffffffffffff", randomUUID()]
    for (const id of ids) {
      const bytes = uuidBytes(id)
      assert.strictEqual(uuidText(bytes), id)
      assert.isTrue(isUuidOf(id, bytes))
      for (let at = 0; at < id.length; at++)
        for (const other of "09af-A\u0130 ".replace(id[at] ?? "", ""))
          assert.isFalse(isUuidOf(id.slice(0, at) + other + id.slice(at + 1), bytes), `${id} ${at} ${other}`)
      assert.isFalse(isUuidOf(id.slice(0, -1), bytes))
      assert.isFalse(isUuidOf(`${id}0`, bytes))
      assert.isFalse(isUuidOf(id, bytes.subarray(0, 15)))
    }
  })
})

describe("sparse vectors in bytes", () => {
  it("are pairs whose weights keep every bit, and those that are shared hold until the next ones", () => {
    const bits = Uint32Array.of(0x7fa00001, 0x80000000)
    const odd = { ids: Uint32Array.of(1, 2 ** 32 - 1), weights: new Float32Array(bits.buffer) }
    const expected = Buffer.from(Uint32Array.of(1, 0x7fa00001, 2 ** 32 - 1, 0x80000000).buffer)
    assert.deepStrictEqual(sparseBytes(odd), expected)
    const many = { ids: new Uint32Array(5_000).fill(7), weights: new Float32Array(5_000).fill(1) }
    assert.strictEqual(sharedSparseBytes(many).length, 40_000)
    assert.deepStrictEqual(Buffer.from(sharedSparseBytes(odd)), expected)
  })
})
