import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { boundaryBefore, boundaryFrom, isClusterBoundary, maxCluster } from "../../src/documents/Graphemes.ts"
import { estimateTokens } from "../../src/documents/TokenEstimate.ts"

const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" })
const boundaries = (text: string): ReadonlySet<number> =>
  new Set([...[...segmenter.segment(text)].map((one) => one.index), text.length])

const letters = FastCheck.oneof(
  FastCheck.string({ unit: "binary", maxLength: 4 }),
  FastCheck.constantFrom(
    "a",
    " ",
    "\n",
    "é",
    "e\u0301",
    "\u0301",
    "\u200d",
    "👩",
    "👍🏽",
    "🇩",
    "🇪",
    "ᄒ",
    "ᅡ",
    "ᆫ",
    "한"
  ),
  FastCheck.constantFrom(
    "日",
    "か\u3099",
    "ガ",
    "क",
    "\u094d",
    "ष",
    "ก",
    "\u0e33",
    "\u0600",
    "ж",
    "\u0483",
    "α",
    "\ufe0f",
    "©"
  )
)
const text = FastCheck.array(letters, { maxLength: 40 }).map((all) =>
  all.join("").toWellFormed().replaceAll("\r", "")
)

describe("cluster boundaries", () => {
  it("are those of Unicode, at every place", () => {
    FastCheck.assert(
      FastCheck.property(text, (one) => {
        const expected = boundaries(one)
        for (let at = 0; at <= one.length; at++) {
          assert.strictEqual(isClusterBoundary(one, at), expected.has(at), `${JSON.stringify(one)} at ${at}`)
        }
      }),
      { numRuns: 400 }
    )
  })

  it("the one before a place is a boundary that leaves something", () => {
    FastCheck.assert(
      FastCheck.property(text, FastCheck.nat(60), (one, at) => {
        if (one === "") return
        const cut = boundaryBefore(one, 0, Math.max(1, at))
        assert.isAbove(cut, 0)
        assert.isTrue(boundaries(one).has(cut))
      }),
      { numRuns: 400 }
    )
  })

  it("the one from a place on is the first that is not before it", () => {
    FastCheck.assert(
      FastCheck.property(text, FastCheck.nat(60), (one, place) => {
        const at = Math.min(place, one.length)
        assert.strictEqual(
          boundaryFrom(one, at),
          [...boundaries(one)].find((found) => found >= at)
        )
      }),
      { numRuns: 400 }
    )
  })

  it("a cluster without end is cut between code points", () => {
    const endless = `e${"\u{1e8d0}".repeat(1_000)}`
    const from = boundaryFrom(endless, 1)
    assert.isAtMost(from, 1 + maxCluster)
    assert.strictEqual(from % 2, 1)
    const cut = boundaryBefore(endless, 0, 500)
    assert.isAtLeast(cut, 499)
    assert.strictEqual(cut % 2, 1)
  })
})

describe("token estimate", () => {
  const count = (one: string): number => estimateTokens(one, 0, one.length)

  it("counts words, digits, marks, ideographs", () => {
    assert.strictEqual(count("the event"), 2)
    assert.strictEqual(count("internationalization"), 4)
    assert.strictEqual(count("1234567"), 3)
    assert.strictEqual(count("a.b()"), 5)
    assert.strictEqual(count("----------"), 3)
    assert.strictEqual(count("日本語"), 3)
    assert.strictEqual(count(" \n\t"), 0)
  })

  it("adds up over words", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.array(
          FastCheck.string({ unit: "grapheme", minLength: 1 }).map((one) => one.replace(/\s/g, "x")),
          { maxLength: 20 }
        ),
        (words) => {
          const line = words.join(" ")
          assert.strictEqual(
            count(line),
            words.reduce((sum, word) => sum + count(word), 0)
          )
        }
      )
    )
  })
})
