/** Y1: nothing in a document, path or error reaches a terminal as anything but text on one line. */
import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import { jsonLine } from "../../src/cli/Output.ts"
import { excerpt, printable, printableText } from "../../src/cli/Printable.ts"
import { styleOf, table, time, widthOf } from "../../src/cli/Style.ts"

const harmless = /^[^\p{Cc}\p{Cs}\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*$/u

describe("printable", () => {
  it("shows escape sequences, hyperlinks and clipboard commands as text", () => {
    assert.strictEqual(printable("a\u001b[31mred"), "a\\x1b[31mred")
    assert.strictEqual(printable("\u001b]8;;http://x\u0007link"), "\\x1b]8;;http://x\\x07link")
    assert.strictEqual(printable("\u009b2J\u007f"), "\\x9b2J\\x7f")
  })

  it("shows what ends lines or turns them round", () => {
    assert.strictEqual(printable("a\r\nb\u2028c\td"), "a\\r\\nb\\u{2028}c\\td")
    assert.strictEqual(printable("\u202egpj.exe\u2066x\ufeff"), "\\u{202e}gpj.exe\\u{2066}x\\u{feff}")
    assert.strictEqual(printable("tag \u{e0041}\ud800"), "tag \\u{e0041}\\u{d800}")
  })

  it("leaves letters of all languages alone", () => {
    for (const text of ["Zürich", "日本語", "العربية", "👩‍🚀".replaceAll("\u200d", ""), "e\u0301"])
      assert.strictEqual(printable(text), text)
  })

  it("holds for any text", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 60 }), (text) => {
        assert.match(printable(text), harmless)
        assert.match(excerpt(text, 40), harmless)
        assert.match(printableText(text).replaceAll(/[\n\t]/g, ""), harmless)
      })
    )
  })

  it("keeps a row of a table on one line", () => {
    const rows = table(styleOf(false, {}), [{ title: "a" }, { title: "b" }], [["x\ny", "\u001b[2J"]], 100)
    assert.strictEqual(rows, "a     b\nx\\ny  \\x1b[2J\n")
  })

  it("keeps JSON on one line that no reader takes for two", () => {
    const line = jsonLine(Schema.Struct({ a: Schema.String }), { a: "x\u2028y\u001b\u009b\u202e" })
    assert.match(line.slice(0, -1), harmless)
    assert.deepStrictEqual(JSON.parse(line), { a: "x\u2028y\u001b\u009b\u202e" })
  })
})

describe("colours", () => {
  it("are used on a terminal only, and not where NO_COLOR is set", () => {
    assert.strictEqual(styleOf(true, {}).bold("a"), "\u001b[1ma\u001b[22m")
    assert.strictEqual(styleOf(false, {}).bold("a"), "a")
    assert.strictEqual(styleOf(true, { NO_COLOR: "1" }).bold("a"), "a")
    assert.strictEqual(styleOf(true, { TERM: "dumb" }).bold("a"), "a")
  })
})

describe("a time", () => {
  it("has no sixty of anything", () => {
    assert.deepStrictEqual([999, 59_940, 59_960, 119_600, 3_599_600].map(time), [
      "999 ms",
      "59.9 s",
      "1 min 0 s",
      "2 min 0 s",
      "1 h 0 min"
    ])
  })
})

describe("a table", () => {
  it("is cut where a terminal would wrap it, by what characters take", () => {
    const text = table(
      styleOf(false, {}),
      [{ title: "id" }, { title: "name" }],
      [["1", "日本語".repeat(20)]],
      40
    )
    for (const line of text.trimEnd().split("\n")) assert.isAtMost(widthOf(line), 40)
  })
})
