/**
 * How a batch changes a project's vocabulary and document frequencies: what is added and taken out, chunk by chunk.
 */
import type { TokenChange, WordChange } from "./StateSchema.ts"
import type { PointWord } from "./VersionPoints.ts"

interface CountedToken extends TokenChange {
  delta: number
  /** The chunk that counted it last: it counts a chunk once, however many words share it. */
  chunk: number
}

interface CountedWord extends WordChange {
  delta: number
  readonly counted: CountedToken
}

export class WordCounts {
  readonly #idOf: (word: string) => number
  readonly #words = new Map<string, CountedWord>()
  readonly #byId = new Map<number, CountedWord>()
  readonly #tokens = new Map<number, CountedToken>()
  /** The analyzer gives one object for a word again and again: comparing objects spares comparing strings. */
  readonly #met = new Map<PointWord, CountedWord>()
  #chunks = 0

  /** `idOf`: the id that a word has in the state, or is to get. Asked once a word. */
  constructor(idOf: (word: string) => number) {
    this.#idOf = idOf
  }

  get words(): Iterable<WordChange> {
    return this.#words.values()
  }

  get tokens(): Iterable<TokenChange> {
    return this.#tokens.values()
  }

  /** A chunk of these words comes or goes. */
  count(words: ReadonlyArray<PointWord>, sign: 1 | -1): void {
    const chunk = ++this.#chunks
    for (const one of words) {
      const known = this.#counted(one)
      known.delta += sign
      const { counted } = known
      if (counted.chunk === chunk) continue
      counted.chunk = chunk
      counted.delta += sign
    }
  }

  /** Of a word that was counted. */
  idOf(word: PointWord): number {
    return this.#counted(word).id
  }

  /** Words that were counted here, by their ids. */
  wordsOf(ids: ReadonlyArray<number>): ReadonlyArray<PointWord> {
    return ids.flatMap((id) => this.#byId.get(id) ?? [])
  }

  #counted(one: PointWord): CountedWord {
    const met = this.#met.get(one)
    if (met !== undefined) return met
    const known = this.#words.get(one.word) ?? this.#begin(one)
    this.#met.set(one, known)
    return known
  }

  #begin({ stem, token, word }: PointWord): CountedWord {
    const counted = this.#tokens.get(token) ?? { token, delta: 0, chunk: 0 }
    this.#tokens.set(token, counted)
    const begun = { id: this.#idOf(word), word, token, stem, delta: 0, counted }
    this.#words.set(word, begun)
    this.#byId.set(begun.id, begun)
    return begun
  }
}
