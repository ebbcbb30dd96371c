/**
 * What spellings become, remembered: the analyzer meets the same few ten thousand again and again. A spelling is looked
 * up where it stands in a text, without being cut out of it, and words are numbers, so that counting them compares and
 * allocates nothing.
 *
 * Bounded: a vocabulary that is full is followed by an empty one, which asks it once for what it knew. Within a text
 * nothing is let go. Numbers hold within their vocabulary alone.
 */
import { murmur3 } from "./Murmur3.ts"

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

/** What is known of a spelling: four numbers, in this order, side by side. */
const slotSize = 4
const [hashAt, wordAt, beginAt, lengthAt] = [0, 1, 2, 3]

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
  /** A hash table with open addressing: a word's number plus one, 0 where it is free. At most half are taken. */
  #slots = new Int32Array(slotSize << 13)
  /** The UTF-16 code units of all spellings, one after another. */
  #codes = new Uint16Array(1 << 16)
  #codesSize = 0

  constructor(language: Language, former: Vocabulary | undefined) {
    this.#language = language
    this.#former = former
    former?.forgetFormer()
  }

  get isFull(): boolean {
    return this.#spellings >= mostSpellings
  }

  /** The word that stands in `text` from `start` to `end`; `codes` are the text's code units, `hash` is {@link hashOf} them. */
  wordAt(text: string, codes: Uint16Array, start: number, end: number, hash: number): number {
    const slots = this.#slots
    const mask = slots.length / slotSize - 1
    const length = end - start
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = slot * slotSize
      const number = slots[at + wordAt] ?? 0
      if (number === 0) return this.#learn(text.slice(start, end), codes, start, hash)
      if (slots[at + hashAt] !== hash || slots[at + lengthAt] !== length) continue
      if (this.#stands(codes, start, slots[at + beginAt] ?? 0, length)) return number - 1
    }
  }

  /** Once it is a former one itself. */
  forgetFormer(): void {
    this.#former = undefined
  }

  #stands(codes: Uint16Array, start: number, begin: number, length: number): boolean {
    const known = this.#codes
    for (let at = 0; at < length; at++) if (known[begin + at] !== codes[start + at]) return false
    return true
  }

  #learn(slice: string, codes: Uint16Array, start: number, hash: number): number {
    const spelling = detached(slice)
    const word = this.#language.normalise(spelling)
    const number = this.#wordNumbers.get(word) ?? this.#begin(word)
    const begin = this.#codesSize
    this.#codesSize += spelling.length
    while (this.#codesSize > this.#codes.length) this.#codes = grown(this.#codes, Uint16Array)
    this.#codes.set(codes.subarray(start, start + spelling.length), begin)
    this.#spellings += 1
    if (2 * slotSize * this.#spellings > this.#slots.length) this.#widen()
    place(this.#slots, hash, number + 1, begin, spelling.length)
    return number
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
    for (let at = 0; at < former.length; at += slotSize)
      if (former[at + wordAt] !== 0)
        place(
          this.#slots,
          former[at + hashAt] ?? 0,
          former[at + wordAt] ?? 0,
          former[at + beginAt] ?? 0,
          former[at + lengthAt] ?? 0
        )
  }
}

const place = (slots: Int32Array, hash: number, word: number, begin: number, length: number): void => {
  const mask = slots.length / slotSize - 1
  let slot = hash & mask
  while (slots[slot * slotSize + wordAt] !== 0) slot = (slot + 1) & mask
  slots[slot * slotSize + hashAt] = hash
  slots[slot * slotSize + wordAt] = word
  slots[slot * slotSize + beginAt] = begin
  slots[slot * slotSize + lengthAt] = length
}

/** Twice as long, with what was there. */
const grown = <A extends Uint8Array | Uint16Array | Uint32Array>(
  array: A,
  type: { new (length: number): A }
): A => {
  const longer = new type(array.length * 2)
  longer.set(array)
  return longer
}

/** A string of its own: a slice would keep the whole text alive for as long as it is remembered. */
const detached = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le")
