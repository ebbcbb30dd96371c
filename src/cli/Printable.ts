/**
 * Text of documents, paths and errors as a terminal may be given it: nothing in it can move the cursor, change colours,
 * set the clipboard, reorder what is read, or end a line that is not ours. The only place where this is decided.
 */

/** C0, DEL and C1; line and paragraph separators; what changes direction; what is not seen; lone surrogates. */
const unprintable =
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]|[\ud800-\udfff]/gu

const escaped = (character: string): string => {
  if (character === "\n") return "\\n"
  if (character === "\r") return "\\r"
  if (character === "\t") return "\\t"
  const code = character.codePointAt(0) ?? 0
  return code <= 0xff ? `\\x${code.toString(16).padStart(2, "0")}` : `\\u{${code.toString(16)}}`
}

/** On one line. A joiner between letters of a word that needs it is shown as what it is, which is safe. */
export const printable = (text: string): string => text.replaceAll(unprintable, escaped)

/** Text as part of JSON: whatever may not reach a terminal is escaped as JSON does it, so that it reads back the same. */
export const escapedInJson = (json: string): string =>
  json.replaceAll(unprintable, (character) =>
    [...Array(character.length).keys()]
      .map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`)
      .join("")
  )

/** Keeps line ends and tabs: for the text of a document, which is many lines. */
export const printableText = (text: string): string =>
  text
    .replaceAll("\r\n", "\n")
    .replaceAll(unprintable, (character) =>
      character === "\n" || character === "\t" ? character : escaped(character)
    )

/** Shortened to `most` characters, white space closed up: for a passage in a list. */
export const excerpt = (text: string, most: number): string => {
  const line = printable(text.replaceAll(/\s+/g, " ").trim())
  return line.length <= most ? line : `${[...line].slice(0, most - 1).join("")}…`
}
