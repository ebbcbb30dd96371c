/**
 * What a character is to the analyzer. Looked up in Unicode's properties once a code point, then in a table.
 */
export const separator = 0
export const lower = 1
export const upper = 2
export const digit = 3
/** Continues a word, never begins one, and is kept: accents, vowel signs. */
export const mark = 4
/** Joins the parts of an identifier. */
export const underscore = 5
/** Continues a word and is dropped from it: soft hyphen, zero-width joiners. */
export const ignorable = 6
/** A character of a script that is written without spaces between words. */
export const unspaced = 7

const unknown = 255
/** One byte for each code point, filled as they are met: 1.1 MB. */
const classes = new Uint8Array(0x110000).fill(unknown)

const unspacedScripts =
  /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u

const classify = (codePoint: number): number => {
  if (codePoint === 0x5f) return underscore
  if (codePoint === 0xad || codePoint === 0x200c || codePoint === 0x200d) return ignorable
  const character = String.fromCodePoint(codePoint)
  if (/^\p{M}$/u.test(character)) return mark
  if (/^\p{N}$/u.test(character)) return digit
  if (!/^\p{Alphabetic}$/u.test(character)) return separator
  if (unspacedScripts.test(character)) return unspaced
  return /^[\p{Lu}\p{Lt}]$/u.test(character) ? upper : lower
}

export const letterClass = (codePoint: number): number => {
  const known = classes[codePoint]
  if (known !== undefined && known !== unknown) return known
  const found = classify(codePoint)
  classes[codePoint] = found
  return found
}
