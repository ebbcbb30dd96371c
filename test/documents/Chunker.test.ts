import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { documentId, ProjectName, SourceId, TeamName } from "../../events/Ids.ts"
import { type Chunk, defaultChunkerSettings, makeChunker } from "../../src/documents/Chunker.ts"
import { storable } from "../../src/documents/Encoding.ts"
import { parseMarkdown } from "../../src/documents/MarkdownParser.ts"
import { type Prepared, prepare } from "../../src/documents/Prepare.ts"
import { parseText } from "../../src/documents/TextParser.ts"
import { estimateTokens } from "../../src/documents/TokenEstimate.ts"

const chunker = makeChunker(defaultChunkerSettings)
const small = makeChunker({ maxTokens: 32, overlapTokens: 8 })
const markdown = (text: string, by = chunker): ReadonlyArray<Chunk> => [...by.chunk(parseMarkdown(text))]
const plain = (text: string, by = chunker): ReadonlyArray<Chunk> => [...by.chunk(parseText(text))]

const words =
  "the event log keeps every fact in order and search reads only what a checkpoint covers so far".split(" ")
/** A sentence that depends on its number alone. */
const sentence = (n: number): string =>
  `Item ${n} ${Array.from({ length: 9 + (n % 7) }, (_, i) => words[(n * 7 + i * 5 + (n >> 3)) % words.length]).join(" ")}.`
const paragraph = (n: number): string =>
  Array.from({ length: 2 + (n % 4) }, (_, i) => sentence(n * 11 + i)).join(" ")
const paragraphs = (from: number, count: number): string =>
  Array.from({ length: count }, (_, i) => paragraph(from + i)).join("\n\n")

