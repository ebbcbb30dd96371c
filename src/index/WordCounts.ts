/**
 * How a batch changes a project's vocabulary and document frequencies: what is added and taken out, chunk by chunk.
 *
 * A batch of points holds a few million words, so a word is a place here: what its number in an analyzer's vocabulary
 * leads to is looked up once, and counting is adding to arrays.
 */
import type { Words } from "../documents/Lexicon.ts"
import type { IdentifiedWord, StateWord } from "./StateSchema.ts"
import type { PointWords } from "./VersionPoints.ts"
import { decodeIds, encodeIds } from "./WordIds.ts"

/** Where a project's words have their ids from. */
export interface WordSource {
  /** The id that a word has in the state. */
  readonly known: (word: string) => number | undefined
  /** One that no word has. */
  readonly next: () => number
}

/** Words that are remembered from batch to batch, some 30 MB; and projects, each of which has arrays of its own. */
const mostWords = 131_072
const mostProjects = 64

/**
 * The counts of a state's projects. Words keep their places from batch to batch, as nobody else gives them ids: batch after
 * batch counts the same words. What a batch met that was not committed must be cleared: its ids are given again.
 */
export class CountedWords {
  readonly #projects = new Map<number, WordCounts>()
  /** Of batches whose counts are still to be written. */
  readonly #held = new Map<number, WordCounts>()
  #isOpen = false

  /** A batch has been begun, and neither committed nor held. */
  get isOpen(): boolean {
    return this.#isOpen
  }

  /** Counts of held batches, by project. */
  get held(): ReadonlyMap<number, WordCounts> {
    return this.#held
  }

