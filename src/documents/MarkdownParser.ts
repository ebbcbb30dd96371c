/**
 * Markdown, by CommonMark's block rules (plus tables); inline markup stays as it is written. The stored text is the
 * source itself, so that a span is a span of the source.
 *
 * The block parser makes objects for every line; a text of more than a megabyte is therefore read by a plain line
 * scanner that knows headings, fences and blank lines only.
 */
import MarkdownIt from "markdown-it"
import { frontMatter } from "./FrontMatter.ts"
import { type Block, type BlockKind, block, type Parsed, titleLine } from "./Parser.ts"
import { isBlankLine } from "./TextParser.ts"

/** Beyond either the line scanner takes over. */
const limits = { length: 1_048_576, lines: 20_000, nesting: 24 }

/** Definitions of link targets are text like any other. Below the deepest nesting nothing is told apart any more. */
const markdown = new MarkdownIt("commonmark", { html: true, maxNesting: limits.nesting })
  .enable("table")
  .disable("reference")

export const parseMarkdown = (text: string): Parsed => {
  const front = frontMatter(text)
  const from = front?.end ?? 0
  const body = from === 0 ? text : text.slice(from)
  const known = structured(body, from)
  const first = firstHeading(known ?? scanned(text, from))
  const blocks = known ?? scanned(text, from)
  const title =
    front?.title !== undefined
      ? ({ text: front.title, from: "source" } as const)
      : first !== undefined
        ? ({ text: first.title, from: "text" } as const)
        : undefined
  return {
    text,
    blocks,
    ...(title === undefined ? {} : { title }),
    ...(front === undefined ? {} : { metadata: front.metadata })
  }
}

const firstHeading = (blocks: Iterable<Block>): Block | undefined => {
  for (const one of blocks) if (one.level === 1 && one.title !== "") return one
  return undefined
}

const kinds: ReadonlyMap<string, BlockKind> = new Map([
  ["heading_open", "heading"],
  ["list_item_open", "item"],
  ["fence", "code"],
  ["code_block", "code"],
  ["table_open", "table"]
])

const structured = (body: string, offset: number): ReadonlyArray<Block> | undefined => {
  if (body.length > limits.length) return undefined
  const lines = lineStarts(body)
  if (lines.length > limits.lines) return undefined
  const tokens: ReturnType<typeof markdown.parse> = []
  try {
    markdown.block.parse(body, markdown, {}, tokens)
  } catch {
    return undefined
  }
  const blocks: Array<Block> = []
  let last = -1
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i]
    if (token === undefined || token.nesting < 0 || token.map === null) continue
    const item = token.level === 1 && token.type === "list_item_open"
    if (token.level > 0 && !item) continue
    const start = (lines[token.map[0]] ?? 0) + offset
    // A list begins where its first item does.
    if (start <= last || token.type.endsWith("_list_open")) continue
    last = start
    const kind = kinds.get(token.type) ?? "paragraph"
    blocks.push(
      kind === "heading"
        ? { kind, start, level: Number(token.tag.slice(1)), title: plain(tokens[i + 1]?.content ?? "") }
        : block(kind, start)
    )
  }
  return blocks
}

const lineStarts = (text: string): ReadonlyArray<number> => {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return starts
}

/** Headings with `#`, fenced code, and paragraphs. */
function* scanned(text: string, from: number): Generator<Block> {
  let start = from
  let fence = ""
  let afterBlank = true
  while (start < text.length) {
    const newline = text.indexOf("\n", start)
    const end = newline < 0 ? text.length : newline
    const line = text.slice(start, Math.min(end, start + 1_000))
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1] ?? ""
    if (fence !== "") {
      if (mark.startsWith(fence)) {
        fence = ""
        afterBlank = true
      }
    } else if (mark !== "") {
      fence = mark
      yield block("code", start)
    } else {
      const heading = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/.exec(line)
      const blank = heading === null && isBlankLine(text, start, end)
      if (heading !== null) {
        const title = plain((heading[2] ?? "").replace(/[ \t]#+[ \t]*$/, ""))
        yield { kind: "heading", start, level: heading[1]?.length ?? 1, title }
      } else if (!blank && afterBlank) yield block("paragraph", start)
      afterBlank = blank || heading !== null
    }
    start = end + 1
  }
}

/** A heading without its inline markup. */
const plain = (content: string): string =>
  titleLine(
    content
      .slice(0, 300)
      .replace(/!?\[([^[\]]*)\](?:\([^()]*\)|\[[^[\]]*\])?/g, "$1")
      .replace(/<\/?[A-Za-z][^<>]*>/g, "")
      .replace(/[ \t]*\{[#.][^{}]*\}[ \t]*$/, "")
      .replace(/(\*\*|~~|`+)/g, "")
      .replace(/(^|[^\p{L}\p{N}])[*_](\S[^*_]*)[*_](?=$|[^\p{L}\p{N}])/gu, "$1$2")
      .replace(/\\([!-/:-@[-`{-~])/g, "$1")
  )
