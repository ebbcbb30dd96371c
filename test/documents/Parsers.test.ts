import { assert, describe, it } from "@effect/vitest"
import { parseCode } from "../../src/documents/CodeParser.ts"
import { parseCsv } from "../../src/documents/CsvParser.ts"
import { parseHtml } from "../../src/documents/HtmlParser.ts"
import { parseJson, parseNdjson } from "../../src/documents/JsonParser.ts"
import { parseMarkdown } from "../../src/documents/MarkdownParser.ts"
import { formatOf, mediaTypeOf } from "../../src/documents/MediaType.ts"
import type { Parsed } from "../../src/documents/Parser.ts"
import { parseText } from "../../src/documents/TextParser.ts"

const most = 1_000_000
/** Kind and text of each block, which ends where the next begins. */
const blocks = ({ text, blocks }: Parsed): ReadonlyArray<string> => {
  const all = [...blocks]
  return all.map(
    (one, i) => `${one.kind}: ${text.slice(one.start, all[i + 1]?.start ?? text.length).trimEnd()}`
  )
}
const titles = ({ blocks }: Parsed): ReadonlyArray<string> =>
  [...blocks].filter((one) => one.level > 0).map((one) => `${one.level} ${one.title}`)

describe("Markdown", () => {
  it("has headings, paragraphs, items, code and tables as blocks", () => {
    const text =
      "Intro\n\n# One\n\nText\nmore\n\n- a\n  - deep\n- b\n\n```js\n# no heading\n\nx\n```\n\n| a |\n|---|\n| 1 |\n\nTwo\n---\n> quote\n"
    assert.deepStrictEqual(blocks(parseMarkdown(text)), [
      "paragraph: Intro",
      "heading: # One",
      "paragraph: Text\nmore",
      "item: - a\n  - deep",
      "item: - b",
      "code: ```js\n# no heading\n\nx\n```",
      "table: | a |\n|---|\n| 1 |",
      "heading: Two\n---",
      "paragraph: > quote"
    ])
    assert.deepStrictEqual(titles(parseMarkdown(text)), ["1 One", "2 Two"])
  })

  it("a heading's name has no markup", () => {
    const text = "## The **bold** `code()` [link](http://x) and snake_case_name {#anchor}\n"
    assert.deepStrictEqual(titles(parseMarkdown(text)), ["2 The bold code() link and snake_case_name"])
  })

  it("front matter is metadata and title, and is in no block", () => {
    const text = "---\ntitle: 'A: b'\ntags: [x, 2, true]\ndate: 2024-01-01\nnested: {a: 1}\n---\n# Other\n"
    const parsed = parseMarkdown(text)
    assert.deepStrictEqual(parsed.title, { text: "A: b", from: "source" })
    assert.deepStrictEqual(parsed.metadata, { tags: ["x", 2, true], date: "2024-01-01" })
    assert.deepStrictEqual(blocks(parsed), ["heading: # Other"])
  })

  it("what is no YAML map stays in the text", () => {
    for (const head of ["a: [unclosed", "just words", `${"[".repeat(10_000)}`, "a: 1\na: : :"]) {
      const parsed = parseMarkdown(`---\n${head}\n---\ntext\n`)
      assert.isUndefined(parsed.metadata, head)
      assert.include(blocks(parsed).join("\n"), "text")
    }
  })

  it("front matter expands no alias and takes no prototype", () => {
    const parsed = parseMarkdown("---\na: &x [1]\nb: *x\n__proto__: {polluted: 1}\n---\ntext\n")
    assert.deepStrictEqual(parsed.metadata, { a: [1] })
  })

  it("front matter keeps a long number as it is written, and a title whatever it looks like", () => {
    const { metadata, title } = parseMarkdown(
      "---\ntitle: 1.10\nid: 12345678901234567890\nstars: 4\n---\ntext\n"
    )
    assert.deepStrictEqual(title, { text: "1.10", from: "source" })
    assert.deepStrictEqual(metadata, { id: "12345678901234567890", stars: 4 })
  })

  it("a heading between two lines is none of YAML's comments", () => {
    const parsed = parseMarkdown("---\n# Title\n---\ntext\n")
    assert.deepStrictEqual(titles(parsed), ["1 Title"])
    assert.deepStrictEqual(parseMarkdown("---\n\n---\ntext\n").metadata, {})
  })

  it("the first heading of level 1 is the title", () => {
    assert.deepStrictEqual(parseMarkdown("## Sub\n\n# Main\n").title, { text: "Main", from: "text" })
    assert.isUndefined(parseMarkdown("text").title)
  })

  it("a large text is read line by line, with the same headings", () => {
    const part = "# One\n\ntext\n\n```\n# no\n```\n\n## Two ##\n\ntext\n\n"
    const large = part.repeat(30_000)
    assert.deepStrictEqual(titles(parseMarkdown(large)).slice(0, 4), ["1 One", "2 Two", "1 One", "2 Two"])
  })
})

