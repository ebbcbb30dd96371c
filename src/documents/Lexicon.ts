/**
 * What spellings become, remembered: the analyzer meets the same few ten thousand again and again. A spelling is looked
 * up where it stands in a text, without being cut out of it, and words are numbers, so that counting them compares and
 * allocates nothing.
 *
 * Bounded: a vocabulary that is full is followed by an empty one, which asks it once for what it knew. Within a text
 * nothing is let go. Numbers hold within their vocabulary alone.
 */
import { murmur3 } from "./Murmur3.ts"
import { SpellingTable } from "./SpellingTable.ts"

/**
 * Distinct spellings that a vocabulary remembers, some 12 MB. Words beyond them are learnt anew again and again: a
 * replay of a corpus with 50,000 words took twice the processor time where half as many were remembered.
 */
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

/** What is left of a vocabulary that was full: it is not looked up by spellings any more. */
class Former {
  readonly #words: Words & { readonly stopped: Uint8Array }
  readonly #numbers: ReadonlyMap<string, number>

  constructor(words: Words & { readonly stopped: Uint8Array }, numbers: ReadonlyMap<string, number>) {
    this.#words = words
    this.#numbers = numbers
  }

  recall(word: string): { readonly stem: string; readonly isStopped: boolean } | undefined {
    const number = this.#numbers.get(word)
    if (number === undefined) return undefined
    const { stems, stopped, terms } = this.#words
    return { stem: stems[terms[number] ?? 0] ?? "", isStopped: stopped[number] === 1 }
  }
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
    if (this.#vocabulary.isFull) this.#vocabulary = new Vocabulary(this.#language, this.#vocabulary.former())
    return this.#vocabulary
  }
}

export class Vocabulary implements Words {
  readonly words: Array<string> = []
  readonly stems: Array<string> = []
  terms = new Uint32Array(1 << 12)
  tokens = new Uint32Array(1 << 12)
  /** Of each word 1 where it is too common to be a term. */
  stopped = new Uint8Array(1 << 12)
  /** Spellings, each of which leads to the number of its word. */
  readonly spellings: SpellingTable
  readonly #language: Language
  readonly #former: Former | undefined
  readonly #wordNumbers = new Map<string, number>()
  readonly #stemNumbers = new Map<string, number>()

  constructor(language: Language, former: Former | undefined) {
    this.#language = language
    this.#former = former
    this.spellings = new SpellingTable((spelling) => {
      const word = language.normalise(spelling)
      const number = this.#wordNumbers.get(word) ?? this.#begin(word)
      const token = this.tokens[this.terms[number] ?? 0] ?? 0
      return { number, isStopped: this.stopped[number] === 1, token }
    })
  }

  get isFull(): boolean {
    return this.spellings.size >= mostSpellings
  }

  /** What the next one may ask it. Its spellings are let go with it. */
  former(): Former {
    const { stems, stopped, terms, tokens, words } = this
    return new Former({ stems, stopped, terms, tokens, words }, this.#wordNumbers)
  }

  #begin(word: string): number {
    const number = this.words.length
    const known = this.#former?.recall(word)
    const stem = known?.stem ?? this.#language.stem(word)
    // One text where the stem is the word: most names, numbers and identifiers are remembered once.
    const term = this.#termOf(stem === word ? word : stem)
    if (number >= this.terms.length) {
      this.terms = grown(this.terms, Uint32Array)
      this.stopped = grown(this.stopped, Uint8Array)
    }
    this.words.push(word)
    this.#wordNumbers.set(word, number)
    this.terms[number] = term
    this.stopped[number] = (known?.isStopped ?? this.#language.isStopped(word)) ? 1 : 0
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
}

/** Twice as long, with what was there. */
const grown = <A extends Uint8Array | Uint32Array>(array: A, type: { new (length: number): A }): A => {
  const longer = new type(array.length * 2)
  longer.set(array)
  return longer
}
