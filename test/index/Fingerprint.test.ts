import { randomBytes, randomUUID } from "node:crypto"
import { assert, describe, it } from "@effect/vitest"
import {
  Bucket,
  digestBytes,
  leaf,
  putLeaf,
  putUuid,
  sharedSparseBytes,
  sparseBytes,
  uuidBytes,
  uuidText
} from "../../src/index/Fingerprint.ts"

describe("raw ids", () => {
  it("are told from texts that differ in one character, or in their length", () => {
    const ids = ["00000000-0000-0000-0000-000000000000", "0f7e2a4c-6d1b-5c3e-8a90-ffffffffffff", randomUUID()]
    for (const id of ids) {
      const bytes = uuidBytes(id)
      assert.strictEqual(uuidText(bytes), id)
      const isRead = (text: string) => {
        const target = Buffer.alloc(20)
        return putUuid(text, target, 2) && target.subarray(2, 18).equals(bytes)
      }
      assert.isTrue(isRead(id))
      for (let at = 0; at < id.length; at++)
        for (const other of "09af-A\u0130 ".replace(id[at] ?? "", ""))
          assert.isFalse(isRead(id.slice(0, at) + other + id.slice(at + 1)), `${id} ${at} ${other}`)
      assert.isFalse(isRead(id.slice(0, -1)))
      assert.isFalse(isRead(`${id}0`))
    }
  })

  it("have leaves that are the same wherever they are put", () => {
    const [chunk, payload] = [randomBytes(16), randomBytes(32)]
    const [sparse, dense] = [randomBytes(40), randomBytes(64)]
    const target = Buffer.concat([Buffer.alloc(3), chunk, Buffer.alloc(40)])
    putLeaf(target, 3, payload, sparse, dense, 25)
    const made = leaf(chunk, payload, digestBytes(sparse), digestBytes(dense))
    assert.deepStrictEqual(target.subarray(25, 57), made)
    const [one, other] = [new Bucket(), new Bucket()]
    for (let times = 0; times < 300; times++) {
      one.add(made)
      other.add(target, 25)
    }
    assert.deepStrictEqual(one.sum, other.sum)
    const expected = (BigInt(`0x${made.toString("hex")}`) * 300n) % 2n ** 256n
    assert.strictEqual(BigInt(`0x${one.sum.toString("hex")}`), expected)
    for (let times = 0; times < 300; times++) one.subtract(made)
    assert.deepStrictEqual([one.sum, one.count], [Buffer.alloc(32), 0])
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
