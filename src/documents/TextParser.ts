/** Plain text: paragraphs between blank lines. Also the last resort for what another parser cannot read. */
import { type Block, type BlockKind, block, type Parsed } from "./Parser.ts"

export const parseText = (text: string): Parsed => ({ text, blocks: paragraphs(text, 0, "paragraph") })

/** Every line that follows a blank one begins a block. */
export function* paragraphs(text: string, from: number, kind: BlockKind): Generator<Block> {
  let start = from
  let afterBlank = true
  while (start < text.length) {
    const newline = text.indexOf("\n", start)
    const end = newline < 0 ? text.length : newline
    const blank = isBlankLine(text, start, end)
    if (!blank && afterBlank) yield block(kind, start)
    afterBlank = blank
    start = end + 1
  }
}

export const isBlankLine = (text: string, start: number, end: number): boolean => {
  for (let i = start; i < end; i++) {
    const code = text.charCodeAt(i)
    if (code !== 0x20 && code !== 0x09 && code !== 0x0c) return false
  }
  return true
}
