/**
 * Cuts text into words and says where they stand.
 *
 * A word is a run of letters, digits and marks. An identifier is cut further where its case changes, at underscores and
 * between letters and digits (`parseHttpURL2` is `parse`, `Http`, `URL`, `2`), and is then given once more as a whole.
 * Scripts that are written without spaces are cut into overlapping pairs of characters, as is usual for them.
 */
import {
  digit,
  ignorable,
  letterClass,
  lower,
  mark,
  separator,
  underscore,
  unspaced,
  upper
} from "./Letters.ts"

/** UTF-16 code units. Longer runs are no identifiers but data (base64, hashes): given whole and cut off here. */
export const maxWordLength = 128
/** UTF-16 code units. Runs up to here are cut as identifiers. */
export const maxIdentifierLength = 64
/** UTF-16 code units of an unspaced script that are looked at together. */
const maxUnspacedRun = 64

/** What an ASCII character is. */
const ascii = Uint8Array.from({ length: 128 }, (_, code) => letterClass(code))

/** A text, and its UTF-16 code units one by one: whole, and the low byte of each. More may stand after them. */
export interface TextCodes {
  readonly text: string
  readonly units: Uint16Array
  readonly lowBytes: DataView
}

/** Bytes after the last one that may be read with it. */
const beyond = 16

const buffers = (length: number) => {
  const units = new Uint16Array(length)
  const low = Buffer.alloc(length + beyond)
  return {
    units,
    unitBytes: Buffer.from(units.buffer),
    low,
    lowBytes: new DataView(low.buffer, low.byteOffset)
  }
}

/** Texts up to here share their buffers. */
const sharedLength = 1 << 16
const shared = buffers(sharedLength)

/** A text's code units. Shared ones hold until the next text asks for them. */
export const codesOf = (text: string, isShared: boolean): TextCodes => {
  const { low, lowBytes, unitBytes, units } =
    isShared && text.length <= sharedLength ? shared : buffers(text.length)
  unitBytes.write(text, 0, "utf16le")
  low.write(text, 0, "latin1")
  return { text, units, lowBytes }
}

/** A place in the text and the word that stands there. Reused: read it before the next call of `next`. */
export class WordCutter {
  /** Span of the current word, in UTF-16 code units. */
  start = 0
  end = 0
  /** The word repeats, as a whole, what was given in parts before. */
  whole = false
  /** The current word is known to be ASCII. */
  plain = false

  /** Where the text is gone on with, once the words of the current run are given. */
  position = 0

  private readonly text: string
  private readonly codes: Uint16Array
  /** Ends and starts of the parts of the current run that are still to be given. */
  private readonly starts: Array<number> = []
  private readonly ends: Array<number> = []
  private given = 0
  private runStart = 0
  private runEnd = 0
  private wholePending = false

  constructor({ text, units }: TextCodes) {
    this.text = text
    this.codes = units
  }

  /** The next word is another one of the current run. */
  get isWithin(): boolean {
    return this.given < this.starts.length || this.wholePending
  }

  /** Moves to the next word; false at the end of the text. */
  next(): boolean {
    for (;;) {
      if (this.given < this.starts.length) {
        this.moveTo(this.starts[this.given] ?? 0, this.ends[this.given] ?? 0)
        this.given += 1
        this.whole = false
        return true
      }
      if (this.wholePending) {
        this.wholePending = false
        this.moveTo(this.runStart, this.runEnd)
        this.whole = true
        return true
      }
      if (this.readPlain()) return true
      if (!this.readRun()) return false
    }
  }

  private moveTo(start: number, end: number): void {
    this.start = start
    this.end = end
    this.plain = false
  }

  /**
   * Most words are letters of ASCII, of which the first may be a capital, or digits, between separators of ASCII: no part
   * can begin within them. Those are found here; false where another run begins, or none.
   */
  private readPlain(): boolean {
    const { codes } = this
    const size = this.text.length
    let at = this.position
    let found = false
    while (at < size) {
      const code = codes[at] ?? 0
      const kind = code < 128 ? (ascii[code] ?? 0) : mark
      if (kind === separator) {
        at += 1
        continue
      }
      if (kind !== lower && kind !== upper && kind !== digit) break
      const rest = kind === digit ? digit : lower
      let end = at + 1
      let after = separator
      for (; end < size; end++) {
        const next = codes[end] ?? 0
        after = next < 128 ? (ascii[next] ?? 0) : mark
        if (after !== rest) break
      }
      found = (end === size || after === separator) && end - at <= maxIdentifierLength
      if (!found) break
      this.start = at
      this.end = end
      this.plain = true
      this.whole = false
      at = end
      break
    }
    this.position = at
    return found
  }

