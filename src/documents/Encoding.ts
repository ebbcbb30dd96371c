/**
 * Bytes to text, or the finding that they are none.
 *
 * Order of evidence: byte order mark; the signature of a well-known binary format; valid UTF-8; zero bytes in every
 * second place (UTF-16 without a mark); mostly valid UTF-8 (what is broken becomes U+FFFD); what an HTML or XML file says of
 * itself; a guess by letter frequencies. The text that comes out is what is stored: well-formed Unicode, `\n` as its only line end, no mark, no
 * NUL (SQLite's `length()` stops at one).
 */
import { isUtf8 } from "node:buffer"
import { analyse } from "chardet"
import { wellFormed } from "../../events/Canonical.ts"

export type Decoded =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "Binary"; readonly detail: string }

/** How much of the bytes is looked at for signatures, control characters and letter frequencies. */
const sampleBytes = 65_536

/** The stored form of any text: idempotent, and a text without carriage returns keeps its length. */
export const storable = (text: string): string => {
  let result = wellFormed(text)
  if (result.includes("\r")) result = result.replace(/\r\n?/g, "\n")
  if (result.includes("\0")) result = result.replaceAll("\0", "\ufffd")
  return result
}

export const decodeText = (bytes: Uint8Array): Decoded => {
  const marked = byMark(bytes)
  if (marked !== undefined) return marked
  const signature = binarySignature(bytes)
  if (signature !== undefined) return binary(signature)
  const sample = bytes.subarray(0, sampleBytes)
  const wide = wideEncoding(sample)
  if (wide !== undefined) return decodeWide(bytes, wide)
  if (sample.subarray(0, 8192).includes(0)) return binary("zero bytes")
  const controls = controlShare(sample)
  if (isUtf8(bytes)) {
    return controls > 0.1 ? binary("control characters") : asText(new TextDecoder("utf-8").decode(bytes))
  }
  if (controls > 0.02) return binary("control characters and no UTF-8")
  return damagedUtf8(bytes) ?? legacy(bytes)
}

const asText = (text: string): Decoded => ({ _tag: "Text", text: storable(text) })
const binary = (detail: string): Decoded => ({ _tag: "Binary", detail })

const byMark = (bytes: Uint8Array): Decoded | undefined => {
  const [a, b, c, d] = bytes
  if (a === 0xff && b === 0xfe) {
    return c === 0 && d === 0 ? binary("UTF-32") : decodeWide(bytes, "utf-16le")
  }
  if (a === 0xfe && b === 0xff) return decodeWide(bytes, "utf-16be")
  if (a === 0xef && b === 0xbb && c === 0xbf && !bytes.subarray(0, 8192).includes(0)) {
    return asText(new TextDecoder("utf-8").decode(bytes))
  }
  return undefined
}

const decodeWide = (bytes: Uint8Array, encoding: "utf-16le" | "utf-16be"): Decoded => {
  const text = new TextDecoder(encoding).decode(bytes)
  return oddShare(text.slice(0, sampleBytes)) > 0.05 ? binary(`no ${encoding} either`) : asText(text)
}

/** Share of control characters and of characters that stand for undecodable bytes. */
const oddShare = (text: string): number => {
  if (text.length === 0) return 0
  let odd = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0xfffd || isControl(code) || (code >= 0x80 && code < 0xa0 && code !== 0x85)) odd++
  }
  return odd / text.length
}

/** C0 and DEL, without what texts contain: tab, line feed, vertical tab, form feed, carriage return, escape, backspace. */
const isControl = (code: number): boolean =>
  code === 0x7f || (code < 0x20 && !(code >= 0x08 && code <= 0x0d) && code !== 0x1b)

const controlShare = (bytes: Uint8Array): number => {
  if (bytes.length === 0) return 0
  let controls = 0
  for (let i = 0; i < bytes.length; i++) if (isControl(bytes[i] ?? 0)) controls++
  return controls / bytes.length
}

