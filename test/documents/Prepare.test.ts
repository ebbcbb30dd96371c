import { assert, describe, it } from "@effect/vitest"
import { FastCheck, Schema } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { Descriptor, Manifest } from "../../events/Document.ts"
import { chunkId, DocumentId, sha256 } from "../../events/Ids.ts"
import { defaultChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { type Prepared, prepare } from "../../src/documents/Prepare.ts"
import { renderInput } from "../../src/documents/RenderedInput.ts"

const chunker = makeChunker(defaultChunkerSettings)
const id = DocumentId.make("00000000-0000-5000-8000-000000000001")
const described = (externalId: string, rest: Partial<Descriptor> = {}): Descriptor => ({
  externalId,
  uri: `file:///${externalId}`,
  mediaType: "",
  metadata: {},
  ...rest
})
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)
const run = (name: string, content: string | Uint8Array, rest: Partial<Descriptor> = {}) =>
  prepare(id, typeof content === "string" ? utf8(content) : content, described(name, rest), chunker)
const prepared = (...parameters: Parameters<typeof run>): Prepared => {
  const outcome = run(...parameters)
  if (outcome._tag !== "Prepared") assert.fail(JSON.stringify(outcome))
  return outcome
}

describe("what is prepared", () => {
  it("an entry is derived from the document and its rendered input", () => {
    const { descriptor, text, manifest } = prepared("a.md", "# Title\n\nSame.\n\n# Title\n\nSame.\n")
    assert.strictEqual(manifest.chunker, chunker.fingerprint)
    for (const entry of manifest.entries) {
      const input = renderInput(descriptor, entry.headings, text.slice(entry.start, entry.end))
      assert.strictEqual(entry.inputHash, sha256(input))
      assert.strictEqual(entry.chunkId, chunkId(id, entry.inputHash, 0))
    }
  })

  it("equal inputs of a document are told apart by their ordinal", () => {
    const line = `${"same words ".repeat(30)}.`
    const { manifest } = prepared("a.csv", `${`${line},${line}\n`.repeat(40)}`)
    const ids = manifest.entries.map((entry) => entry.chunkId)
    assert.strictEqual(new Set(ids).size, ids.length)
    assert.isBelow(new Set(manifest.entries.map((entry) => entry.inputHash)).size, ids.length)
  })

  it("declared metadata and title win over what the text says", () => {
    const text = "---\ntitle: Text\nlang: en\nkind: note\n---\nbody"
    const { descriptor } = prepared("a.md", text, { title: "Source", metadata: { kind: "page" } })
    assert.deepStrictEqual(descriptor.metadata, { lang: "en", kind: "page" })
    assert.strictEqual(descriptor.title, "Source")
    assert.strictEqual(descriptor.titleFrom, "source")
  })

  it("without another the title comes from the path, and enters no input", () => {
    const one = prepared("docs/one.txt", "body")
    const two = prepared("moved/two.txt", "body")
    assert.strictEqual(one.descriptor.title, "one.txt")
    assert.strictEqual(one.descriptor.titleFrom, "path")
    assert.deepStrictEqual(one.manifest, two.manifest)
  })

  it("the media type is kept where the source knows it", () => {
    assert.strictEqual(prepared("page", "<p>x", { mediaType: "text/html" }).text, "x")
    assert.strictEqual(prepared("a.html", "<p>x").descriptor.mediaType, "text/html")
    const rows = "1\tOne, two, three, and four\n2\tFive, six\n"
    assert.strictEqual(prepared("a.tsv", rows).text, "1 | One, two, three, and four\n2 | Five, six\n")
  })
})

describe("rendered input", () => {
  it("stands below title and headings", () => {
    const descriptor = described("a.md", { title: "Title", titleFrom: "text" })
    assert.strictEqual(renderInput(descriptor, ["Title", "Deep"], "words"), "Title\nDeep\n\nwords")
  })

  it("does not say twice what the first line says", () => {
    const descriptor = described("a.md", { title: "Title", titleFrom: "text" })
    assert.strictEqual(
      renderInput(descriptor, ["Title", "Deep"], "## Deep\n\nwords"),
      "Title\n\n## Deep\n\nwords"
    )
  })
})

