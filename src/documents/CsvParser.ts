/**
 * Tables in text: a row becomes lines of `column: value` if the first row names the columns, else one line. A row is a
 * passage of its own, so that an inserted one changes its neighbours' chunk only.
 *
 * What is not regular enough to be a table is read as lines of text.
 */
import { parse } from "csv-parse/sync"
import { type Parsed, titleLine } from "./Parser.ts"
import { RenderedText } from "./RenderedText.ts"
import { parseText } from "./TextParser.ts"

/** UTF-16 units of a column's name, columns of a row, bytes of a row. */
const limits = { name: 80, columns: 4_096, row: 1_048_576 }

export const parseCsv =
  (maxLength: number) =>
  (text: string): Parsed => {
    const rows = rowsOf(text)
    const first = rows?.[0]
    if (rows === undefined || first === undefined) return parseText(text)
    const names = namesColumns(first) ? first.map((name) => titleLine(name).slice(0, limits.name)) : undefined
    const rendered = new RenderedText(maxLength)
    for (const row of names === undefined ? rows : rows.slice(1)) {
      if (row.every((cell) => cell.trim() === "")) continue
      rendered.begin("record")
      rendered.add(names === undefined ? `${row.join(" | ")}\n` : `${named(names, row)}\n`)
    }
    return rendered.length === 0 ? parseText(text) : { text: rendered.text(), blocks: rendered.blocks }
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

const rowsOf = (text: string): ReadonlyArray<ReadonlyArray<string>> | undefined => {
  try {
    const rows = parse(text, {
      delimiter: delimiterOf(text),
      relax_column_count: true,
      relax_quotes: true,
      skip_empty_lines: true,
      max_record_size: limits.row
    })
    return rows.some((row) => row.length > limits.columns) ? undefined : rows
  } catch {
    return undefined
  }
}

/** The one that the first line has most of. */
const delimiterOf = (text: string): string => {
  const newline = text.indexOf("\n")
  const line = text.slice(0, Math.min(newline < 0 ? text.length : newline, 10_000))
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
