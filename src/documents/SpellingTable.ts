/**
 * Spellings by what stands in a text: a hash table in the memory of a WebAssembly module that also cuts plain texts into words and
 * counts them there (`wasm/spellings.wat`), a fifth of the time that the same takes here. What it does not know it asks for.
 */
import { randomInt } from "node:crypto"
import { letterClass, mark } from "./Letters.ts"
import { codesOf, type TextCodes } from "./WordCutter.ts"
import { base64 } from "./wasm/SpellingsBytes.ts"

interface Kernel {
  readonly narrow: (size: number) => void
  readonly count: (size: number, shift: number, mask: number, text: number) => number
}

const page = 65_536

/** Where things lie in the module's memory: see there. */
const masksAt = 0
const factorsAt = 272
const cellsAt = 288
const [positionCell, , nextCell, metCell, cutCell, strangeCell] = [0, 1, 2, 3, 4, 5]
const classesAt = 512
const wordsAt = 1024
const unitsAt = 10_304
const metWordsAt = 28_672
const metCountsAt = 94_208
const metTokensAt = 159_744
const slotsAt = 262_144

/** UTF-16 code units of a text that the module counts at most. */
export const mostUnits = 8_192
/** A text of that many has no more words, parts of identifiers and pairs of characters. */
const mostMet = 16_384

/**
 * What is known of a spelling, in numbers of 32 bits, side by side, so that a look-up reads one line of the cache. First its
 * word's number plus one, 0 where the slot is free, below zero where the word is stopped; the text in which it was met, and its
 * place there; the token of its word's stem. Then what it is told by: up to sixteen characters of ASCII by themselves, four to a number; any other spelling by the hash of its code units,
 * where they begin among those of all such spellings, and how many there are, as a number below zero.
 */
const slotSize = 8
const [wordAt, textAt, placeAt, tokenAt, firstAt, secondAt, thirdAt, fourthAt] = [0, 1, 2, 3, 4, 5, 6, 7]
/** In a word's number plus one. */
const stoppedBit = 1 << 31
/** Slots of a new table, as a power of two. */
const fewestBits = 13

/** Characters of a spelling that is told by themselves. */
const mostCharacters = 16
/** By the length of a spelling, which bits of its four numbers are its own. */
const masks = new Int32Array(4 * (mostCharacters + 1))
for (let length = 0; length <= mostCharacters; length++)
  for (let part = 0; part < 4; part++) {
    const characters = Math.max(0, Math.min(4, length - 4 * part))
    masks[4 * length + part] = characters === 4 ? -1 : (1 << (8 * characters)) - 1
  }
const classes = Uint8Array.from({ length: 256 }, (_, code) => (code < 128 ? letterClass(code) : mark))

const oddNumber = (): number => randomInt(2 ** 31) | 1
/** Nobody's to know: whoever writes texts cannot choose words that all fall into one place. */
const factors = Int32Array.from({ length: 4 }, oddNumber)
const [byFirst = 1, bySecond = 1, byThird = 1, byFourth = 1] = factors

/** FNV-1a over code units. */
const hashOf = (codes: Uint16Array, start: number, end: number): number => {
  let hash = 0x811c9dc5 | 0
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (codes[at] ?? 0), 0x01000193)
  return hash
}

/** The distinct spellings of a text, in the order in which they were met. */
export interface Met {
  readonly size: number
  /** Their words' numbers; below zero where a word is stopped ({@link wordOf}). */
  readonly words: Int32Array
  /** How often each stands there. */
  readonly counts: Int32Array
  /** Those of their words' stems. */
  readonly tokens: Uint32Array
}

/** The number of a word that was met, stopped or not. */
export const wordOf = (met: number): number => met & ~stoppedBit

/** What a spelling's word is. */
export interface LearntWord {
  readonly number: number
  readonly isStopped: boolean
  /** Of its stem. */
  readonly token: number
}

/** Compiled once a thread. */
let compiled: WebAssembly.Module | undefined

export class SpellingTable {
  /** Gives the word of a spelling that is met for the first time. */
  readonly #learn: (spelling: string) => LearntWord
  readonly #memory = new WebAssembly.Memory({ initial: (slotsAt + ((4 * slotSize) << fewestBits)) / page })
  readonly #kernel: Kernel
  #views = viewsOf(this.#memory.buffer, 1 << fewestBits)
  #size = 0
  /** What is left of a hash is the number of a slot. At most half of the slots are taken. */
  #shift = 32 - fewestBits
  /** The UTF-16 code units of spellings that are told by a hash, one after another. */
  #codes = new Uint16Array(1 << 12)
  #codesSize = 0
  /** The text whose spellings are counted. */
  #text = 0
  #plain: { readonly text: string; codes: TextCodes | undefined } = { text: "", codes: undefined }
  #met: { size: number; words: Int32Array; counts: Int32Array; tokens: Uint32Array } = noneMet(0)

