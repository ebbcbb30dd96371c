/**
 * YAML between two lines of `---` at the start of a Markdown file: declared metadata and title.
 *
 * What is taken over: scalars, and lists of scalars, under the names of the top level; the rest (nested maps, values
 * over the limits) is left out, because a filter cannot ask for it. What is no YAML map is no front matter, and stays
 * in the text. Aliases are left out as well: nothing is expanded.
 */
import { type Document, isMap, isScalar, isSeq, parseDocument } from "yaml"
import type { DocumentMetadata } from "../../events/Document.ts"
import { storable } from "./Encoding.ts"
import { titleLine } from "./Parser.ts"

type MetadataValue = DocumentMetadata[string]

export interface FrontMatter {
  /** Where the text after it begins. */
  readonly end: number
  readonly title: string | undefined
  readonly metadata: DocumentMetadata
}

/** In UTF-16 units, names, or members. */
const limits = { length: 16_384, nesting: 16, names: 64, name: 100, value: 1_000, members: 256 }

export const frontMatter = (text: string): FrontMatter | undefined => {
  if (!/^---[ \t]*\n/.test(text)) return undefined
  const begin = text.indexOf("\n") + 1
  const close = /^(?:---|\.\.\.)[ \t]*$/m
  const head = text.slice(begin, begin + limits.length)
  const match = close.exec(head)
  if (match === null) return undefined
  const source = head.slice(0, match.index)
  if (nesting(source) > limits.nesting) return undefined
  const document = parsed(source)
  if (document === undefined) return undefined
  const end = Math.min(text.length, begin + match.index + match[0].length + 1)
  if (document.contents === null && source.trim() === "") return { end, title: undefined, metadata: {} }
  if (!isMap(document.contents)) return undefined
  const entries: Array<readonly [string, MetadataValue]> = []
  let title: string | undefined
  for (const { key, value } of document.contents.items) {
    const name = isScalar(key) ? storable(String(key.value)) : ""
    const found = metadataValue(value)
    if (found === undefined || name === "" || name.length > limits.name || name === "__proto__") continue
    if (name === "title" && typeof found !== "object") title = titleLine(written(value, found)) || undefined
    else if (entries.length < limits.names) entries.push([name, found])
  }
  return { end, title, metadata: Object.fromEntries(entries) }
}

/** The deepest flow nesting and indentation, over-counted: enough to keep a recursive parser from going deep. */
const nesting = (source: string): number => {
  let depth = 0
  let deepest = 0
  for (let i = 0; i < source.length; i++) {
    const code = source.charCodeAt(i)
    if (code === 0x5b || code === 0x7b) deepest = Math.max(deepest, ++depth)
    else if (code === 0x5d || code === 0x7d) depth = Math.max(0, depth - 1)
  }
  // Blanks belong to the mark before them alone: shared between two, a line of them could be read in endless ways.
  const dashes = /^[ \t]*(?:[-?:][ \t]+){16}/m.test(source) ? limits.nesting + 1 : 0
  const indented = new Set(source.match(/^[ \t]+/gm) ?? []).size
  return Math.max(deepest, dashes, indented)
}

const parsed = (source: string): Document | undefined => {
  try {
    const document = parseDocument(source, { schema: "core", uniqueKeys: false, logLevel: "silent" })
    return document.errors.length === 0 ? document : undefined
  } catch {
    return undefined
  }
}

const metadataValue = (node: unknown): MetadataValue | undefined => {
  if (!isSeq(node)) return scalar(node)
  if (node.items.length > limits.members) return undefined
  const members: Array<string | number | boolean> = []
  for (const item of node.items) {
    const member = scalar(item)
    if (member === undefined) return undefined
    members.push(member)
  }
  return members
}

const scalar = (node: unknown): string | number | boolean | undefined => {
  if (!isScalar(node)) return undefined
  const { value } = node
  if (typeof value === "boolean") return value
  if (typeof value === "number") return isExact(value) ? value : written(node, value)
  return typeof value === "string" && value.length <= limits.value ? storable(value) : undefined
}

const isExact = (value: number): boolean =>
  Number.isFinite(value) && (Number.isSafeInteger(value) || !Number.isInteger(value))

/** As it stands there: a title may look like a number, `1.10`, and a long number is an id. */
const written = (node: unknown, value: string | number | boolean): string =>
  typeof value !== "string" && isScalar(node) && node.source !== undefined ? node.source : String(value)
