import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { canonicalJson, type Json, NotCanonical, wellFormed } from "../../events/index.ts"

describe("canonical JSON", () => {
  it("writes the example of RFC 8785, section 3.2.2", () => {
    const example: Json = {
      // biome-ignore lint/correctness/noPrecisionLoss: this very number is the RFC's example
      numbers: [333333333.33333329, 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
      string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/",
      literals: [null, true, false]
    }
    assert.strictEqual(
      canonicalJson(example),
      '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
  })

  it("sorts as RFC 8785, section 3.2.3: by UTF-16 code units", () => {
    const keys = { "\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\u{1f600}": 5, "\u0080": 6, "\u00f6": 7 }
    assert.strictEqual(canonicalJson(keys), '{"\\r":2,"1":4,"\u0080":6,"ö":7,"€":1,"😀":5,"\ufb33":3}')
  })

  it("writes numbers as RFC 8785, appendix B", () => {
    const numbers: ReadonlyArray<readonly [number, string]> = [
      [0, "0"],
      [-0, "0"],
      [5e-324, "5e-324"],
      [-5e-324, "-5e-324"],
      [1.7976931348623157e308, "1.7976931348623157e+308"],
      [9007199254740992, "9007199254740992"],
      [-9007199254740992, "-9007199254740992"],
      [295147905179352830000, "295147905179352830000"],
      [9.999999999999997e22, "9.999999999999997e+22"],
      [1e23, "1e+23"],
      [1.0000000000000001e23, "1.0000000000000001e+23"],
      [999999999999999700000, "999999999999999700000"],
      [1e21, "1e+21"],
      [9.999999999999997e-7, "9.999999999999997e-7"],
      [0.000001, "0.000001"],
      [333333333.3333332, "333333333.3333332"],
      [-0.0000033333333333333333, "-0.0000033333333333333333"],
      [1424953923781206.2, "1424953923781206.2"]
    ]
    for (const [number, text] of numbers) assert.strictEqual(canonicalJson(number), text)
  })

  it("does not depend on the order in which members were set", () => {
    const json = FastCheck.jsonValue({ maxDepth: 3 })
    FastCheck.assert(
      FastCheck.property(FastCheck.dictionary(FastCheck.string(), json), (members) => {
        const reversed = Object.fromEntries(Object.entries(members).toReversed())
        assert.strictEqual(canonicalJson(reversed as Json), canonicalJson(members as Json))
        assert.deepStrictEqual(
          JSON.parse(canonicalJson(members as Json)),
          JSON.parse(JSON.stringify(members))
        )
      }),
      { seed: 20261121 }
    )
  })

  it("leaves out what is undefined", () => {
    assert.strictEqual(canonicalJson({ a: undefined, b: 1 }), '{"b":1}')
  })

  it("refuses what JSON cannot say", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, "\ud800", { a: ["\udc00x"] }]) {
      assert.throws(() => canonicalJson(value), NotCanonical)
    }
  })

  it("makes text well-formed, and leaves well-formed text as it is", () => {
    assert.strictEqual(wellFormed("a\ud800b"), "a\ufffdb")
    assert.strictEqual(wellFormed("a🦑b"), "a🦑b")
  })
})
