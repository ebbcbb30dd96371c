/**
 * Colours and tables for people. Every cell is made printable here, whatever it holds.
 */
import { counted as grouped } from "../runtime/SettingForms.ts"
import { printable } from "./Printable.ts"

export interface Style {
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
  readonly red: (text: string) => string
  readonly green: (text: string) => string
  readonly yellow: (text: string) => string
  readonly cyan: (text: string) => string
}

const sequence = (open: number, close: number) => (text: string) =>
  text === "" ? "" : `\u001b[${open}m${text}\u001b[${close}m`

const coloured: Style = {
  bold: sequence(1, 22),
  dim: sequence(2, 22),
  red: sequence(31, 39),
  green: sequence(32, 39),
  yellow: sequence(33, 39),
  cyan: sequence(36, 39)
}

const same = (text: string) => text
const plain: Style = { bold: same, dim: same, red: same, green: same, yellow: same, cyan: same }

/** Colours only on a terminal, and not where `NO_COLOR` is set (https://no-color.org) or the terminal is dumb. */
export const styleOf = (
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>
): Style =>
  isTerminal && (environment["NO_COLOR"] ?? "") === "" && environment["TERM"] !== "dumb" ? coloured : plain

export interface Column {
  readonly title: string
  readonly align?: "right"
  readonly paint?: (text: string) => string
}

const wide =
  /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|\p{Emoji_Presentation}|[\uff01-\uff60]/u
const combining = /\p{M}/u

/** Cells that a text takes on a terminal, as well as can be said without asking it. */
export const widthOf = (text: string): number => {
  let width = 0
  for (const character of text) width += combining.test(character) ? 0 : wide.test(character) ? 2 : 1
  return width
}

/** Rows under a line of titles, each on one line; the last column is cut where a terminal would wrap it. */
export const table = (
  style: Style,
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<string | number>>,
  width: number
): string => {
  const cells = rows.map((row) => row.map((cell) => printable(String(cell))))
  const widths = columns.map(({ title }, at) =>
    cells.reduce((most, row) => Math.max(most, widthOf(row[at] ?? "")), title.length)
  )
  const last = columns.length - 1
  const before = widths.slice(0, last).reduce((sum, one) => sum + one + 2, 0)
  const room = Math.max(20, width - before)
  const line = (texts: ReadonlyArray<string>, paint: (at: number) => (text: string) => string) =>
    texts
      .map((text, at) => {
        if (at === last && columns[at]?.align === undefined) return paint(at)(cut(text, room))
        const gap = " ".repeat(Math.max(0, (widths[at] ?? 0) - widthOf(text)))
        return columns[at]?.align === "right" ? `${gap}${paint(at)(text)}` : `${paint(at)(text)}${gap}`
      })
      .join("  ")
      .trimEnd()
  return [
    line(
      columns.map(({ title }) => title),
      () => style.dim
    ),
    ...cells.map((row) => line(row, (at) => columns[at]?.paint ?? same))
  ]
    .map((one) => `${one}\n`)
    .join("")
}

const cut = (text: string, room: number): string => {
  if (widthOf(text) <= room) return text
  let width = 0
  let kept = ""
  for (const character of text) {
    width += widthOf(character)
    if (width >= room) break
    kept += character
  }
  return `${kept}…`
}

export const number = grouped

/** `1 document`, `2 documents`. */
export const counted = (value: number, noun: string): string =>
  `${number(value)} ${noun}${value === 1 ? "" : "s"}`

export const bytes = (value: number): string => {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"]
  let at = 0
  let left = value
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024
    at += 1
  }
  return `${at === 0 ? left : left.toFixed(1)} ${units[at]}`
}

export const time = (ms: number): string => {
  if (ms < 1000) return `${Math.round(ms)} ms`
  const tenths = Math.round(ms / 100)
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`
}