describe("HTML", () => {
  const parse = parseHtml(most)

  it("is its readable text", () => {
    const page = parse(
      "<!doctype html><title>T &amp; t</title><style>p{}</style><script>alert('<p>')</script><nav>Menu</nav><h1>Main <em>head</em></h1><p>Some <b>bold</b>\n text&nbsp;here<br>next</p><ul><li>one<li>two</ul><table><tr><th>A<th>B<tr><td>1<td>2</table><pre>x\n  y</pre>tail &lt;z&gt;"
    )
    assert.strictEqual(
      page.text,
      "Main head\n\nSome bold text here\nnext\n- one\n- two\n\nA | B\n1 | 2\n\nx\n  y\n\ntail <z>"
    )
    assert.deepStrictEqual(page.title, { text: "T & t", from: "text" })
    assert.deepStrictEqual(titles(page), ["1 Main head"])
  })

  it("where there is a main part, it is that part", () => {
    const page = parse(
      "<h1>Site</h1><p>Menu</p><main><h1>Page</h1><p>Text</p></main><table><td>x<td>y</table>Imprint"
    )
    assert.strictEqual(page.text, "Page\n\nText")
    assert.deepStrictEqual(page.title, { text: "Page", from: "text" })
    assert.strictEqual(parse("<p>All of it</p><main></main>").text, "All of it")
  })

  it("a navigation that is never closed does not swallow the page", () => {
    assert.include(parse("<nav><a>Home</a><p>The text").text, "The text")
  })

  it("nothing that is left out swallows the page, closed by itself or never", () => {
    assert.strictEqual(parse("<p>One</p><svg width='1'/><p>Two</p>").text, "One\n\nTwo")
    const xhtml =
      "<?xml version='1.0'?><html><head><script src='a.js'/><title/></head><body><p>The text</p></body></html>"
    assert.strictEqual(parse(xhtml).text, "The text")
    assert.strictEqual(
      parse("<p>One</p><button>Go<p>Two</p><svg><p>Three</p>").text,
      "One\n\nGo\n\nTwo\n\nThree"
    )
    assert.strictEqual(parse("<nav>Menu</nav><p>One</p><script>let two = 2").text, "One")
  })

  it("depth costs nothing", () => {
    const deep = `${"<div>".repeat(100_000)}deep${"</p></span>".repeat(100_000)}`
    assert.strictEqual(parse(deep).text, "deep")
  })

  it("a lone surrogate cannot be smuggled in by an entity", () => {
    assert.isTrue(parse("<p>a&#xD800;b&#0;c").text.isWellFormed())
    assert.notInclude(parse("<p>a&#0;c").text, "\0")
  })
})