describe("structure", () => {
  it("a short document is one chunk, from its first word to its last", () => {
    const text = "\n\n# Title\n\nOne paragraph.\n\n"
    assert.deepStrictEqual(markdown(text), [{ start: 2, end: 25, headings: ["Title"] }])
  })

  it("a section that is long enough begins a chunk of its own", () => {
    const text = `# Title\n\n## One\n\n${paragraphs(0, 4)}\n\n## Two\n\n${paragraphs(50, 4)}\n`
    const starts = markdown(text).map((one) => text.slice(one.start, one.start + 6))
    assert.include(starts, "## Two")
  })

  it("headings name the sections that hold all of a chunk", () => {
    const text = `# Title\n\n## One\n\n${paragraphs(0, 12)}\n\n### Deep\n\n${paragraphs(50, 12)}\n\n## Two\n\n${paragraphs(99, 4)}`
    const chunks = markdown(text)
    assert.deepStrictEqual(chunks.at(-1)?.headings, ["Title", "Two"])
    assert.isTrue(chunks.some((one) => one.headings.join(" › ") === "Title › One › Deep"))
  })

  it("a heading is never the last line of a chunk", () => {
    const text = Array.from(
      { length: 40 },
      (_, i) => `## Section ${i}\n\n${paragraphs(i * 3, 1 + (i % 3))}`
    ).join("\n\n")
    for (const { start, end } of markdown(text)) {
      assert.notMatch(text.slice(start, end), /(^|\n)## Section \d+$/)
    }
  })

  it("overlap repeats whole sentences of the same section, and none across a heading", () => {
    const text = `# One\n\n${paragraphs(0, 20)}\n\n# Two\n\n${paragraphs(40, 20)}`
    const chunks = markdown(text)
    let overlaps = 0
    for (let i = 1; i < chunks.length; i++) {
      const before = chunks[i - 1]
      const chunk = chunks[i]
      if (before === undefined || chunk === undefined || chunk.start >= before.end) continue
      overlaps++
      const shared = text.slice(chunk.start, before.end)
      assert.match(shared, /^Item [^#]*\.$/s)
      assert.isAtMost(estimateTokens(shared, 0, shared.length), defaultChunkerSettings.overlapTokens)
    }
    assert.isAbove(overlaps, 2)
  })

  it("prose comes in passages of 128 to 256 words on the mean", () => {
    const text = paragraphs(0, 200)
    const counts = plain(text).map((one) => text.slice(one.start, one.end).split(/\s+/).length)
    const mean = counts.reduce((a, b) => a + b, 0) / counts.length
    assert.isAbove(mean, 128)
    assert.isBelow(mean, 256)
  })

  it("a code block that fits stays whole", () => {
    const code = `\`\`\`ts\n${Array.from({ length: 20 }, (_, i) => `const value${i} = ${i}`).join("\n")}\n\`\`\``
    const text = `${paragraphs(0, 3)}\n\n${code}\n\n${paragraphs(9, 8)}`
    assert.isTrue(markdown(text).some((one) => text.slice(one.start, one.end).includes(code)))
  })
})

describe("stability", () => {
  const scope = { team: TeamName.make("default"), project: ProjectName.make("default") }
  const source = SourceId.make("00000000-0000-5000-8000-000000000000")
  const id = documentId(scope, source, "a.md")
  const ids = (text: string): ReadonlySet<string> => {
    const prepared = prepare(
      id,
      new TextEncoder().encode(text),
      { externalId: "a.md", uri: "file:///a.md", mediaType: "", metadata: {} },
      chunker
    )
    return new Set((prepared as Prepared).manifest.entries.map((entry) => entry.chunkId))
  }
  const changed = (before: string, after: string): number => {
    const old = ids(before)
    return [...ids(after)].filter((one) => !old.has(one)).length
  }

  it("a paragraph put anywhere into a text without headings changes a few chunks only", () => {
    const before = Array.from({ length: 400 }, (_, i) => paragraph(i))
    const counts: Array<number> = []
    for (let at = 0; at < 400; at += 10) {
      const after = before.toSpliced(at, 0, `Inserted. ${paragraph(9_000 + at)}`)
      counts.push(changed(before.join("\n\n"), after.join("\n\n")))
    }
    assert.isAbove(ids(before.join("\n\n")).size, 60)
    assert.isBelow(counts.reduce((a, b) => a + b, 0) / counts.length, 6)
    assert.isBelow(Math.max(...counts), 20)
  })

  it("a paragraph put into a section changes chunks of that section only", () => {
    const section = (n: number) => `## Section ${n}\n\n${paragraphs(n * 10, 6)}`
    const before = Array.from({ length: 30 }, (_, i) => section(i))
    const after = before.with(10, `${section(10)}\n\nInserted. ${paragraph(9_000)}`)
    assert.isAtMost(changed(before.join("\n\n"), after.join("\n\n")), 4)
  })
})

describe("any text", () => {
  const segmenter = new Intl.Segmenter("und", { granularity: "grapheme" })
  const piece = FastCheck.oneof(
    { weight: 6, arbitrary: FastCheck.constantFrom(...words) },
    { weight: 3, arbitrary: FastCheck.constantFrom(" ", "\n", "\n\n", "\r\n", ". ", "\t", "    ", "\u3000") },
    { weight: 2, arbitrary: FastCheck.string({ unit: "grapheme", maxLength: 12 }) },
    { weight: 2, arbitrary: FastCheck.string({ unit: "binary", maxLength: 12 }) },
    {
      weight: 3,
      arbitrary: FastCheck.constantFrom(
        "👩‍👩‍👧‍👦",
        "🇩🇪🇫🇷🇯🇵",
        "e\u0301\u0323",
        "\u0301",
        "한국어",
        "\u1112\u1161\u11ab",
        "日本語の文。次の文！",
        "นี่คือ\u0e33",
        "क्षत्रिय",
        "\ud800",
        "\udc00",
        "\u0600",
        "\0",
        "👍🏽",
        "# heading\n",
        "\n## two\n\n",
        "```\n",
        "- item\n",
        "> quote\n",
        "| a | b |\n|---|---|\n"
      )
    },
    { weight: 1, arbitrary: FastCheck.string({ maxLength: 400 }).map((one) => one.replace(/\s/g, "x")) },
    { weight: 1, arbitrary: FastCheck.nat(600).map((n) => "日".repeat(n)) },
    { weight: 1, arbitrary: FastCheck.nat(100).map((n) => "👨‍👩‍👧".repeat(n)) },
    { weight: 1, arbitrary: FastCheck.nat(300).map((n) => " ".repeat(n)) }
  )
  const anyText = FastCheck.array(piece, { maxLength: 120, size: "max" }).map((all) => storable(all.join("")))

  const isBoundary = (text: string, at: number): boolean =>
    at <= 0 || at >= text.length || segmenter.segment(text).containing(at)?.index === at

  for (const [name, parse, by] of [
    ["Markdown, default sizes", parseMarkdown, chunker],
    ["Markdown, tiny chunks", parseMarkdown, small],
    ["plain text, tiny chunks", parseText, small]
  ] as const) {
    it(`every word is in a chunk, no cluster is torn, no chunk is too large (${name})`, () => {
      FastCheck.assert(
        FastCheck.property(anyText, (text) => {
          const parsed = parse(text)
          const chunks = [...by.chunk(parsed)]
          let covered = 0
          let last = -1
          for (const { start, end, headings } of chunks) {
            assert.isBelow(start, end)
            assert.isAbove(start, last)
            last = start
            // Only white space lies between two chunks.
            if (start > covered) assert.strictEqual(text.slice(covered, start).trim(), "")
            assert.isAbove(end, covered)
            covered = end
            assert.isTrue(isBoundary(text, start), `start ${start}`)
            assert.isTrue(isBoundary(text, end), `end ${end}`)
            assert.isTrue(text.slice(start, end).isWellFormed())
            for (const heading of headings) assert.notMatch(heading, /[\n\0]/)
            const most = by === small ? 32 : defaultChunkerSettings.maxTokens
            assert.isAtMost(estimateTokens(text, start, end), most + 24)
          }
          assert.strictEqual(text.slice(covered).trim(), "")
        }),
        { numRuns: 150 }
      )
    })
  }

  it("the same text gives the same chunks", () => {
    FastCheck.assert(
      FastCheck.property(anyText, (text) =>
        assert.deepStrictEqual(markdown(text, small), markdown(text, small))
      ),
      { numRuns: 50 }
    )
  })
})

describe("hostile texts take linear time", () => {
  const million = 400_000
  const cases: ReadonlyArray<readonly [name: string, text: string]> = [
    ["one word", "x".repeat(4 * million)],
    ["one line of words", "word ".repeat(million)],
    ["one line of ideographs", "語".repeat(2 * million)],
    ["one line of family emoji", "👩‍👩‍👧‍👦".repeat(40_000)],
    ["one cluster", `e${"\u0301".repeat(million)}`],
    ["flags", "🇩🇪".repeat(100_000)],
    ["Cyrillic words", "слово ".repeat(200_000)],
    ["spaces", `a${" ".repeat(4 * million)}b`],
    ["line ends", "\n".repeat(4 * million)],
    ["stops", ". ".repeat(2 * million)],
    ["marks", ".".repeat(4 * million)],
    ["closers", `.${")".repeat(million)} `.repeat(3)],
    ["lines of closers", ")))))\n".repeat(200_000)]
  ]
  for (const [name, text] of cases) {
    it(name, () => {
      const parsed = parseText(text)
      let count = 0
      for (const _ of chunker.chunk(parsed)) count++
      assert.isAtMost(count, text.length / 100 + 1)
    }, 10_000)
  }
})

describe("fingerprint", () => {
  it("follows the settings", () => {
    assert.strictEqual(makeChunker(defaultChunkerSettings).fingerprint, chunker.fingerprint)
    assert.notStrictEqual(small.fingerprint, chunker.fingerprint)
  })
})
