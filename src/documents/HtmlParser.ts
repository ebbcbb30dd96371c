/**
 * The readable text of an HTML page, read as a stream of tags: there is no tree, so that neither depth nor missing end
 * tags cost anything.
 */
import { Tokenizer } from "htmlparser2"
import { type BlockKind, maxTitleLength, type Parsed, titleLine } from "./Parser.ts"
import { RenderedText } from "./RenderedText.ts"

export const parseHtml =
  (maxLength: number) =>
  (source: string): Parsed => {
    // What is left out and never closed would swallow the page: it is read again, with that in it.
    const reading: Reading = { dropsFurniture: true, told: new Set() }
    for (;;) {
      const page = read(source, maxLength, reading)
      const by = page.swallowedBy
      if (by !== undefined && furniture.has(by)) reading.dropsFurniture = false
      else if (by !== undefined && !raw.has(by)) reading.told.add(by)
      else if (reading.dropsFurniture && page.rendered.length === 0) reading.dropsFurniture = false
      else return page.parsed()
    }
  }

/** What is left out of a page. */
interface Reading {
  dropsFurniture: boolean
  /** Names of elements that are text here, and never are elsewhere. */
  readonly told: Set<string>
}

const read = (source: string, maxLength: number, reading: Reading): Page => {
  const page = new Page(source, maxLength, reading)
  // As in XHTML: whoever writes `<script src="…"/>` in HTML has a page that no browser shows.
  const tokenizer = new Tokenizer({ xmlMode: false, decodeEntities: true, recognizeSelfClosing: true }, page)
  tokenizer.write(source)
  tokenizer.end()
  return page
}

const names = (list: string): ReadonlySet<string> => new Set(list.split(" "))

/** Never text. */
const silent = names(
  "script style template svg math iframe object canvas audio video select datalist noscript button map"
)
/** Of these what stands in them is no markup: where one never ends, all that follows is a program. */
const raw = names("script style")
/** Text, but about the site and not the page; so is what stands outside of `<main>` where there is one. */
const furniture = names("nav footer")
const breaking = names(
  "address article aside blockquote body details dialog dd div dl dt fieldset figcaption figure footer form header hr html main nav ol p section summary table tbody thead tfoot ul caption"
)
const headingLevel = /^h[1-6]$/

class Page {
  rendered: RenderedText
  private readonly maxLength: number
  private readonly source: string
  private readonly reading: Reading
  private title = ""
  private firstHeading = ""
  private inTitle = false
  /** The element within which nothing is read, and how many of its kind are open. */
  private skipped = ""
  private skippedDepth = 0
  private preformatted = 0
  private heading: { readonly level: number; text: string } | undefined
  /** Line ends owed before the next word: 0, 1, or 2 for a new block. */
  private owed: 0 | 1 | 2 = 2
  private spaceOwed = false
  private nextKind: BlockKind = "paragraph"
  private tag = ""
  private main: "before" | "within" | "after" = "before"

  constructor(source: string, maxLength: number, reading: Reading) {
    this.source = source
    this.maxLength = maxLength
    this.rendered = new RenderedText(maxLength)
    this.reading = reading
  }

  /** The element that was left out and never closed. */
  get swallowedBy(): string | undefined {
    return this.skippedDepth > 0 ? this.skipped : undefined
  }

  parsed(): Parsed {
    const title = titleLine(this.title) || this.firstHeading
    const result = { text: this.rendered.text(), blocks: this.rendered.blocks }
    return title === "" ? result : { ...result, title: { text: title, from: "text" } }
  }

  onopentagname(start: number, end: number): void {
    this.tag = end - start <= 16 ? this.source.slice(start, end).toLowerCase() : ""
  }

  onopentagend(): void {
    this.open(this.tag)
  }

  /** Nothing stands in it. */
  onselfclosingtag(): void {
    if (this.tag !== "title" && !this.isLeftOut(this.tag)) this.open(this.tag)
  }

  onclosetag(start: number, end: number): void {
    this.close(end - start <= 16 ? this.source.slice(start, end).trim().toLowerCase() : "")
  }

  ontext(start: number, end: number): void {
    this.text(this.source.slice(start, end))
  }

  ontextentity(codePoint: number): void {
    this.text(String.fromCodePoint(codePoint))
  }

  oncdata(start: number, end: number, endOffset: number): void {
    this.text(this.source.slice(start, end - endOffset))
  }

  onattribdata(): void {}
  onattribentity(): void {}
  onattribend(): void {}
  onattribname(): void {}
  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {
    this.endHeading()
  }

