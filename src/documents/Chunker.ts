/**
 * Cuts a parsed document into the passages that are embedded and found.
 *
 * A chunk ends at the start of a section once it holds three eighths of its share, else at the best boundary before it
 * is full: block, gap between lines, sentence, line, and only then words. Among equally good ones the choice falls by
 * a hash of the text that follows, not by fullness: after an insertion the old boundaries are soon chosen again, and
 * the chunks from there on keep their ids. A heading is never parted from what follows it.
 *
 * One pass and bounded memory: what is held is one chunk and a look-ahead of a quarter of it.
 */
import { Schema } from "effect"
import { type CodeFingerprint, codeFingerprint } from "../../events/Ids.ts"
import { isClusterBoundary } from "./Graphemes.ts"
import type { Block, Parsed } from "./Parser.ts"
import { renderVersion } from "./RenderedInput.ts"
import { isSpace, type Strength, splitBlock, strength } from "./Segments.ts"
import { estimateTokens } from "./TokenEstimate.ts"

/** Sizes in estimated tokens (see TokenEstimate.ts). */
export const ChunkerSettings = Schema.Struct({
  /** Most tokens of a chunk's text, overlap included; title and headings come on top, about 100 at most. */
  maxTokens: Schema.Int.pipe(Schema.between(32, 8192)),
  /** How much of the text before it a chunk repeats at most, in whole sentences or lines of its section. */
  overlapTokens: Schema.Int.pipe(Schema.between(0, 1024))
}).pipe(
  Schema.filter(({ maxTokens, overlapTokens }) =>
    overlapTokens * 2 <= maxTokens ? undefined : "overlapTokens must be at most half of maxTokens"
  )
)
export type ChunkerSettings = typeof ChunkerSettings.Type

export const defaultChunkerSettings: ChunkerSettings = { maxTokens: 400, overlapTokens: 40 }

export interface Chunk {
  /** UTF-16 units of the parsed text, `end` exclusive; no white space at either end but a line's indentation. */
  readonly start: number
  readonly end: number
  /** The sections that hold all of the chunk, outermost first. */
  readonly headings: ReadonlyArray<string>
}

export interface Chunker {
  readonly fingerprint: CodeFingerprint
  /** In the order of the text; all of it but white space is in a chunk. Lazy: read as many as are wanted. */
  readonly chunk: (parsed: Parsed) => Iterable<Chunk>
}

/**
 * Rises with every change of what parsers, chunker or rendering produce. The Unicode version is left out: it decides
 * only where a word of hundreds of units may be torn.
 */
const algorithm = 2

export const makeChunker = (settings: ChunkerSettings): Chunker => {
  const { maxTokens, overlapTokens } = settings
  return {
    fingerprint: codeFingerprint("structure", [
      String(algorithm),
      String(renderVersion),
      String(maxTokens),
      String(overlapTokens)
    ]),
    chunk: (parsed) => new Packing(parsed.text, maxTokens, overlapTokens).run(parsed.blocks)
  }
}

interface Segment {
  readonly start: number
  readonly end: number
  readonly tokens: number
  readonly strength: Strength
  readonly headings: ReadonlyArray<string>
  /** A chunk that begins here repeats nothing. */
  readonly fresh: boolean
}

const noHeadings: ReadonlyArray<string> = []

class Packing {
  private readonly text: string
  /** Most tokens of a chunk without its overlap. */
  private readonly share: number
  private readonly overlapTokens: number
  private held: Array<Segment> = []
  private tokens = 0
  private readonly path: Array<{ readonly level: number; readonly title: string }> = []
  private headings: ReadonlyArray<string> = noHeadings
  /** Overlap never reaches back beyond this. */
  private floor = 0
  /** Where the chunk before began, without its overlap. */
  private former = -1
  private ready: Array<Chunk> = []

  constructor(text: string, maxTokens: number, overlapTokens: number) {
    this.text = text
    this.share = maxTokens - overlapTokens
    this.overlapTokens = overlapTokens
  }

  *run(blocks: Iterable<Block>): Generator<Chunk> {
    let current: Block | undefined
    let sticky = false
    for (const next of blocks) {
      if (current !== undefined) {
        this.block(current, next.start, sticky)
        sticky = current.kind === "heading"
        yield* this.drained()
      }
      current = next
    }
    if (current !== undefined) this.block(current, this.text.length, sticky)
    this.finish()
    yield* this.drained()
  }

  private drained(): ReadonlyArray<Chunk> {
    if (this.ready.length === 0) return this.ready
    const ready = this.ready
    this.ready = []
    return ready
  }

  private block(block: Block, end: number, sticky: boolean): void {
    if (block.level > 0) {
      if (!sticky && this.tokens >= (this.share * 3) / 8) this.finish()
      this.enter(block.level, block.title)
    }
    const first = sticky
      ? strength.torn
      : block.level > 0
        ? strength.section
        : this.introduced()
          ? strength.line
          : block.kind === "item"
            ? strength.gap
            : strength.block
    const tokens = estimateTokens(this.text, block.start, end)
    const fresh = block.level > 0 || block.kind === "record" || sticky
    if (tokens <= this.share / 2) this.push(block.start, end, tokens, first, fresh)
    else {
      splitBlock(this.text, block.start, end, block.kind, first, this.share >> 1, (from, to, size, begins) =>
        this.push(from, to, size, begins, fresh && from === block.start)
      )
    }
  }

