/** Texts as bytes, as they are hashed: in UTF-8. */

/** Up to so many characters a loop is faster than a call out of the JavaScript engine. */
const short = 128

/** Writes `text` at `at`, where there is room for three bytes a character. Answers where it ends. */
export const writeUtf8 = (into: Buffer, text: string, at: number): number => {
  const { length } = text
  if (length > short) return at + into.write(text, at, "utf8")
  for (let n = 0; n < length; n++) {
    const code = text.charCodeAt(n)
    if (code > 0x7f) return at + into.write(text, at, "utf8")
    into[at + n] = code
  }
  return at + length
}

/** Writes a whole number below 2³² as 4 bytes, big endian. */
export const writeUint32 = (into: Uint8Array, value: number, at: number): void => {
  into[at] = value >>> 24
  into[at + 1] = (value >>> 16) & 0xff
  into[at + 2] = (value >>> 8) & 0xff
  into[at + 3] = value & 0xff
}