  private readRun(): boolean {
    const { text } = this
    let at = this.position
    for (;;) {
      if (at >= text.length) {
        this.position = at
        return false
      }
      const code = text.codePointAt(at) ?? 0
      const kind = letterClass(code)
      if (kind === lower || kind === upper || kind === digit) {
        this.readWord(at)
        return true
      }
      if (kind === unspaced) {
        this.readUnspaced(at)
        return true
      }
      at += code > 0xffff ? 2 : 1
    }
  }

  private begin(): void {
    this.starts.length = 0
    this.ends.length = 0
    this.given = 0
  }

  private part(start: number, end: number): void {
    this.starts.push(start)
    this.ends.push(end)
  }

  private readWord(begin: number): void {
    const { text } = this
    this.begin()
    let at = begin
    let partStart = begin
    let previous = separator
    let previousAt = begin
    let capitals = 0
    while (at < text.length) {
      const code = text.codePointAt(at) ?? 0
      const size = code > 0xffff ? 2 : 1
      const kind = letterClass(code)
      if (kind === separator || kind === unspaced) break
      const short = at - begin < maxIdentifierLength
      if (kind === underscore) {
        const next = this.afterUnderscores(at)
        if (next < 0) break
        if (short && at > partStart) this.part(partStart, at)
        partStart = next
        previous = separator
        capitals = 0
        at = next
        continue
      }
      if (kind === mark || kind === ignorable) {
        at += size
        continue
      }
      if (short && previous !== separator && previous !== kind) {
        const acronymEnds = previous === upper && kind === lower
        const cut = !acronymEnds ? at : capitals > 1 && !this.isPlural(at) ? previousAt : partStart
        if (cut > partStart) {
          this.part(partStart, cut)
          partStart = cut
          capitals = 0
        }
      }
      capitals = kind === upper ? capitals + 1 : 0
      previous = kind
      previousAt = at
      at += size
    }
    if (at - begin > maxIdentifierLength) {
      this.begin()
      this.part(begin, this.cutOff(begin, at))
    } else {
      this.part(partStart, at)
    }
    this.runStart = begin
    this.runEnd = at
    this.wholePending = this.starts.length > 1
    this.position = at
  }

  /** Where the word goes on after underscores; −1 if it does not. */
  private afterUnderscores(from: number): number {
    let at = from
    while (this.text.charCodeAt(at) === 0x5f) at += 1
    if (at >= this.text.length) return -1
    const kind = letterClass(this.text.codePointAt(at) ?? 0)
    return kind === lower || kind === upper || kind === digit ? at : -1
  }

  /** A lone `s` ends the word here, as in `URLs`. */
  private isPlural(at: number): boolean {
    if (this.text.charCodeAt(at) !== 0x73) return false
    if (at + 1 >= this.text.length) return true
    const kind = letterClass(this.text.codePointAt(at + 1) ?? 0)
    return kind === separator || kind === unspaced || kind === underscore
  }

  private cutOff(begin: number, end: number): number {
    const cut = Math.min(end, begin + maxWordLength)
    const code = this.text.charCodeAt(cut - 1)
    return cut < end && code >= 0xd800 && code <= 0xdbff ? cut - 1 : cut
  }

  private readUnspaced(begin: number): void {
    const { text } = this
    this.begin()
    const characters: Array<number> = []
    let at = begin
    let more = false
    while (at < text.length) {
      const code = text.codePointAt(at) ?? 0
      const kind = letterClass(code)
      if (kind !== unspaced && kind !== mark && kind !== ignorable) break
      if (at - begin >= maxUnspacedRun) {
        more = kind === unspaced
        break
      }
      if (kind === unspaced) characters.push(at)
      at += code > 0xffff ? 2 : 1
    }
    for (let index = 0; index + 1 < characters.length; index += 1) {
      this.part(characters[index] ?? begin, characters[index + 2] ?? at)
    }
    if (characters.length === 1) this.part(begin, at)
    // The next run begins with this one's last character, so that no pair is lost between them.
    this.position = more && characters.length > 1 ? (characters[characters.length - 1] ?? at) : at
  }
}
