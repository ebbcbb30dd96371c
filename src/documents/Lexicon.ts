/**
 * What spellings become, remembered: the analyzer meets the same few ten thousand again and again. A spelling is looked
 * up where it stands in a text, without being cut out of it, and words are numbers, so that counting them compares and
 * allocates nothing.
 *
 * Bounded: a vocabulary that is full is followed by an empty one, which asks it once for what it knew. Within a text
 * nothing is let go. Numbers hold within their vocabulary alone.
 */
import { randomInt } from "node:crypto"
import { murmur3 } from "./Murmur3.ts"
import type { TextCodes } from "./WordCutter.ts"

/** Distinct spellings remembered, in each of two vocabularies. */
const mostSpellings = 65_536

/** What the language says of a spelling. */
export interface Language {
  readonly normalise: (spelling: string) => string
  readonly stem: (word: string) => string
  readonly isStopped: (word: string) => boolean
}

/** Words and their stems by number. Only ever grows. */
export interface Words {
  /** Normalised surfaces. */
  readonly words: ReadonlyArray<string>
  /** Of each word its stem, as a number. */
  readonly terms: Uint32Array
  readonly stems: ReadonlyArray<string>
  /** Of each stem its MurmurHash3 (x86, 32 bit, seed 0) over UTF-8, unsigned. */
  readonly tokens: Uint32Array
}

export class Lexicon {
  readonly #language: Language
  #vocabulary: Vocabulary

  constructor(language: Language) {
    this.#language = language
    this.#vocabulary = new Vocabulary(language, undefined)
  }

  /** For the length of one text. */
  begin(): Vocabulary {
    if (this.#vocabulary.isFull) this.#vocabulary = new Vocabulary(this.#language, this.#vocabulary)
    return this.#vocabulary
  }
}

/**
 * What is known of a spelling, in numbers of 32 bits, side by side, so that a look-up reads one line of the cache. First its
 * word's number plus one, 0 where the slot is free. Then what it is told by: up to twelve characters of ASCII by themselves,
 * four to a number; any other spelling by the hash of its code units, where they begin among those of all such spellings,
 * and how many there are, as a number below zero. Last the text in which it was met, and its place there.
 */
const slotSize = 8
const [wordAt, firstAt, secondAt, thirdAt, textAt, placeAt] = [0, 1, 2, 3, 4, 5]
/** Slots of a new vocabulary, as a power of two. */
const fewestBits = 13

/** Characters of a spelling that is told by themselves. */
const mostCharacters = 12
/** By the length of a spelling, which bits of its three numbers are its own. */
const masks = new Int32Array(3 * (mostCharacters + 1))
for (let length = 0; length <= mostCharacters; length++)
  for (let part = 0; part < 3; part++) {
    const characters = Math.max(0, Math.min(4, length - 4 * part))
    masks[3 * length + part] = characters === 4 ? -1 : (1 << (8 * characters)) - 1
  }

const oddNumber = (): number => randomInt(2 ** 31) | 1
/** Nobody's to know: whoever writes texts cannot choose words that all fall into one place. */
const [byFirst, bySecond, byThird] = [oddNumber(), oddNumber(), oddNumber()]

/** Where words stand in a text, three numbers for each: its start, its end, and 1 where it is known to be ASCII. */
export const spanSize = 3

/** What was read ahead goes somewhere, lest it be left out. */
const fetchedSlots = new Int32Array(1)

/** FNV-1a over code units. */
const hashOf = (codes: Uint16Array, start: number, end: number): number => {
  let hash = 0x811c9dc5 | 0
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ (codes[at] ?? 0), 0x01000193)
  return hash
}

/** The distinct spellings of a text, in the order in which they were met: their words' numbers, and how often each stands there. */
export interface Met {
  readonly size: number
  readonly words: Int32Array
  readonly counts: Int32Array
}