  private open(tag: string): void {
    if (this.skippedDepth > 0) {
      if (tag === this.skipped) this.skippedDepth++
      return
    }
    if (this.isLeftOut(tag)) {
      this.skipped = tag
      this.skippedDepth = 1
      if (furniture.has(tag)) this.owe(2, "paragraph")
      return
    }
    if (tag === "main" && this.reading.dropsFurniture && this.main === "before") this.beginMain()
    if (tag === "title") this.inTitle = this.title === ""
    else if (tag === "br") this.owe(1)
    else if (tag === "pre") {
      this.owe(2, "code")
      this.preformatted++
    } else if (tag === "li") this.owe(2, "item")
    else if (tag === "table") this.owe(2, "table")
    else if (tag === "tr") this.owe(1)
    else if (tag === "td" || tag === "th") this.cell()
    else if (headingLevel.test(tag)) {
      this.endHeading()
      this.owe(2, "heading")
      this.heading = { level: Number(tag.slice(1)), text: "" }
    } else if (breaking.has(tag)) this.owe(2, "paragraph")
  }

  private isLeftOut(tag: string): boolean {
    return furniture.has(tag) ? this.reading.dropsFurniture : silent.has(tag) && !this.reading.told.has(tag)
  }

  private close(tag: string): void {
    if (this.skippedDepth > 0) {
      if (tag === this.skipped) this.skippedDepth--
      return
    }
    if (tag === "main" && this.main === "within") this.main = "after"
    if (tag === "title") this.inTitle = false
    else if (headingLevel.test(tag)) this.endHeading()
    else if (tag === "pre") {
      this.preformatted = Math.max(0, this.preformatted - 1)
      this.owe(2, "paragraph")
    } else if (tag === "tr") this.owe(1)
    else if (tag === "li" || breaking.has(tag)) this.owe(2, "paragraph")
  }

  private beginMain(): void {
    this.main = "within"
    this.rendered = new RenderedText(this.maxLength)
    this.heading = undefined
    this.firstHeading = ""
    this.owed = 2
  }

  private endHeading(): void {
    if (this.heading === undefined) return
    const title = titleLine(this.heading.text)
    const last = this.rendered.blocks.at(-1)
    // The block was begun with the heading's first word, before its text was known.
    if (title !== "" && last?.kind === "heading") {
      this.rendered.blocks[this.rendered.blocks.length - 1] = { ...last, title }
      if (this.heading.level === 1 && this.firstHeading === "") this.firstHeading = title
    }
    this.heading = undefined
    this.owe(2, "paragraph")
  }

  /** Within a heading a block is a line: the heading is one block. */
  private owe(lines: 1 | 2, kind?: BlockKind): void {
    if (this.heading !== undefined) {
      this.spaceOwed = true
      return
    }
    if (lines > this.owed) this.owed = lines
    // A paragraph inside of a list item belongs to the item's first line.
    if (kind !== undefined && !(kind === "paragraph" && this.nextKind === "item" && this.owed === 2)) {
      this.nextKind = kind
    }
  }

  private cell(): void {
    if (this.owed === 0 && this.main !== "after") this.write(" | ")
    this.spaceOwed = false
  }

  private text(text: string): void {
    if (this.skippedDepth > 0) return
    if (this.inTitle) {
      if (this.title.length < 4 * maxTitleLength) this.title += text
      return
    }
    if (this.main === "after") return
    if (this.preformatted > 0 && this.heading === undefined) {
      if (this.owed > 0 && text.trim() === "") return
      this.settle()
      this.rendered.add(text)
      return
    }
    const words = text.replace(/\s+/g, " ")
    if (words === "") return
    if (words === " ") {
      this.spaceOwed = true
      return
    }
    if (words.startsWith(" ")) this.spaceOwed = true
    const inner = words.trim()
    this.settle()
    this.write(inner)
    this.spaceOwed = words.endsWith(" ")
    if (this.heading !== undefined && this.heading.text.length < 4 * maxTitleLength) {
      this.heading.text += words
    }
  }

  /** Pays what is owed before a word. */
  private settle(): void {
    if (this.owed > 0) {
      if (this.rendered.length > 0) {
        this.rendered.add(this.owed === 2 && this.nextKind !== "item" ? "\n\n" : "\n")
      }
      if (this.owed === 2) {
        this.rendered.begin(this.nextKind, this.heading?.level ?? 0)
        if (this.nextKind === "item") this.rendered.add("- ")
        this.nextKind = "paragraph"
      }
    } else if (this.spaceOwed && this.rendered.length > 0) this.rendered.add(" ")
    this.owed = 0
    this.spaceOwed = false
  }

  private write(text: string): void {
    this.rendered.add(text)
  }
}
