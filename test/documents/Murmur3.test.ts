import { assert, describe, it } from "@effect/vitest"
import { murmur3, murmur3Bytes } from "../../src/documents/Murmur3.ts"

/** Vectors published with ports of the reference implementation (x86, 32 bit). */
const published: ReadonlyArray<readonly [text: string, seed: number, hash: number]> = [
  ["", 0, 0x00000000],
  ["", 1, 0x514e28b7],
  ["", 0xffffffff, 0x81f16f39],
  ["\0\0\0\0", 0, 0x2362f9de],
  ["a", 0x9747b28c, 0x7fa09ea6],
  ["aa", 0x9747b28c, 0x5d211726],
  ["aaa", 0x9747b28c, 0x283e0130],
  ["aaaa", 0x9747b28c, 0x5a97808a],
  ["ab", 0x9747b28c, 0x74875592],
  ["abc", 0x9747b28c, 0xc84a62dd],
  ["abcd", 0x9747b28c, 0xf0478627],
  ["Hello, world!", 0x9747b28c, 0x24884cba],
  ["ππππππππ", 0x9747b28c, 0xd58063c1],
  ["The quick brown fox jumps over the lazy dog", 0x9747b28c, 0x2fa826cd],
  ["test", 0, 0xba6bd213],
  ["Hello, world!", 0, 0xc0363e43]
]

describe("murmur3", () => {
  for (const [text, seed, hash] of published) {
    it(`gives 0x${hash.toString(16)} for ${JSON.stringify(text)} with seed ${seed}`, () => {
      assert.strictEqual(murmur3(text, seed), hash)
    })
  }

  it("hashes bytes beyond ASCII as the reference does", () => {
    assert.strictEqual(murmur3Bytes(Uint8Array.of(0xff, 0xff, 0xff, 0xff)), 0x76293b50)
    assert.strictEqual(murmur3Bytes(Uint8Array.of(0x21, 0x43, 0x65, 0x87)), 0xf55b516b)
    assert.strictEqual(murmur3Bytes(Uint8Array.of(0x21, 0x43, 0x65)), 0x7e4a8634)
    assert.strictEqual(murmur3Bytes(Uint8Array.of(0x21, 0x43)), 0xa0f7b07a)
    assert.strictEqual(murmur3Bytes(Uint8Array.of(0x21)), 0x72661cf4)
  })

  it("is the same by text and by bytes", () => {
    for (const text of ["stem", "größe", "水", "a\u{1f600}b"]) {
      assert.strictEqual(murmur3(text, 7), murmur3Bytes(new TextEncoder().encode(text), 7))
    }
  })
})