  private enter(level: number, title: string): void {
    while ((this.path.at(-1)?.level ?? 0) >= level) this.path.pop()
    this.path.push({ level, title })
    this.headings = this.path.filter((one) => one.title !== "").map((one) => one.title)
  }

  /** Whether what was pushed last announces what comes now. */
  private introduced(): boolean {
    const last = this.held.at(-1)
    if (last === undefined) return false
    let i = last.end
    while (i > last.start && isSpace(this.text.charCodeAt(i - 1))) i--
    return this.text.charCodeAt(i - 1) === 0x3a
  }

  private push(start: number, end: number, tokens: number, begins: Strength, fresh: boolean): void {
    if (tokens === 0) return
    this.held.push({ start, end, tokens, strength: begins, headings: this.headings, fresh })
    this.tokens += tokens
    while (this.tokens > this.share * 1.25) this.take(this.best(this.share / 8))
  }

  /** Everything held becomes chunks. */
  private finish(): void {
    while (this.tokens > this.share) this.take(this.best(Math.min(this.share / 4, this.tokens / 4)))
    this.take(this.held.length)
  }

  /** How many segments the next chunk takes: at least 1, leaving at least `rest` tokens where that can be had. */
  private best(rest: number): number {
    let full = this.choose(this.share / 2, this.share, rest, strength.torn)
    const block = this.choose((this.share * 3) / 8, this.share, rest, strength.gap)
    if (block > 0) return block
    const early = this.choose(this.share / 5, (this.share * 3) / 8, rest, strength.block)
    if (early > 0) return early
    if (full === 0) full = this.choose(0, this.share, 0, strength.torn)
    return Math.max(1, full)
  }

  /** Among the boundaries from `low` to `high` tokens, the strongest of at least `least`; 0 if there is none. */
  private choose(low: number, high: number, rest: number, least: Strength): number {
    let chosen = 0
    let strongest = -1
    let lowest = 0
    let tokens = 0
    for (let k = 1; k < this.held.length; k++) {
      tokens += this.held[k - 1]?.tokens ?? 0
      if (tokens > high) break
      const segment = this.held[k]
      if (segment === undefined || tokens < low || segment.strength < least) continue
      if (this.tokens - tokens < rest) break
      const hash = hashAt(this.text, segment.start)
      if (segment.strength > strongest || (segment.strength === strongest && hash <= lowest)) {
        chosen = k
        strongest = segment.strength
        lowest = hash
      }
    }
    return chosen
  }

  private take(count: number): void {
    const segments = this.held.splice(0, count)
    const first = segments[0]
    const last = segments.at(-1)
    if (first === undefined || last === undefined) return
    for (const segment of segments) this.tokens -= segment.tokens
    const core = trimmedStart(this.text, first.start, last.end)
    const end = trimmedEnd(this.text, core, last.end)
    const section = segments.findLast((one) => one.strength === strength.section || one.fresh)
    const start = first.fresh ? core : trimmedStart(this.text, this.overlapStart(first.start), last.end)
    if (core < end) this.ready.push({ start, end, headings: common(segments) })
    this.former = core
    if (section !== undefined)
      this.floor = section.strength === strength.section ? section.end : section.start
  }

  /** The earliest start of a sentence or line from which no more than the overlap leads to `cut`. */
  private overlapStart(cut: number): number {
    if (this.overlapTokens === 0) return cut
    const from = Math.max(this.floor, cut - this.overlapTokens * 6)
    const starts: Array<number> = []
    splitBlock(
      this.text,
      from,
      cut,
      "paragraph",
      strength.torn,
      this.overlapTokens,
      (at, _end, _tokens, begins) => {
        // Where the look back begins in the middle of a sentence there is no boundary to begin at.
        if (at > this.former && (begins !== strength.torn || at === this.floor)) starts.push(at)
      }
    )
    let start = cut
    let tokens = 0
    for (const at of starts.reverse()) {
      tokens += estimateTokens(this.text, at, start)
      if (tokens > this.overlapTokens) break
      start = at
    }
    return start
  }
}

/** FNV-1a over the next 24 units: what a boundary is known by, wherever it stands. */
const hashAt = (text: string, start: number): number => {
  let hash = 0x811c9dc5
  const end = Math.min(text.length, start + 24)
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) >>> 0
}

const common = (segments: ReadonlyArray<Segment>): ReadonlyArray<string> => {
  let path = segments[0]?.headings ?? noHeadings
  for (const { headings } of segments) {
    if (headings === path) continue
    let length = 0
    while (length < path.length && path[length] === headings[length]) length++
    if (length < path.length) path = path.slice(0, length)
  }
  return path
}

/** More white space than this at the start of a line is no indentation. */
const maxIndentation = 64

/** Past blank lines; a first line keeps its indentation where the chunk begins with a line. */
const trimmedStart = (text: string, start: number, end: number): number => {
  let i = start
  let line = start === 0 || text.charCodeAt(start - 1) === 0x0a ? start : -1
  while (i < end && isSpace(text.charCodeAt(i))) {
    if (text.charCodeAt(i) === 0x0a) line = i + 1
    i++
  }
  if (line >= 0 && i - line <= maxIndentation) return line
  while (i > start && !isClusterBoundary(text, i)) i--
  return i
}

const trimmedEnd = (text: string, start: number, end: number): number => {
  let i = end
  while (i > start && isSpace(text.charCodeAt(i - 1))) i--
  while (i < end && !isClusterBoundary(text, i)) i++
  return i
}