describe("JSON", () => {
  const parse = parseJson(most)

  it("is lines of path and value", () => {
    assert.strictEqual(
      parse('{"name":"x","deps":{"a":"1"},"tags":["p","q"],"none":null}').text,
      "name: x\ndeps.a: 1\ntags: p, q\nnone: null\n"
    )
  })

  it("elements of a list are passages that do not name their place", () => {
    assert.deepStrictEqual(blocks(parse('[{"id":1,"a":{"b":2}},{"id":3}]')), [
      "record: id: 1\na.b: 2",
      "record: id: 3"
    ])
  })

  it("numbers of more digits than JavaScript's hold stand as they are written", () => {
    const source =
      '{"id": 12345678901234567890, "a": [-9007199254740993, 1.5], "1234567890123456": "\\"9007199254740993", "n": 1234567890123456}'
    assert.strictEqual(
      parse(source).text,
      'id: 12345678901234567890\na: -9007199254740993, 1.5\n1234567890123456: "9007199254740993\nn: 1234567890123456\n'
    )
  })

  it("any depth is read", () => {
    assert.include(parse(`${'{"a":'.repeat(50_000)}"deep"${"}".repeat(50_000)}`).text, "deep")
  })

  it("what is no JSON is read as text", () => {
    assert.strictEqual(parse('// comment\n{"a": 1}').text, '// comment\n{"a": 1}')
  })

  it("text that names repeat without end is refused", () => {
    const large = JSON.stringify({ ["k".repeat(80)]: Array.from({ length: 20_000 }, () => ({ a: 1 })) })
    assert.throws(() => parse(large), "")
  })

  it("a line of NDJSON is a passage, and a broken one stands as it is", () => {
    assert.deepStrictEqual(blocks(parseNdjson(most)('{"a":{"b":1}}\nbroken {\n\n[1,2]\n')), [
      "record: a.b: 1",
      "record: broken {",
      "record: 1, 2"
    ])
  })
})

describe("CSV", () => {
  const parse = parseCsv(most)

  it("a row is a passage of named values", () => {
    assert.deepStrictEqual(blocks(parse('name;age;note\nAnn;3;"two\nlines; quoted"\nBob;;\n')), [
      "record: name: Ann\nage: 3\nnote: two\nlines; quoted",
      "record: name: Bob"
    ])
  })

  it("rows without names are lines", () => {
    assert.deepStrictEqual(blocks(parse("1,2\n3,4\n")), ["record: 1 | 2", "record: 3 | 4"])
  })

  it("a large table is the same as a small one, row by row", () => {
    const row = '12,"a ""quoted""\nline, with more",x\n'
    const parsed = parseCsv(100 * most)(`number,text,mark\n${row.repeat(100_000)}`)
    const all = blocks(parsed)
    assert.strictEqual(all.length, 100_000)
    assert.deepStrictEqual(
      new Set(all),
      new Set(['record: number: 12\ntext: a "quoted"\nline, with more\nmark: x'])
    )
  })

  it("a quotation that never ends is read as text", () => {
    assert.include(parse(`a,b\n"${"x".repeat(2_000_000)}`).text, "xxx")
  })
})

describe("source code and plain text", () => {
  it("what begins in the first column after a blank line is a unit, with its name", () => {
    const text =
      "import x\n\n/** Doc. */\nexport class Foo {\n  a() {}\n\n  b() {}\n}\n\n@decorated\ndef bar():\n    pass\n\nfunc (s *T) Baz() {\n}\n"
    assert.deepStrictEqual(titles(parseCode(text)), ["1 ", "1 Foo", "1 bar", "1 Baz"])
    assert.strictEqual([...parseCode(text).blocks].length, 5)
  })

  it("a paragraph ends at a blank line", () => {
    assert.deepStrictEqual(blocks(parseText("a\nb\n \t\n\nc\n")), ["paragraph: a\nb", "paragraph: c"])
  })
})

describe("media type", () => {
  const none = new Uint8Array()

  it("follows the name, in any case", () => {
    assert.strictEqual(mediaTypeOf("docs/A.MD", none), "text/markdown")
    assert.strictEqual(mediaTypeOf("src/x.d.ts", none), "text/x-typescript")
    assert.strictEqual(mediaTypeOf("a.b/Makefile", none), "text/x-makefile")
    assert.strictEqual(mediaTypeOf(".gitignore", none), "text/plain")
  })

  it("follows the first characters where the name says nothing", () => {
    assert.strictEqual(mediaTypeOf("page", new TextEncoder().encode("  <!DOCTYPE html>")), "text/html")
    assert.strictEqual(mediaTypeOf("run", new TextEncoder().encode("#!/bin/sh")), "text/x-shellscript")
  })

  it("decides the format, parameters aside", () => {
    assert.strictEqual(formatOf("Text/HTML; charset=utf-8"), "html")
    assert.strictEqual(formatOf("text/x-typescript"), "code")
    assert.strictEqual(formatOf("text/tab-separated-values"), "tsv")
    assert.strictEqual(formatOf("application/unheard-of"), "text")
  })
})
