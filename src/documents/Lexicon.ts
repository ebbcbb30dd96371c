/**
 * What spellings become, remembered: the analyzer meets the same few ten thousand again and again. A spelling is looked
 * up where it stands in a text, without being cut out of it.
 *
 * Bounded: two ages, of which the older one is let go when the younger one is full. Within a text nothing is let go, so
 * that one word is one object there, whatever its spellings, and can be counted without comparing strings.
 */
import { murmur3 } from "./Murmur3.ts"

/** Distinct spellings remembered, in each of two ages. */
const ageSize = 65_536

/** A stem, as one object: what sparse vectors count. */
export class Term {
  readonly stem: string
  /** MurmurHash3 (x86, 32 bit, seed 0) of the stem's UTF-8, unsigned. */
  readonly token: number
  /** The text in which it was last met, and its place among that text's terms. For whoever counts. */
  text = 0
  at = 0

  constructor(stem: string) {
    this.stem = stem
    this.token = murmur3(stem)
  }
}

/** A word, as one object. */
export class Word {
  /** Normalised surface. */
  readonly word: string
  readonly term: Term
  /** Too common to be a term. */
  readonly stopped: boolean
  /** As those of {@link Term}. */
  text = 0
  at = 0

  constructor(word: string, term: Term, stopped: boolean) {
    this.word = word
    this.term = term
    this.stopped = stopped
  }

  get stem(): string {
    return this.term.stem
  }

  get token(): number {
    return this.term.token
  }
}

/** What the language says of a spelling. */
export interface Language {
  readonly normalise: (spelling: string) => string
  readonly stem: (word: string) => string
  readonly isStopped: (word: string) => boolean
}

export class Lexicon {
  readonly #language: Language
  #young = new Age()
  #old = new Age()
  #texts = 0

  constructor(language: Language) {
    this.#language = language
  }

  /** Before each text; answers a number that no other text has. */
  begin(): number {
    if (this.#young.size >= ageSize) {
      this.#old = this.#young
      this.#young = new Age()
    }
    this.#texts += 1
    return this.#texts
  }

  /** What stands in the text from `start` to `end`. */
  wordAt(text: string, start: number, end: number): Word {
    const hash = hashOf(text, start, end)
    const known = this.#young.find(text, start, end, hash)
    if (known !== undefined) return known.word
    const former = this.#old.find(text, start, end, hash)
    if (former !== undefined && former.spelling !== former.word.word) this.#keep(former.word)
    const entry = former ?? this.#made(detached(text.slice(start, end)), hash)
    this.#young.add(entry)
    return entry.word
  }

  #made(spelling: string, hash: number): Entry {
    const word = this.#language.normalise(spelling)
    return { spelling, hash, word: spelling === word ? this.#new(word) : this.#known(word) }
  }

  /** All spellings of a word share one object: the one that stands under the word itself. */
  #known(word: string): Word {
    const hash = hashOf(word, 0, word.length)
    const entry = this.#young.find(word, 0, word.length, hash) ?? this.#old.find(word, 0, word.length, hash)
    const known =
      entry?.word.word === word
        ? entry.word
        : (this.#young.others.get(word) ?? this.#old.others.get(word) ?? this.#new(word))
    this.#keep(known)
    return known
  }

  /** A word stays at least as long as each of its spellings. */
  #keep(known: Word): void {
    const { word } = known
    const hash = hashOf(word, 0, word.length)
    if (this.#young.find(word, 0, word.length, hash)?.word === known) return
    if (this.#language.normalise(word) === word) this.#young.add({ spelling: word, hash, word: known })
    else this.#young.others.set(word, known)
  }

  #new(word: string): Word {
    const { isStopped, stem } = this.#language
    return new Word(word, this.#termOf(stem(word)), isStopped(word))
  }

  #termOf(stem: string): Term {
    return this.#young.terms.get(stem) ?? this.#old.terms.get(stem) ?? new Term(stem)
  }
}

interface Entry {
  readonly spelling: string
  readonly hash: number
  readonly word: Word
}

/** Spellings in a hash table with open addressing. */
class Age {
  readonly terms = new Map<string, Term>()
  /** Words that are no spelling of themselves: a few letters have lower cases that normalise to something else. */
  readonly others = new Map<string, Word>()
  readonly #entries: Array<Entry> = []
  /** Pairs of a hash and one more than an entry's place; 0 is free. At most half are taken. */
  #slots = new Int32Array(1 << 13)

  get size(): number {
    return this.#entries.length
  }

  find(text: string, start: number, end: number, hash: number): Entry | undefined {
    const slots = this.#slots
    const mask = slots.length - 2
    for (let slot = (hash << 1) & mask; ; slot = (slot + 2) & mask) {
      const number = slots[slot + 1] ?? 0
      if (number === 0) return undefined
      if (slots[slot] !== hash) continue
      const entry = this.#entries[number - 1]
      if (entry !== undefined && stands(text, start, end, entry.spelling)) return entry
    }
  }

  /** A spelling that is not there yet. */
  add(entry: Entry): void {
    this.#entries.push(entry)
    this.terms.set(entry.word.term.stem, entry.word.term)
    if (4 * this.size > this.#slots.length) this.#grow()
    else this.#place(entry.hash, this.size)
  }

  #place(hash: number, number: number): void {
    const slots = this.#slots
    const mask = slots.length - 2
    let slot = (hash << 1) & mask
    while (slots[slot + 1] !== 0) slot = (slot + 2) & mask
    slots[slot] = hash
    slots[slot + 1] = number
  }

  #grow(): void {
    this.#slots = new Int32Array(this.#slots.length * 2)
    this.#entries.forEach(({ hash }, at) => {
      this.#place(hash, at + 1)
    })
  }
}

/** FNV-1a over the code units, with a last mix, so that the low bits tell spellings apart. */
const hashOf = (text: string, start: number, end: number): number => {
  let hash = 0x811c9dc5 | 0
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return hash ^ (hash >>> 15)
}

const stands = (text: string, start: number, end: number, spelling: string): boolean => {
  if (spelling.length !== end - start) return false
  for (let at = 0; at < spelling.length; at++)
    if (spelling.charCodeAt(at) !== text.charCodeAt(start + at)) return false
  return true
}

/** A string of its own: a slice would keep the whole text alive for as long as it is remembered. */
const detached = (text: string): string => Buffer.from(text, "utf16le").toString("utf16le")
