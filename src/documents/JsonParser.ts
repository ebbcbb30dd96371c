/**
 * JSON as lines of `path: value`, so that a passage says what its values mean. List positions are not part of a path:
 * an element that is put in front would change every line after it. Members of the outermost value, and elements of
 * lists, are blocks.
 *
 * Numbers of more digits than JavaScript's hold stand as they are written. What is no JSON (comments, a cut file) is read
 * as lines of text instead.
 */
import { parseCode } from "./CodeParser.ts"
import { type Parsed, titleLine } from "./Parser.ts"
import { RenderedText } from "./RenderedText.ts"
import { isBlankLine } from "./TextParser.ts"

/** Names of a path that are shown (the innermost ones), and UTF-16 units of a name. */
const limits = { names: 6, name: 80 }

export const parseJson =
  (maxLength: number) =>
  (text: string): Parsed => {
    const value = decoded(text)
    if (value === undefined) return parseCode(text)
    const rendered = new RenderedText(maxLength)
    render(value, rendered)
    const title = isRecord(value) && typeof value["title"] === "string" ? titleLine(value["title"]) : ""
    const result = { text: rendered.text(), blocks: rendered.blocks }
    return title === "" ? result : { ...result, title: { text: title, from: "text" } }
  }

/** One JSON value a line. A line that is none stands as it is. */
export const parseNdjson =
  (maxLength: number) =>
  (text: string): Parsed => {
    const rendered = new RenderedText(maxLength)
    for (let start = 0; start < text.length; ) {
      const newline = text.indexOf("\n", start)
      const end = newline < 0 ? text.length : newline
      if (!isBlankLine(text, start, end)) {
        const line = text.slice(start, end)
        const value = decoded(line)
        rendered.begin("record")
        if (isRecord(value) || Array.isArray(value)) render(value, rendered, true)
        else rendered.add(`${line}\n`)
        rendered.add("\n")
      }
      start = end + 1
    }
    return { text: rendered.text(), blocks: rendered.blocks }
  }

const decoded = (text: string): unknown => {
  try {
    const value: unknown = JSON.parse(text)
    return longNumber.test(text) ? JSON.parse(withLongNumbersAsTexts(text)) : value
  } catch {
    return undefined
  }
}

/** So many digits are an id more often than a quantity, and may be more than a number holds. */
const longNumber = /\d{16}/
const number = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y

/** `text` is JSON. Numbers that would be read as others become the texts that they are. */
const withLongNumbersAsTexts = (text: string): string => {
  let exact = ""
  let from = 0
  for (let at = 0; at < text.length; ) {
    const code = text.charCodeAt(at)
    if (code === quotationMark) at = afterString(text, at)
    else if (code === minus || (code >= 0x30 && code <= 0x39)) {
      number.lastIndex = at
      const written = number.exec(text)?.[0] ?? ""
      const end = at + Math.max(1, written.length)
      if (written.length > 15 && String(Number(written)) !== written) {
        exact += `${text.slice(from, at)}"${written}"`
        from = end
      }
      at = end
    } else at += 1
  }
  return exact + text.slice(from)
}

const quotationMark = 0x22
const backslash = 0x5c
const minus = 0x2d

const afterString = (text: string, begin: number): number => {
  let at = begin + 1
  while (at < text.length && text.charCodeAt(at) !== quotationMark)
    at += text.charCodeAt(at) === backslash ? 2 : 1
  return at + 1
}

const isRecord = (value: unknown): value is { readonly [key: string]: unknown } =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A name and those around it. */
interface Path {
  readonly name: string
  readonly above: Path | undefined
}

interface Step {
  readonly value: unknown
  readonly path: Path | undefined
  readonly depth: number
  /** An element of a list of records: a passage of its own. */
  readonly element: boolean
}

/** Iterative: a value may be nested as deeply as its length allows. */
const render = (root: unknown, into: RenderedText, whole = false): void => {
  const steps: Array<Step> = [{ value: root, path: undefined, depth: 0, element: false }]
  for (let step = steps.pop(); step !== undefined; step = steps.pop()) {
    const { value, path, depth, element } = step
    if (!whole && (element || depth <= 1)) {
      if (element && into.length > 0) into.add("\n")
      into.begin(element ? "record" : "paragraph")
    }
    const prefix = path === undefined ? "" : `${shown(path)}: `
    if (Array.isArray(value)) {
      if (value.length === 0) into.add(`${prefix}[]\n`)
      else if (value.every((one) => isScalar(one) && String(one).length <= limits.name)) {
        into.add(`${prefix}${value.join(", ")}\n`)
      } else {
        for (let i = value.length - 1; i >= 0; i--) {
          steps.push({ value: value[i], path, depth: depth + 1, element: isRecord(value[i]) && depth < 2 })
        }
      }
    } else if (isRecord(value)) {
      const names = Object.keys(value)
      if (names.length === 0) into.add(`${prefix}{}\n`)
      for (let i = names.length - 1; i >= 0; i--) {
        const name = names[i] ?? ""
        const inside = element ? 2 : depth + 1
        steps.push({ value: value[name], path: { name, above: path }, depth: inside, element: false })
      }
    } else into.add(`${prefix}${String(value)}\n`)
  }
}

const isScalar = (value: unknown): boolean => typeof value !== "object" || value === null

const shown = (path: Path): string => {
  const names: Array<string> = []
  let at: Path | undefined = path
  while (at !== undefined && names.length < limits.names) {
    names.unshift(at.name.length > limits.name ? `${at.name.slice(0, limits.name)}…` : at.name)
    at = at.above
  }
  return names.join(".")
}
