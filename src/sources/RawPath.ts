/**
 * Paths as the file system has them: bytes. File names need not be valid UTF-8, so a path is kept as a string with one
 * code unit (0–255) for each byte: such strings compare bytewise, serve as keys, and lose nothing.
 */
import type { Brand } from "effect"

/** Bytes as a string, one code unit each. A path below a root has no leading slash. */
export type RawPath = string & Brand.Brand<"RawPath">
/** What `Brand.nominal` does, without the half of Effect that the thread of files would load for it. */
const brand = (text: string): RawPath => text as RawPath

export const emptyPath: RawPath = brand("")

/** From Node's "latin1" encoding of a name. */
export const ofLatin1 = (text: string): RawPath => brand(text)
export const ofText = (text: string): RawPath => brand(Buffer.from(text, "utf8").toString("latin1"))
export const ofBytes = (bytes: Uint8Array): RawPath =>
  brand(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1"))
export const toBytes = (path: RawPath): Buffer => Buffer.from(path, "latin1")

/** `below` may be empty: the directory itself. */
export const join = (directory: RawPath, below: RawPath): RawPath =>
  below === "" ? directory : brand(directory.endsWith("/") ? directory + below : `${directory}/${below}`)

/** A directory's path as a prefix of what lies in it. */
export const asPrefix = (directory: RawPath): RawPath =>
  directory === "" || directory.endsWith("/") ? directory : brand(`${directory}/`)

export const append = (prefix: RawPath, name: RawPath): RawPath => brand(prefix + name)

/** The last part, and the directory before it (`/` for what lies in the root directory). */
export const split = (path: RawPath): { readonly directory: RawPath; readonly name: RawPath } => {
  const at = path.lastIndexOf("/")
  return {
    directory: brand(at <= 0 ? path.slice(0, at + 1) : path.slice(0, at)),
    name: brand(path.slice(at + 1))
  }
}

/** What is left of `path` below `directory`, if it lies in it. */
export const below = (directory: RawPath, path: RawPath): RawPath | undefined => {
  const prefix = asPrefix(directory)
  return path.startsWith(prefix) ? brand(path.slice(prefix.length)) : undefined
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })
const ascii = /^[\x00-\x7f]*$/

export const isAscii = (path: RawPath): boolean => ascii.test(path)

/** Whether it is the UTF-8 of a text, so that the text says it all. */
export const isText = (path: RawPath): boolean => decoded(path) !== undefined

const decoded = (path: RawPath): string | undefined => {
  if (isAscii(path)) return path
  try {
    return decoder.decode(toBytes(path))
  } catch {
    return undefined
  }
}

/** For people and globs: bytes that are no UTF-8 stand as `\xNN`. Not reversible: ids come from the bytes. */
export const toText = (path: RawPath): string => decoded(path) ?? escaped(path)

const escaped = (path: RawPath): string => {
  let text = ""
  let at = 0
  while (at < path.length) {
    const length = sequenceLength(path.charCodeAt(at))
    const whole = length === 0 ? undefined : decoded(brand(path.slice(at, at + length)))
    if (whole === undefined) {
      text += `\\x${path.charCodeAt(at).toString(16).padStart(2, "0")}`
      at += 1
    } else {
      text += whole
      at += length
    }
  }
  return text
}

/** How long the UTF-8 sequence is that begins with this byte; 0 where none does. */
const sequenceLength = (byte: number): number => {
  if (byte < 0x80) return 1
  if (byte >= 0xc2 && byte <= 0xdf) return 2
  if (byte >= 0xe0 && byte <= 0xef) return 3
  return byte >= 0xf0 && byte <= 0xf4 ? 4 : 0
}

const unreserved = /[A-Za-z0-9\-._~!$&'()*+,;=:@/]/
const allUnreserved = /^[A-Za-z0-9\-._~!$&'()*+,;=:@/]*$/

/** Whether it stands in a URL, and in JSON, as it is. */
export const isUnreserved = (path: RawPath): boolean => allUnreserved.test(path)

/** The `file:` URL of an absolute path, its bytes percent-encoded: never a control or bidi character in it. */
export const fileUri = (absolute: RawPath): string => {
  if (isUnreserved(absolute)) return `file://${absolute}`
  let uri = "file://"
  for (const char of absolute) {
    uri += unreserved.test(char) ? char : `%${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`
  }
  return uri
}