export class Vocabulary implements Words {
  readonly words: Array<string> = []
  readonly stems: Array<string> = []
  terms = new Uint32Array(1 << 12)
  tokens = new Uint32Array(1 << 12)
  /** Of each word 1 where it is too common to be a term. */
  stopped = new Uint8Array(1 << 12)
  readonly #language: Language
  #former: Vocabulary | undefined
  readonly #wordNumbers = new Map<string, number>()
  readonly #stemNumbers = new Map<string, number>()
  #spellings = 0
  /** A hash table with open addressing. At most half are taken. */
  #slots = new Int32Array(slotSize << fewestBits)
  /** What is left of a hash is the number of a slot. */
  #shift = 32 - fewestBits
  /** The UTF-16 code units of spellings that are told by a hash, one after another. */
  #codes = new Uint16Array(1 << 12)
  #codesSize = 0
  /** The text whose spellings are counted. */
  #text = 0
  #met = { size: 0, words: new Int32Array(1 << 10), counts: new Int32Array(1 << 10) }

  constructor(language: Language, former: Vocabulary | undefined) {
    this.#language = language
    this.#former = former
    former?.forgetFormer()
  }

  get isFull(): boolean {
    return this.#spellings >= mostSpellings
  }

  /** What {@link meet} has counted since {@link beginText}. Holds until the next text. */
  get met(): Met {
    return this.#met
  }

  beginText(): void {
    this.#text += 1
    this.#met.size = 0
  }

  /**
   * Counts spellings by where they stand in a text: the first `size` of `spans`. All slots are read once before any is looked at:
   * waiting for each in turn, since what is done next depends on it, took most of the time.
   */
  meet(text: TextCodes, spans: Int32Array, size: number): void {
    const slots = this.#slots
    let fetched = 0
    for (let span = 0; span < spanSize * size; span += spanSize) {
      const start = spans[span] ?? 0
      const length = (spans[span + 1] ?? 0) - start
      if (length <= mostCharacters) fetched ^= slots[this.#shortPlace(text.lowBytes, start, length)] ?? 0
    }
    fetchedSlots[0] = fetched
    for (let span = 0; span < spanSize * size; span += spanSize)
      this.#meet(text, spans[span] ?? 0, spans[span + 1] ?? 0, spans[span + 2] === 1)
  }

  #meet(text: TextCodes, start: number, end: number, isPlain: boolean): void {
    const at = this.#slotOf(text, start, end, isPlain)
    const slots = this.#slots
    const met = this.#met
    if (slots[at + textAt] === this.#text) {
      const place = slots[at + placeAt] ?? 0
      met.counts[place] = (met.counts[place] ?? 0) + 1
      return
    }
    if (met.size === met.words.length) {
      met.words = grown(met.words, Int32Array)
      met.counts = grown(met.counts, Int32Array)
    }
    slots[at + textAt] = this.#text
    slots[at + placeAt] = met.size
    met.words[met.size] = (slots[at + wordAt] ?? 0) - 1
    met.counts[met.size] = 1
    met.size += 1
  }

  /** The word that stands in a text from `start` to `end`. `isPlain`: it is known to be ASCII. */
  wordAt(text: TextCodes, start: number, end: number, isPlain: boolean): number {
    const at = this.#slotOf(text, start, end, isPlain)
    return (this.#slots[at + wordAt] ?? 0) - 1
  }

  /** Once it is a former one itself. */
  forgetFormer(): void {
    this.#former = undefined
  }

  /** Where what is known of a spelling begins among the slots. */
  #slotOf(text: TextCodes, start: number, end: number, isPlain: boolean): number {
    const length = end - start
    return length <= mostCharacters && (isPlain || isAscii(text.units, start, end))
      ? this.#short(text, start, length)
      : this.#long(text, start, end)
  }

