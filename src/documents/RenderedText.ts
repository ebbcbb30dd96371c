/** The text that a parser writes where the source itself is not fit to be read, with its blocks. */
import { storable } from "./Encoding.ts"
import { type Block, type BlockKind, block } from "./Parser.ts"

/** A small source can say a large text (long names before short values); this is where it ends. */
export class TextTooLarge extends Error {
  override readonly name = "TextTooLarge"
}

export class RenderedText {
  readonly blocks: Array<Block> = []
  length = 0
  private readonly parts: Array<string> = []
  private readonly limit: number

  /** `limit`: most UTF-16 units. */
  constructor(limit: number) {
    this.limit = limit
  }

  /** Adds a piece; its line ends become `\n`, and what cannot be stored is replaced. */
  add(piece: string): void {
    const part = storable(piece)
    this.length += part.length
    if (this.length > this.limit) throw new TextTooLarge()
    this.parts.push(part)
  }

  begin(kind: BlockKind, level = 0, title = ""): void {
    const next: Block = level === 0 ? block(kind, this.length) : { kind, start: this.length, level, title }
    if (this.blocks.at(-1)?.start === this.length) this.blocks.pop()
    this.blocks.push(next)
  }

  text(): string {
    return this.parts.join("")
  }
}
