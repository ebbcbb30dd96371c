/**
 * Source code, by layout alone: whatever the language, a paragraph of lines that begins in the first column is a unit
 * of its own (with the comment above it, as long as no blank line parts them), and what is indented belongs to the
 * unit before it.
 */
import { type Block, block, type Parsed, titleLine } from "./Parser.ts"
import { isBlankLine } from "./TextParser.ts"

export const parseCode = (text: string): Parsed => ({ text, blocks: units(text) })

/** A line that only closes what an earlier one opened, or goes on with it. */
const closing =
  /^(?:[)\]}>;,]|\*\/|-->|"""|'''|end\b|else\b|elif\b|except\b|catch\b|finally\b|then\b|do\b|fi\b|done\b|esac\b)/

const definition =
  /^(?:(?:export|default|declare|abstract|async|public|private|protected|internal|static|final|sealed|open|data|pub(?:\([a-z]{1,20}\))?|unsafe|extern|inline|virtual|override|const|case)[ \t]+){0,5}(?:class|interface|namespace|module|mod|trait|impl|struct|enum|union|object|record|protocol|extension|def|defmodule|fn|func|fun|function\*?|type|sub|proc|const|let|var|val)[ \t]+(?:\([^()\n]{0,100}\)[ \t]*)?([A-Za-z_$][\w$.:]{0,100})/

function* units(text: string): Generator<Block> {
  let start = 0
  let afterBlank = true
  while (start < text.length) {
    const newline = text.indexOf("\n", start)
    const end = newline < 0 ? text.length : newline
    const blank = isBlankLine(text, start, end)
    if (!blank && afterBlank) {
      const first = text.charCodeAt(start)
      if (first === 0x20 || first === 0x09) yield block("code", start)
      else if (closing.test(text.slice(start, start + 16))) yield block("code", start)
      else yield { kind: "code", start, level: 1, title: nameOf(text, start) }
    }
    afterBlank = blank
    start = end + 1
  }
}

const commentOrDecorator = /^(?:\/\/|\/\*|\*|#|@|--|;;|%|"""|'''|\s)/

/** The name that the unit defines: of its first line that is neither comment nor decorator, within 200 lines. */
const nameOf = (text: string, from: number): string => {
  let start = from
  for (let line = 0; line < 200 && start < text.length; line++) {
    const newline = text.indexOf("\n", start)
    const end = newline < 0 ? text.length : newline
    const head = text.slice(start, Math.min(end, start + 300))
    if (head.trim() === "") return ""
    if (!commentOrDecorator.test(head)) return titleLine(definition.exec(head)?.[1] ?? "")
    start = end + 1
  }
  return ""
}
