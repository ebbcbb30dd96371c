/**
 * Tables in text: a row becomes lines of `column: value` if the first row names the columns, else one line. A row is a
 * passage of its own, so that an inserted one changes its neighbours' chunk only.
 *
 * What is not regular enough to be a table is read as lines of text.
 */
import { parse } from "csv-parse/sync"
import { type Parsed, titleLine } from "./Parser.ts"
import { RenderedText, TextTooLarge } from "./RenderedText.ts"
import { parseText } from "./TextParser.ts"

/** UTF-16 units of a column's name, columns of a row, bytes of a row, units parsed at a time. */
const limits = { name: 80, columns: 4_096, row: 1_048_576, slice: 1_048_576 }

/** `delimiter`: what parts the cells, where that is known and there is one. */
export const parseCsv =
  (maxLength: number, delimiter?: string) =>
  (text: string): Parsed => {
    const rendered = new RenderedText(maxLength)
    try {
      renderRows(text, rendered, delimiter)
    } catch (cause) {
      if (cause instanceof TextTooLarge) throw cause
      return parseText(text)
    }
    return rendered.length === 0 ? parseText(text) : { text: rendered.text(), blocks: rendered.blocks }
  }

const renderRows = (text: string, rendered: RenderedText, known: string | undefined): void => {
  const delimiter = delimiterOf(text, known)
  let names: ReadonlyArray<string> | undefined
  let first = true
  for (const slice of slices(text)) {
    for (const row of rowsOf(slice, delimiter)) {
      if (row.length > limits.columns) throw new RangeError("more columns than a table has")
      if (first && namesColumns(row)) names = row.map((name) => titleLine(name).slice(0, limits.name))
      else if (row.some((cell) => cell.trim() !== "")) {
        rendered.begin("record")
        rendered.add(names === undefined ? `${row.join(" | ")}\n` : `${named(names, row)}\n`)
      }
      first = false
    }
  }
}

const rowsOf = (text: string, delimiter: string): ReadonlyArray<ReadonlyArray<string>> =>
  parse(text, {
    delimiter,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    max_record_size: limits.row
  })

/**
 * Whole rows, about a megabyte at a time, because rows as arrays take up to sixty times the space of their text: a
 * line ends a row where the quotation marks before it are even in number.
 */
function* slices(text: string): Generator<string> {
  let start = 0
  let open = false
  for (let i = 0; text.length - start > limits.slice && i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0x22) open = !open
    else if (code === 0x0a && !open && i - start >= limits.slice) {
      yield text.slice(start, i + 1)
      start = i + 1
    } else if (i - start > 4 * limits.slice) throw new RangeError("a row that never ends")
  }
  yield text.slice(start)
}

const named = (names: ReadonlyArray<string>, row: ReadonlyArray<string>): string => {
  let lines = ""
  for (let i = 0; i < row.length; i++) {
    const cell = row[i] ?? ""
    if (cell.trim() !== "") lines += `${names[i] ?? `column ${i + 1}`}: ${cell}\n`
  }
  return lines
}

/** Names are there, differ, and are no numbers. */
const namesColumns = (row: ReadonlyArray<string>): boolean =>
  row.length > 1 &&
  new Set(row).size === row.length &&
  row.every((cell) => cell.trim() !== "" && Number.isNaN(Number(cell)))

/** The one that the first line has most of. */
const delimiterOf = (text: string, known: string | undefined): string => {
  const newline = text.indexOf("\n")
  const line = text.slice(0, Math.min(newline < 0 ? text.length : newline, 10_000))
  if (known !== undefined && line.includes(known)) return known
  let best = ","
  let most = 0
  for (const delimiter of [",", ";", "\t", "|"]) {
    const count = line.split(delimiter).length
    if (count > most) {
      best = delimiter
      most = count
    }
  }
  return best
}
