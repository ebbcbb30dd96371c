/**
 * How a batch changes a project's vocabulary and document frequencies: what is added and taken out, chunk by chunk.
 *
 * A batch of points holds a few million words, so a word is a place here: what its number in an analyzer's vocabulary
 * leads to is looked up once, and counting is adding to arrays.
 */
import type { Words } from "../documents/Lexicon.ts"
import type { StateWord, TokenChange, WordChange } from "./StateSchema.ts"
import type { PointWords } from "./VersionPoints.ts"
import { decodeIds, encodeIds } from "./WordIds.ts"

/** Where a project's words have their ids from. */
export interface WordSource {
  /** The id that a word has in the state. */
  readonly known: (word: string) => number | undefined
  /** One that no word has. */
  readonly next: () => number
}

interface PlacedWord extends StateWord {
  readonly id: number
  readonly isNew: boolean
}

export class WordCounts {
  readonly #source: WordSource
  readonly #words: Array<PlacedWord> = []
  readonly #newWords: Array<PlacedWord> = []
  readonly #placeOf = new Map<string, number>()
  readonly #placeOfId = new Map<number, number>()
  readonly #tokens: Array<number> = []
  readonly #tokenPlaceOf = new Map<number, number>()
  /** By number in a vocabulary the word's place plus one. */
  readonly #numbered = new Map<Words, Int32Array>()
  /** By a word's place. */
  #ids = new Float64Array(1 << 10)
  #deltas = new Int32Array(1 << 10)
  #tokenPlaces = new Int32Array(1 << 10)
  /** By a token's place. `chunks`: the one that counted it last, for it counts a chunk once, however many words share it. */
  #tokenDeltas = new Int32Array(1 << 10)
  #chunks = new Int32Array(1 << 10)
  #chunk = 0

  constructor(source: WordSource) {
    this.#source = source
  }

  /** What has changed, each word once. */
  *words(): Generator<WordChange> {
    for (let place = 0; place < this.#words.length; place++) {
      const word = this.#words[place]
      const delta = this.#deltas[place] ?? 0
      if (word === undefined || (delta === 0 && !word.isNew)) continue
      yield { id: word.id, word: word.word, stem: word.stem, token: word.token, isNew: word.isNew, delta }
    }
  }

  /** Those that the state does not hold yet. */
  get newWords(): ReadonlyArray<{ readonly id: number; readonly word: string }> {
    return this.#newWords
  }

  *tokens(): Generator<TokenChange> {
    for (let place = 0; place < this.#tokens.length; place++) {
      const delta = this.#tokenDeltas[place] ?? 0
      if (delta !== 0) yield { token: this.#tokens[place] ?? 0, delta }
    }
  }

  /** A chunk of these words comes. Answers their ids as the ledger keeps them. */
  add({ numbers, vocabulary }: PointWords): Buffer {
    const places = this.#numberedBy(vocabulary)
    this.#chunk += 1
    const ids = new Float64Array(numbers.length)
    for (let at = 0; at < numbers.length; at++) {
      const number = numbers[at] ?? 0
      const place = (places[number] ?? 0) - 1
      const known = place >= 0 ? place : this.#number(vocabulary, places, number)
      this.#count(known, 1)
      ids[at] = this.#ids[known] ?? 0
    }
    return encodeIds(ids)
  }

  /** A chunk goes whose words have these ids, as the ledger keeps them. */
  remove(encoded: Uint8Array, wordOf: (id: number) => StateWord): void {
    this.#chunk += 1
    for (const id of decodeIds(encoded)) {
      const place = this.#placeOfId.get(id)
      this.#count(place ?? this.#begin(wordOf(id), id, false), -1)
    }
  }

  #count(place: number, sign: 1 | -1): void {
    this.#deltas[place] = (this.#deltas[place] ?? 0) + sign
    const token = this.#tokenPlaces[place] ?? 0
    if (this.#chunks[token] === this.#chunk) return
    this.#chunks[token] = this.#chunk
    this.#tokenDeltas[token] = (this.#tokenDeltas[token] ?? 0) + sign
  }

  /** Long enough for every number that the vocabulary has by now. */
  #numberedBy(vocabulary: Words): Int32Array {
    const known = this.#numbered.get(vocabulary)
    if (known !== undefined && known.length >= vocabulary.words.length) return known
    const longer = new Int32Array(2 * vocabulary.words.length)
    if (known !== undefined) longer.set(known)
    this.#numbered.set(vocabulary, longer)
    return longer
  }

  #number({ stems, terms, tokens, words }: Words, places: Int32Array, number: number): number {
    const word = words[number] ?? ""
    const known = this.#placeOf.get(word)
    const place = known ?? this.#meet(word, stems[terms[number] ?? 0] ?? "", tokens[terms[number] ?? 0] ?? 0)
    places[number] = place + 1
    return place
  }

  #meet(word: string, stem: string, token: number): number {
    const id = this.#source.known(word)
    return this.#begin({ word, stem, token }, id ?? this.#source.next(), id === undefined)
  }

  #begin({ stem, token, word }: StateWord, id: number, isNew: boolean): number {
    const place = this.#words.length
    if (place >= this.#ids.length) {
      this.#ids = wider(this.#ids, new Float64Array(2 * place))
      this.#deltas = wider(this.#deltas, new Int32Array(2 * place))
      this.#tokenPlaces = wider(this.#tokenPlaces, new Int32Array(2 * place))
      this.#tokenDeltas = wider(this.#tokenDeltas, new Int32Array(2 * place))
      this.#chunks = wider(this.#chunks, new Int32Array(2 * place))
    }
    const tokenPlace = this.#tokenPlaceOf.get(token) ?? this.#tokens.push(token) - 1
    this.#tokenPlaceOf.set(token, tokenPlace)
    const placed = { id, word, stem, token, isNew }
    this.#words.push(placed)
    if (isNew) this.#newWords.push(placed)
    this.#placeOf.set(word, place)
    this.#placeOfId.set(id, place)
    this.#ids[place] = id
    this.#tokenPlaces[place] = tokenPlace
    return place
  }
}

const wider = <A extends Int32Array | Float64Array>(array: A, empty: A): A => {
  empty.set(array)
  return empty
}