describe("bad input", () => {
  it("nothing in it: skipped as empty", () => {
    for (const [name, content] of [
      ["a.md", ""],
      ["a.md", " \n\t\n"],
      ["a.md", "---\ntitle: x\n---\n"],
      ["a.html", "<script>x</script>"],
      ["a.json", '""']
    ] as const) {
      assert.deepInclude(run(name, content), { _tag: "Skipped", reason: "empty" }, content)
    }
  })

  it("a PNG named .md: skipped as binary", () => {
    const png = new Uint8Array([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d])
    assert.deepStrictEqual(run("a.md", png), { _tag: "Skipped", reason: "binary", detail: "image/png" })
  })

  it("over the limit: skipped as too large, unread", () => {
    const limits = { maxBytes: 10, maxChunks: 10 }
    const outcome = prepare(id, new Uint8Array(11), described("a.md"), chunker, limits)
    assert.deepInclude(outcome, { _tag: "Skipped", reason: "too-large" })
  })

  it("a small source of a large text: skipped as too large", () => {
    const json = JSON.stringify({ ["k".repeat(80)]: Array.from({ length: 2_000 }, () => ({ a: 1 })) })
    const limits = { maxBytes: json.length, maxChunks: 10 }
    assert.deepInclude(prepare(id, utf8(json), described("a.json"), chunker, limits), { reason: "too-large" })
  })

  it("too many chunks: unparseable, with what to do", () => {
    const limits = { maxBytes: 1_000_000, maxChunks: 10 }
    const outcome = prepare(id, utf8("words and words. ".repeat(10_000)), described("a.txt"), chunker, limits)
    assert.deepInclude(outcome, { _tag: "Unparseable", code: "too-many-chunks" })
  })

  it("a descriptor that cannot be written down is mended", () => {
    const { descriptor } = prepared("a\ud800.md", "text", {
      uri: "x:\udc00",
      metadata: { "k\ud800": "v\0", n: Number.NaN, list: [Number.POSITIVE_INFINITY, "\udfff"] }
    })
    assert.deepStrictEqual(descriptor, {
      externalId: "a\ufffd.md",
      uri: "x:\ufffd",
      mediaType: "text/markdown",
      metadata: { "k\ufffd": "v\ufffd", n: "NaN", list: ["Infinity", "\ufffd"] },
      title: "a\ufffd.md",
      titleFrom: "path"
    })
    canonicalJson(descriptor)
  })

  it("any bytes under any name have an outcome whose parts can be stored", () => {
    const names = ["a.md", "a.html", "a.json", "a.ndjson", "a.csv", "a.ts", "a.txt", "a\n\u001b[31m", ""]
    const content = FastCheck.oneof(
      FastCheck.uint8Array({ maxLength: 300 }),
      FastCheck.string({ unit: "binary", maxLength: 300 }).map(utf8),
      FastCheck.json().map(utf8),
      FastCheck.array(
        FastCheck.constantFrom(
          "---\n",
          "a: ",
          "[",
          "{",
          '"',
          "<p>",
          "<h1>",
          "</",
          "&#xd800;",
          "# ",
          "- ",
          "|",
          ",",
          "\n",
          "\\ud800",
          "\0",
          "\r",
          "x"
        ),
        { maxLength: 60 }
      ).map((all) => utf8(all.join("")))
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.constantFrom(...names), content, (name, bytes) => {
        const outcome = run(name, bytes)
        if (outcome._tag !== "Prepared") return
        canonicalJson(Schema.decodeSync(Descriptor)(outcome.descriptor))
        canonicalJson(Schema.decodeUnknownSync(Schema.encodedSchema(Manifest))(outcome.manifest) as never)
        assert.isTrue(outcome.text.isWellFormed())
        assert.notMatch(outcome.text, /[\0\r]/)
        assert.deepStrictEqual(run(name, bytes), outcome)
      }),
      { numRuns: 300 }
    )
  })

  it("deep and hostile sources end in time", () => {
    const n = 50_000
    const sources: ReadonlyArray<readonly [string, string]> = [
      ["a.md", "> ".repeat(n)],
      ["a.md", "- ".repeat(n)],
      ["a.md", "[".repeat(n)],
      ["a.md", "[a\n".repeat(n)],
      ["a.md", Array.from({ length: 800 }, (_, i) => `${"  ".repeat(i)}- a`).join("\n")],
      ["a.md", `---\n${"a: &a [*a, *a]\n".repeat(1_000)}---\nx`],
      ["a.md", `---\n${`-${" ".repeat(500)}`.repeat(15)}a\n---\nx`],
      ["a.txt", `a ${"\u0301".repeat(10 * n)}`],
      ["a.html", "<div>".repeat(n)],
      ["a.html", "<svg><math><iframe><object><canvas><audio><video><select>".repeat(n / 10)],
      ["a.html", "<!--".repeat(n)],
      ["a.html", "<a ".repeat(n)],
      ["a.json", "[".repeat(n) + "]".repeat(n)],
      ["a.csv", '"a" b,'.repeat(n)],
      ["a.csv", ",".repeat(n)],
      ["a.ts", "export ".repeat(n)]
    ]
    for (const [name, source] of sources) run(name, source)
  }, 10_000)
})