  #short(text: TextCodes, start: number, length: number): number {
    const { lowBytes } = text
    const first = lowBytes.getInt32(start, true) & (masks[3 * length] ?? 0)
    const second = lowBytes.getInt32(start + 4, true) & (masks[3 * length + 1] ?? 0)
    const third = lowBytes.getInt32(start + 8, true) & (masks[3 * length + 2] ?? 0)
    const slots = this.#slots
    const mask = slots.length - 1
    for (let at = this.#placeOf(first, second, third); ; at = (at + slotSize) & mask) {
      if (slots[at + firstAt] === first && slots[at + secondAt] === second && slots[at + thirdAt] === third)
        return at
      if (slots[at + wordAt] === 0)
        return this.#learn(text.text.slice(start, start + length), first, second, third)
    }
  }

  #long({ text, units }: TextCodes, start: number, end: number): number {
    const length = end - start
    const hash = hashOf(units, start, end)
    const slots = this.#slots
    const mask = slots.length - 1
    for (let at = this.#placeOf(hash, 0, 0); ; at = (at + slotSize) & mask) {
      if (slots[at + wordAt] === 0) {
        const begin = this.#keep(units, start, end)
        return this.#learn(text.slice(start, end), hash, begin, -length)
      }
      if (slots[at + firstAt] !== hash || slots[at + thirdAt] !== -length) continue
      if (this.#stands(units, start, slots[at + secondAt] ?? 0, length)) return at
    }
  }

  /** Where a short spelling is looked for first. */
  #shortPlace(lowBytes: DataView, start: number, length: number): number {
    return this.#placeOf(
      lowBytes.getInt32(start, true) & (masks[3 * length] ?? 0),
      lowBytes.getInt32(start + 4, true) & (masks[3 * length + 1] ?? 0),
      lowBytes.getInt32(start + 8, true) & (masks[3 * length + 2] ?? 0)
    )
  }

  #placeOf(first: number, second: number, third: number): number {
    const mixed = Math.imul(first, byFirst) + Math.imul(second, bySecond) + Math.imul(third, byThird)
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

  #learn(slice: string, first: number, second: number, third: number): number {
    const spelling = detached(slice)
    const word = this.#language.normalise(spelling)
    const number = this.#wordNumbers.get(word) ?? this.#begin(word)
    this.#spellings += 1
    if (2 * slotSize * this.#spellings > this.#slots.length) this.#widen()
    const at = this.#free(first, second, third)
    this.#slots.set([number + 1, first, second, third], at)
    return at
  }

  /** The free slot in which a spelling is to stand. */
  #free(first: number, second: number, third: number): number {
    const slots = this.#slots
    // A spelling that is told by its hash is looked for by that alone.
    let at = third < 0 ? this.#placeOf(first, 0, 0) : this.#placeOf(first, second, third)
    while (slots[at + wordAt] !== 0) at = (at + slotSize) & (slots.length - 1)
    return at
  }

  #begin(word: string): number {
    const number = this.words.length
    const known = this.#former?.recall(word)
    const term = this.#termOf(known?.stem ?? this.#language.stem(word))
    if (number >= this.terms.length) {
      this.terms = grown(this.terms, Uint32Array)
      this.stopped = grown(this.stopped, Uint8Array)
    }
    this.words.push(word)
    this.#wordNumbers.set(word, number)
    this.terms[number] = term
    this.stopped[number] = (known?.stopped ?? this.#language.isStopped(word)) ? 1 : 0
    return number
  }

  #termOf(stem: string): number {
    const known = this.#stemNumbers.get(stem)
    if (known !== undefined) return known
    const term = this.stems.length
    if (term >= this.tokens.length) this.tokens = grown(this.tokens, Uint32Array)
    this.stems.push(stem)
    this.#stemNumbers.set(stem, term)
    this.tokens[term] = murmur3(stem)
    return term
  }

  recall(word: string): { readonly stem: string; readonly stopped: boolean } | undefined {
    const number = this.#wordNumbers.get(word)
    if (number === undefined) return undefined
    return { stem: this.stems[this.terms[number] ?? 0] ?? "", stopped: this.stopped[number] === 1 }
  }

  #widen(): void {
    const former = this.#slots
    this.#slots = new Int32Array(former.length * 2)
    this.#shift -= 1
    for (let at = 0; at < former.length; at += slotSize)
      if (former[at + wordAt] !== 0)
        this.#slots.set(
          former.subarray(at, at + slotSize),
          this.#free(former[at + firstAt] ?? 0, former[at + secondAt] ?? 0, former[at + thirdAt] ?? 0)
        )
  }
}

const isAscii = (codes: Uint16Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) if ((codes[at] ?? 0) >= 128) return false
  return true
}

/** Twice as long, with what was there. */
const grown = <A extends Uint8Array | Uint16Array | Uint32Array | Int32Array>(
  array: A,
  type: { new (length: number): A }
): A => {
  const longer = new type(array.length * 2)
  longer.set(array)
  return longer
}

/** A string of its own: a slice would keep the whole text alive for as long as it is remembered. */
const detached = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le")