/** Western text in UTF-16 has a zero in almost every second byte, and hardly any in the others. */
const wideEncoding = (sample: Uint8Array): "utf-16le" | "utf-16be" | undefined => {
  const pairs = sample.length >> 1
  if (pairs < 2 || !sample.includes(0)) return undefined
  let even = 0
  let odd = 0
  for (let i = 0; i < pairs; i++) {
    if (sample[2 * i] === 0) even++
    if (sample[2 * i + 1] === 0) odd++
  }
  if (odd > pairs * 0.4 && even < pairs * 0.05) return "utf-16le"
  if (even > pairs * 0.4 && odd < pairs * 0.05) return "utf-16be"
  return undefined
}

/** A file that was cut or patched in the middle is still UTF-8 if most of its multi-byte sequences are whole. */
const damagedUtf8 = (bytes: Uint8Array): Decoded | undefined => {
  const text = new TextDecoder("utf-8").decode(bytes)
  let broken = 0
  let whole = 0
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code === 0xfffd) broken++
    else if (code >= 0x80) whole++
  }
  return whole >= 4 * broken ? asText(text) : undefined
}

/** Where browsers look for it. */
const declaration =
  /<(?:meta\s[^>]{0,300}?charset|\?xml\s[^>]{0,300}?encoding)\s{0,9}=\s{0,9}["']?([a-z0-9][\w.:-]{0,40})/i
const declaringBytes = 1024

const legacy = (bytes: Uint8Array): Decoded => {
  const declared = declaration.exec(latin1(bytes, declaringBytes))?.[1]
  const said = declared === undefined ? undefined : decodeAs(declared, bytes)
  if (said !== undefined && oddShare(said.slice(0, sampleBytes)) < 0.01) return asText(said)
  const first = bytes.findIndex((byte) => byte >= 0x80)
  const from = Math.max(0, first - 4096)
  for (const { name } of analyse(bytes.subarray(from, from + sampleBytes)).slice(0, 4)) {
    const text = decodeAs(name, bytes)
    if (text !== undefined && oddShare(text.slice(0, sampleBytes)) < 0.01) return asText(text)
  }
  const text = new TextDecoder("windows-1252").decode(bytes)
  return oddShare(text.slice(0, sampleBytes)) < 0.02 ? asText(text) : binary("no known encoding")
}

const decodeAs = (encoding: string, bytes: Uint8Array): string | undefined => {
  if (/^(utf|ascii)/i.test(encoding)) return undefined
  try {
    return new TextDecoder(encoding).decode(bytes)
  } catch {
    return undefined
  }
}

const latin1 = (bytes: Uint8Array, length: number): string => {
  let text = ""
  for (const byte of bytes.subarray(0, length)) text += String.fromCharCode(byte)
  return text
}

/** Formats that must not be taken for text even where their first bytes happen to look like it. */
const signatures: ReadonlyArray<readonly [prefix: string, name: string]> = [
  ["\x89PNG\r\n", "image/png"],
  ["\xff\xd8\xff", "image/jpeg"],
  ["GIF87a", "image/gif"],
  ["GIF89a", "image/gif"],
  ["%PDF-", "application/pdf"],
  ["PK\x03\x04", "application/zip"],
  ["PK\x05\x06", "application/zip"],
  ["\x1f\x8b", "application/gzip"],
  ["BZh91AY&SY", "application/x-bzip2"],
  ["\xfd7zXZ\0", "application/x-xz"],
  ["7z\xbc\xaf", "application/x-7z-compressed"],
  ["\x28\xb5\x2f\xfd", "application/zstd"],
  ["\x7fELF", "application/x-elf"],
  ["\0asm", "application/wasm"],
  ["\xca\xfe\xba\xbe", "application/java-vm"],
  ["\xcf\xfa\xed\xfe", "application/x-mach-binary"],
  ["SQLite format 3\0", "application/vnd.sqlite3"],
  ["wOFF", "font/woff"],
  ["wOF2", "font/woff2"],
  ["OggS\0", "application/ogg"],
  ["\xd0\xcf\x11\xe0", "application/x-ole-storage"]
]

const binarySignature = (bytes: Uint8Array): string | undefined => {
  const head = latin1(bytes, 16)
  return signatures.find(([prefix]) => head.startsWith(prefix))?.[1]
}