  constructor(learn: (spelling: string) => LearntWord) {
    this.#learn = learn
    compiled ??= new WebAssembly.Module(Buffer.from(base64, "base64"))
    const instance = new WebAssembly.Instance(compiled, { spellings: { memory: this.#memory } })
    // What the module exports stands in spellings.wat.
    this.#kernel = instance.exports as Kernel
    new Int32Array(this.#memory.buffer, masksAt, masks.length).set(masks)
    new Int32Array(this.#memory.buffer, factorsAt, factors.length).set(factors)
    new Uint8Array(this.#memory.buffer, classesAt, classes.length).set(classes)
  }

  /** Distinct spellings. */
  get size(): number {
    return this.#size
  }

  /** What was counted since the text was begun. Holds until the next one. */
  get met(): Met {
    return this.#met
  }

  /** Begins a text that is met word by word. */
  beginText(): void {
    this.#text += 1
    this.#met = noneMet(1 << 10)
  }

  /** Begins a text of {@link mostUnits} at most, which {@link countPlain} goes through. */
  beginPlain(text: string): void {
    this.#text += 1
    this.#plain = { text, codes: undefined }
    const { cells, metCounts, metTokens, metWords, unitBytes } = this.#views
    unitBytes.write(text, 0, "utf16le")
    this.#kernel.narrow(text.length)
    cells.fill(0)
    this.#met = { size: 0, words: metWords, counts: metCounts, tokens: metTokens }
  }

  /** Of the text that {@link countPlain} goes through: shared. */
  get codes(): TextCodes {
    this.#plain.codes ??= codesOf(this.#plain.text, true)
    return this.#plain.codes
  }

  /**
   * Counts the words of the begun text from a position on, as far as they are plain. Answers where one stands that may not be, or
   * the text's end.
   */
  countPlain(from: number): number {
    const { length } = this.#plain.text
    this.#views.cells[positionCell] = from
    this.#views.cells[metCell] = this.#met.size
    this.#views.cells[strangeCell] = 0
    while (this.#count(length) === unknownSpelling) this.#learnNext()
    this.#met.size = this.#views.cells[metCell] ?? 0
    return this.#views.cells[positionCell] ?? length
  }

  #count(length: number): number {
    return this.#kernel.count(length, this.#shift, 4 * this.#views.slots.length - 1, this.#text)
  }

  /** Words that {@link countPlain} has counted of the text. */
  get plainWords(): number {
    return this.#views.cells[cutCell] ?? 0
  }

  /** Counts the spelling that stands in the begun text from `start` to `end`. */
  meet(text: TextCodes, start: number, end: number, isPlain: boolean): void {
    const at = this.#slotOf(text, start, end, isPlain)
    const { slots } = this.#views
    const met = this.#met
    if (slots[at + textAt] === this.#text) {
      const place = slots[at + placeAt] ?? 0
      met.counts[place] = (met.counts[place] ?? 0) + 1
      return
    }
    if (met.size === met.words.length) {
      met.words = grown(met.words, Int32Array)
      met.counts = grown(met.counts, Int32Array)
      met.tokens = grown(met.tokens, Uint32Array)
    }
    slots[at + textAt] = this.#text
    slots[at + placeAt] = met.size
    met.words[met.size] = (slots[at + wordAt] ?? 0) - 1
    met.counts[met.size] = 1
    met.tokens[met.size] = slots[at + tokenAt] ?? 0
    met.size += 1
  }

  /** The number of the word that stands in a text from `start` to `end`. `isPlain`: it is known to be ASCII. */
  wordAt(text: TextCodes, start: number, end: number, isPlain: boolean): number {
    const at = this.#slotOf(text, start, end, isPlain)
    return wordOf((this.#views.slots[at + wordAt] ?? 0) - 1)
  }

  /** Where what is known of a spelling begins among the slots. */
  #slotOf(text: TextCodes, start: number, end: number, isPlain: boolean): number {
    const length = end - start
    return length <= mostCharacters && (isPlain || isAscii(text.units, start, end))
      ? this.#short(text, start, length)
      : this.#long(text, start, end)
  }

  #short({ lowBytes, text }: TextCodes, start: number, length: number): number {
    const first = lowBytes.getInt32(start, true) & (masks[4 * length] ?? 0)
    const second = lowBytes.getInt32(start + 4, true) & (masks[4 * length + 1] ?? 0)
    const third = lowBytes.getInt32(start + 8, true) & (masks[4 * length + 2] ?? 0)
    const fourth = lowBytes.getInt32(start + 12, true) & (masks[4 * length + 3] ?? 0)
    const { slots } = this.#views
    const mask = slots.length - 1
    for (let at = this.#placeOf(first, second, third, fourth); ; at = (at + slotSize) & mask) {
      if (
        slots[at + firstAt] === first &&
        slots[at + secondAt] === second &&
        slots[at + thirdAt] === third &&
        slots[at + fourthAt] === fourth
      )
        return at
      if (slots[at + wordAt] === 0)
        return this.#put(text.slice(start, start + length), first, second, third, fourth)
    }
  }

  #long({ text, units }: TextCodes, start: number, end: number): number {
    const length = end - start
    const hash = hashOf(units, start, end)
    const { slots } = this.#views
    const mask = slots.length - 1
    for (let at = this.#placeOf(hash, 0, 0, 0); ; at = (at + slotSize) & mask) {
      if (slots[at + wordAt] === 0) {
        const begin = this.#keep(units, start, end)
        return this.#put(text.slice(start, end), hash, begin, -length, 0)
      }
      if (slots[at + firstAt] !== hash || slots[at + thirdAt] !== -length) continue
      if (this.#stands(units, start, slots[at + secondAt] ?? 0, length)) return at
    }
  }

  /** The next word of those that the module has cut is not known. */
  #learnNext(): void {
    const { cells, words } = this.#views
    const span = words[2 * (cells[nextCell] ?? 0)] ?? 0
    this.#short(this.codes, span & 0xffff, span >>> 16)
  }

  #placeOf(first: number, second: number, third: number, fourth: number): number {
    const mixed =
      Math.imul(first, byFirst) +
      Math.imul(second, bySecond) +
      Math.imul(third, byThird) +
      Math.imul(fourth, byFourth)
    return ((mixed | 0) >>> this.#shift) * slotSize
  }

  #stands(codes: Uint16Array, start: number, begin: number, length: number): boolean {
    const known = this.#codes
    for (let at = 0; at < length; at++) if (known[begin + at] !== codes[start + at]) return false
    return true
  }

  /** Answers where the code units begin among those that are kept. */
  #keep(codes: Uint16Array, start: number, end: number): number {
    const begin = this.#codesSize
    this.#codesSize += end - start
    while (this.#codesSize > this.#codes.length) this.#codes = grown(this.#codes, Uint16Array)
    this.#codes.set(codes.subarray(start, end), begin)
    return begin
  }

  #put(slice: string, first: number, second: number, third: number, fourth: number): number {
    const { isStopped, number, token } = this.#learn(detached(slice, third >= 0))
    this.#size += 1
    if (2 * slotSize * this.#size > this.#views.slots.length) this.#widen()
    const at = this.#free(first, second, third, fourth)
    const word = (number + 1) | (isStopped ? stoppedBit : 0)
    this.#views.slots.set([word, 0, 0, token, first, second, third, fourth], at)
    return at
  }

  /** The free slot in which a spelling is to stand. */
  #free(first: number, second: number, third: number, fourth: number): number {
    const { slots } = this.#views
    // A spelling that is told by its hash is looked for by that alone.
    let at = third < 0 ? this.#placeOf(first, 0, 0, 0) : this.#placeOf(first, second, third, fourth)
    while (slots[at + wordAt] !== 0) at = (at + slotSize) & (slots.length - 1)
    return at
  }

  #widen(): void {
    const former = this.#views.slots.slice()
    this.#memory.grow((4 * former.length) / page)
    const isCounting = this.#met.words === this.#views.metWords
    this.#views = viewsOf(this.#memory.buffer, (2 * former.length) / slotSize)
    if (isCounting) {
      this.#met.words = this.#views.metWords
      this.#met.counts = this.#views.metCounts
      this.#met.tokens = this.#views.metTokens
    }
    this.#views.slots.fill(0)
    this.#shift -= 1
    const part = (at: number) => former[at] ?? 0
    for (let at = 0; at < former.length; at += slotSize)
      if (part(at + wordAt) !== 0)
        this.#views.slots.set(
          former.subarray(at, at + slotSize),
          this.#free(part(at + firstAt), part(at + secondAt), part(at + thirdAt), part(at + fourthAt))
        )
  }
}

/** What {@link Kernel.count} ends with where it is to be asked again. */
const unknownSpelling = 2

const viewsOf = (buffer: ArrayBuffer, slots: number) => ({
  cells: new Int32Array(buffer, cellsAt, 7),
  words: new Int32Array(buffer, wordsAt, 256),
  unitBytes: Buffer.from(buffer, unitsAt, 2 * mostUnits),
  metWords: new Int32Array(buffer, metWordsAt, mostMet),
  metCounts: new Int32Array(buffer, metCountsAt, mostMet),
  metTokens: new Uint32Array(buffer, metTokensAt, mostMet),
  slots: new Int32Array(buffer, slotsAt, slots * slotSize)
})

const noneMet = (size: number) => ({
  size: 0,
  words: new Int32Array(size),
  counts: new Int32Array(size),
  tokens: new Uint32Array(size)
})

const isAscii = (codes: Uint16Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if ((codes[at] ?? 0) >= 128) return false
  return true
}

/** Twice as long, with what was there. */
const grown = <A extends Uint16Array | Int32Array | Uint32Array>(
  array: A,
  type: { new (length: number): A }
): A => {
  const longer = new type(array.length * 2)
  longer.set(array)
  return longer
}

/**
 * A string of its own: a slice would keep the whole text alive for as long as it is remembered. A byte for each character of
 * ASCII, two for any other.
 */
const detached = (text: string, isPlain: boolean): string => {
  const encoding = isPlain ? "latin1" : "utf16le"
  return Buffer.from(text, encoding).toString(encoding)
}
