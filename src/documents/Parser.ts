/**
 * What a parser makes of a document: the text that is stored, and where its blocks begin.
 *
 * A block reaches to the start of the next one, so that blocks cover the text without gaps by construction, whatever
 * a parser overlooks. The text may differ from the source (HTML, JSON, CSV); every span counts in the text.
 */
import type { DocumentMetadata } from "../../events/Document.ts"

/**
 * `heading`: belongs to what follows it. `paragraph`: prose. `item`: of a list. `code`, `table`: lines. `record`: a row
 * or element that stands for itself, so that chunks do not overlap there.
 */
export type BlockKind = "heading" | "paragraph" | "item" | "code" | "table" | "record"

export interface Block {
  readonly kind: BlockKind
  /** UTF-16 units into the text, at the start of a line, rising from block to block. */
  readonly start: number
  /** A section of this level begins here (1 is outermost) and ends those of its level and below; 0: none begins. */
  readonly level: number
  /** The section's name, well-formed, on one line; empty: the section has none. */
  readonly title: string
}

export interface Parsed {
  /** As by `storable`. */
  readonly text: string
  /** Read once. What stands before the first block (front matter) is in no chunk. */
  readonly blocks: Iterable<Block>
  /** `source`: declared (front matter); `text`: found in the text. */
  readonly title?: { readonly text: string; readonly from: "source" | "text" }
  readonly metadata?: DocumentMetadata
}

/** `text` is `storable`, at most as long as the limits allow. Pure; may throw, which the caller turns into an outcome. */
export type Parser = (text: string) => Parsed

export const block = (kind: BlockKind, start: number): Block => ({ kind, start, level: 0, title: "" })

/** Longest title or heading that is kept, in UTF-16 units. */
export const maxTitleLength = 200

/** A title on one line, bounded, well-formed, without control characters. */
export const titleLine = (text: string): string => {
  const line = text
    .slice(0, 4 * maxTitleLength)
    .replace(/[\s\p{Cc}]+/gu, " ")
    .trim()
  return line.length <= maxTitleLength ? line.toWellFormed() : `${cutWhole(line, maxTitleLength - 1)}…`
}

const cutWhole = (line: string, length: number): string => {
  const cut = line.slice(0, length)
  return (cut.isWellFormed() ? cut : cut.slice(0, -1).toWellFormed()).trimEnd()
}