  /** The highest id of a word that is held, and perhaps in no table yet; 0 where there is none. */
  get highestHeld(): number {
    return Math.max(0, ...Array.from(this.#held.values(), ({ highest }) => highest))
  }

  /** A batch begins. */
  begin(): void {
    if (this.#held.size > 0) return
    let words = 0
    for (const counts of this.#projects.values()) words += counts.size
    if (words > mostWords || this.#projects.size > mostProjects) this.clear()
  }

  /** A project as the batch meets it: nothing of it is counted yet, but for what is held. `isNew`: the state has none of its words. */
  of(scope: number, isNew: boolean, source: WordSource): WordCounts {
    this.#isOpen = true
    const counts = this.#projects.get(scope) ?? new WordCounts(isNew)
    this.#projects.set(scope, counts)
    counts.begin(source, this.#held.has(scope))
    return counts
  }

  /** The batch's counts are to be written with those of the next ones. */
  hold(scopes: Iterable<number>): void {
    for (const scope of scopes) {
      const counts = this.#projects.get(scope)
      if (counts !== undefined) this.#held.set(scope, counts)
    }
    this.#isOpen = false
  }

  committed(): void {
    this.#held.clear()
    this.#isOpen = false
  }

  clear(): void {
    this.#projects.clear()
    this.committed()
  }
}

/**
 * What a batch has counted of a word or token, side by side, so that it is found in one line of the cache. Of both: the batch
 * that counted it last, and by how much it changes there. Of a word: the place of its token. Of a token: the chunk that
 * took it out last, for a chunk counts it once, however many of its words share it.
 */
const countSize = 4
const [batchAt, deltaAt, tokenAt, chunkAt] = [0, 1, 2, 2]

/**
 * Words by their numbers in a vocabulary. What comes is counted here, where a word's id stands beside: one line of the cache for
 * each word of a chunk, of which a batch has millions. What is known of the word is looked up once a batch.
 */
interface Numbered {
  /** Of each number the word's id, 0 where it is not known, and in how many chunks it came since the last look. */
  lines: Float64Array
  /** Of each number the word's place. */
  places: Int32Array
  /** Numbers that came since the last look. */
  readonly came: Array<number>
}

export class WordCounts {
  #source: WordSource = { known: () => undefined, next: () => 0 }
  #size = 0
  readonly #placeOf = new Map<string, number>()
  /** Made when a chunk goes for the first time: a first ingest and a replay have none that does. */
  #placeOfId: Map<number, number> | undefined
  readonly #tokens: Array<number> = []
  readonly #tokenPlaceOf = new Map<number, number>()
  readonly #numbered = new WeakMap<Words, Numbered>()
  /** Those by which something came since the last look. */
  readonly #open = new Set<Numbered>()
  /** By a word's place. */
  #ids = new Float64Array(1 << 8)
  #wordCounts = new Int32Array(countSize << 8)
  /** By a token's place; an id that is not known is 0. */
  #tokenIds = new Float64Array(1 << 8)
  #tokenCounts = new Int32Array(countSize << 8)
  /** Of the chunk at hand. */
  #chunkIds = new Float64Array(1 << 10)
  #chunk = 0
  #batch = 0
  /** Places that the batch has counted. */
  #counted: Array<number> = []
  #countedTokens: Array<number> = []
  /** Words that the state does not hold yet. Of all others their places are enough: what lives long is marked again and again. */
  #new: Array<IdentifiedWord> = []
  /** Every word that the state has was placed here, so that it need not be asked. */
  readonly #isWhole: boolean
  #highest = 0

  constructor(isWhole: boolean) {
    this.#isWhole = isWhole
  }

  get size(): number {
    return this.#size
  }

  /** The highest id of its words. */
  get highest(): number {
    return this.#highest
  }

  /** What was counted before stands in the state, or is held. */
  begin(source: WordSource, isHeld = false): void {
    this.#source = source
    if (isHeld) return
    this.#look()
    this.#batch += 1
    this.#counted = []
    this.#countedTokens = []
    this.#new = []
  }

  /** Those that the state does not hold yet. */
  newWords(): Iterable<IdentifiedWord> {
    return this.#new
  }

  /** Says of each word that the batch has counted, once, by how much it changes. */
  eachWord(count: (id: number, delta: number) => void): void {
    this.#look()
    for (const place of this.#counted)
      count(this.#ids[place] ?? 0, this.#wordCounts[countSize * place + deltaAt] ?? 0)
  }

  /** As {@link eachWord}. `idOf` gives the id of a token of which it is not known. */
  eachToken(idOf: (token: number) => number, count: (id: number, delta: number) => void): void {
    this.#look()
    for (const place of this.#countedTokens) {
      const id = this.#tokenIds[place] || idOf(this.#tokens[place] ?? 0)
      this.#tokenIds[place] = id
      count(id, this.#tokenCounts[countSize * place + deltaAt] ?? 0)
    }
  }

  /** A chunk of these words comes. Answers their ids as the ledger keeps them. */
  add({ numbers, repeats, vocabulary }: PointWords): Buffer {
    const numbered = this.#numberedBy(vocabulary)
    const { came, lines, places } = numbered
    const size = numbers.length
    if (size > this.#chunkIds.length) this.#chunkIds = new Float64Array(2 * size)
    const ids = this.#chunkIds
    for (let at = 0; at < size; at++) {
      const number = numbers[at] ?? 0
      const id = lines[2 * number] || this.#number(vocabulary, numbered, number)
      const count = lines[2 * number + 1] ?? 0
      if (count === 0) came.push(number)
      lines[2 * number + 1] = count + 1
      ids[at] = id
    }
    // Their tokens are counted with other words of the chunk.
    for (let at = 0; at < repeats.length; at++)
      this.#countToken(this.#tokenPlace(places[repeats[at] ?? 0] ?? 0), -1)
    return encodeIds(ids, size)
  }

  /** What came by numbers counts by places. */
  #look(): void {
    for (const { came, lines, places } of this.#open) {
      for (const number of came) {
        const count = lines[2 * number + 1] ?? 0
        lines[2 * number + 1] = 0
        const place = places[number] ?? 0
        this.#countWord(place, count)
        this.#countToken(this.#tokenPlace(place), count)
      }
      came.length = 0
    }
    this.#open.clear()
  }

  /** A chunk goes whose words have these ids, as the ledger keeps them. */
  remove(encoded: Uint8Array, wordOf: (id: number) => StateWord): void {
    this.#chunk += 1
    const places = this.#placesOfIds()
    for (const id of decodeIds(encoded)) {
      const place = places.get(id) ?? this.#begin(wordOf(id), id)
      this.#countWord(place, -1)
      const token = this.#tokenPlace(place)
      const at = countSize * token + chunkAt
      if (this.#tokenCounts[at] === this.#chunk) continue
      this.#tokenCounts[at] = this.#chunk
      this.#countToken(token, -1)
    }
  }

  #placesOfIds(): Map<number, number> {
    const known = this.#placeOfId
    if (known !== undefined) return known
    const places = new Map<number, number>()
    for (let place = 0; place < this.#size; place++) places.set(this.#ids[place] ?? 0, place)
    this.#placeOfId = places
    return places
  }

  #tokenPlace(place: number): number {
    return this.#wordCounts[countSize * place + tokenAt] ?? 0
  }

  #countWord(place: number, delta: number): void {
    const words = this.#wordCounts
    const word = countSize * place
    if (words[word + batchAt] !== this.#batch) {
      words[word + batchAt] = this.#batch
      words[word + deltaAt] = 0
      this.#counted.push(place)
    }
    words[word + deltaAt] = (words[word + deltaAt] ?? 0) + delta
  }

  #countToken(place: number, delta: number): void {
    const tokens = this.#tokenCounts
    const token = countSize * place
    if (tokens[token + batchAt] !== this.#batch) {
      tokens[token + batchAt] = this.#batch
      tokens[token + deltaAt] = 0
      this.#countedTokens.push(place)
    }
    tokens[token + deltaAt] = (tokens[token + deltaAt] ?? 0) + delta
  }

  /** Long enough for every number that the vocabulary has by now. */
  #numberedBy(vocabulary: Words): Numbered {
    const known = this.#numbered.get(vocabulary)
    const numbered = known ?? { lines: new Float64Array(0), places: new Int32Array(0), came: [] }
    if (known === undefined) this.#numbered.set(vocabulary, numbered)
    if (numbered.places.length < vocabulary.words.length) {
      const longer = 2 * vocabulary.words.length
      numbered.lines = wider(numbered.lines, new Float64Array(2 * longer))
      numbered.places = wider(numbered.places, new Int32Array(longer))
    }
    this.#open.add(numbered)
    return numbered
  }

  /** Answers the word's id. */
  #number({ stems, terms, tokens, words }: Words, { lines, places }: Numbered, number: number): number {
    const word = words[number] ?? ""
    const known = this.#placeOf.get(word)
    const place = known ?? this.#meet(word, stems[terms[number] ?? 0] ?? "", tokens[terms[number] ?? 0] ?? 0)
    const id = this.#ids[place] ?? 0
    places[number] = place
    lines[2 * number] = id
    return id
  }

  #meet(word: string, stem: string, token: number): number {
    const id = this.#isWhole ? undefined : this.#source.known(word)
    const given = id ?? this.#source.next()
    if (id === undefined) this.#new.push({ id: given, word, stem, token })
    return this.#begin({ word, token }, given)
  }

  #begin({ token, word }: Pick<StateWord, "token" | "word">, id: number): number {
    const place = this.#size++
    if (place >= this.#ids.length) this.#widen(2 * place)
    const tokenPlace = this.#tokenPlaceOf.get(token) ?? this.#tokens.push(token) - 1
    this.#tokenPlaceOf.set(token, tokenPlace)
    this.#highest = Math.max(this.#highest, id)
    this.#placeOf.set(word, place)
    this.#placeOfId?.set(id, place)
    this.#ids[place] = id
    this.#wordCounts[countSize * place + tokenAt] = tokenPlace
    return place
  }

  #widen(places: number): void {
    this.#ids = wider(this.#ids, new Float64Array(places))
    this.#wordCounts = wider(this.#wordCounts, new Int32Array(countSize * places))
    this.#tokenIds = wider(this.#tokenIds, new Float64Array(places))
    this.#tokenCounts = wider(this.#tokenCounts, new Int32Array(countSize * places))
  }
}

const wider = <A extends Int32Array | Float64Array>(array: A, empty: A): A => {
  empty.set(array)
  return empty
}
