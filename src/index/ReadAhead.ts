/**
 * Versions opened ahead of the fold, in a thread of their own: content, analysis and digests need nothing but the log.
 *
 * Only what is sure is done ahead: a version whose contents are all there, of a document that cannot have living chunks
 * yet. What is damaged, missing, too large, or not done for any other reason the fold opens itself, and says what is wrong.
 * So a version comes out the same with and without.
 */
import { Predicate } from "effect"
import { schemaVersions } from "../../events/Catalogue.ts"
import type { DocumentCommitted } from "../../events/Document.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import { type Spec, samePair } from "../../events/Generation.ts"
import type { ChunkId } from "../../events/Ids.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { Words } from "../documents/Lexicon.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"
import { uuidBytes } from "./Fingerprint.ts"
import { type OpenedVersion, openVersion, type VersionPoint } from "./VersionPoints.ts"

/** What of a version the fold takes. */
export interface FoldedVersion extends Pick<OpenedVersion, "_tag" | "payload" | "payloadDigest" | "point"> {
  readonly entries: ReadonlyArray<{ readonly chunkId: ChunkId }>
}

/** Opened versions by the position of the event that names them. */
export type VersionsAhead = ReadonlyMap<number, FoldedVersion>

/** The events in (after, upTo]. */
export interface AheadRequest {
  readonly spec: Spec
  readonly after: number
  readonly upTo: number
  /** A former piece's, which nobody looks at any more. New ones again and again would have V8 look for garbage all the time. */
  readonly memory?: ArrayBuffer
}

/** What a vocabulary has learnt since it was last told of. */
export interface Learnt {
  /** Tells vocabularies apart. */
  readonly vocabulary: number
  readonly words: ReadonlyArray<string>
  readonly terms: Uint32Array
  readonly stems: ReadonlyArray<string>
  readonly tokens: Uint32Array
}

/** Opened versions as they cross between threads: what their chunks have lies end to end. */
export interface AheadPiece {
  readonly learnt: ReadonlyArray<Learnt>
  readonly versions: ReadonlyArray<{
    readonly position: number
    readonly payload: string
    readonly payloadDigest: Uint8Array
    readonly chunkIds: ReadonlyArray<ChunkId>
  }>
  readonly sizes: PieceSizes
  /** See {@link partsOf}. */
  readonly memory: ArrayBuffer
}

/** How many chunks a piece has, how many tokens, words and repeats theirs are together, and the dimensions of their vectors. */
interface PieceSizes {
  readonly chunks: number
  readonly tokens: number
  readonly words: number
  readonly repeats: number
  readonly dimensions: number
}

const pieceBytes = ({ chunks, dimensions, repeats, tokens, words }: PieceSizes): number =>
  4 * (chunkFields * chunks + dimensions * chunks + 2 * tokens + words + repeats) + leafBytes * chunks

/** A piece's memory: what the chunks have, end to end. */
const partsOf = (memory: ArrayBuffer, { chunks, dimensions, repeats, tokens, words }: PieceSizes) => {
  let at = 0
  const next = (bytes: number): number => {
    at += bytes
    return at - bytes
  }
  return {
    /** Of each chunk its vocabulary, and where its tokens, words and repeats end. */
    chunks: new Uint32Array(memory, next(4 * chunkFields * chunks), chunkFields * chunks),
    dense: new Float32Array(memory, next(4 * dimensions * chunks), dimensions * chunks),
    tokens: new Uint32Array(memory, next(4 * tokens), tokens),
    weights: new Float32Array(memory, next(4 * tokens), tokens),
    words: new Uint32Array(memory, next(4 * words), words),
    repeats: new Uint32Array(memory, next(4 * repeats), repeats),
    leaves: new Uint8Array(memory, next(leafBytes * chunks), leafBytes * chunks)
  }
}

const chunkFields = 4
const leafBytes = 32

/** Chunks in a piece at most, so that what waits for the fold is bounded. */
const mostChunks = 512

interface Told {
  readonly number: number
  words: number
  stems: number
}

/** In the reading thread. */
export class AheadReader {
  readonly #snapshot: LogSnapshot
  readonly #analyzerOf: (spec: Spec) => Analyzer
  /** How much of each vocabulary was told. */
  readonly #told = new Map<Words, Told>()
  #vocabularies = 0

  constructor(snapshot: LogSnapshot, analyzerOf: (spec: Spec) => Analyzer) {
    this.#snapshot = snapshot
    this.#analyzerOf = analyzerOf
  }

  read(request: AheadRequest): AheadPiece {
    return this.#snapshot.together(() => this.#read(request))
  }

  #read({ after, memory, spec, upTo }: AheadRequest): AheadPiece {
    const points: Array<VersionPoint> = []
    const versions: Array<AheadPiece["versions"][number]> = []
    for (const event of this.#snapshot.events(after, upTo, upTo - after, { types: namingTypes })) {
      const opened = this.#open(spec, event, mostChunks - points.length)
      if (opened === undefined) continue
      points.push(...opened.points)
      versions.push({
        position: event.position,
        payload: opened.payload,
        payloadDigest: opened.payloadDigest,
        chunkIds: opened.points.map(({ chunkId }) => chunkId)
      })
    }
    return this.#piece(versions, points, spec.dimensions, memory)
  }

  #open(spec: Spec, stored: StoredEvent, room: number) {
    const event = contentsIn(stored)
    if (event === undefined || !samePair(event, spec) || event.count > room) return undefined
    try {
      const version = this.#snapshot.versionAt(event.documentId, stored.position)
      if (version === undefined) return undefined
      const analyzer = this.#analyzerOf(spec)
      const { documentId } = event
      const opened = openVersion(this.#snapshot, analyzer, spec, stored, version.sourceId, documentId, event)
      if (opened._tag === "Missing") return undefined
      const { entries, payload, payloadDigest, point } = opened
      const points = entries.map((_, index) => point(index))
      const fit = points.length <= room && points.every(({ dense }) => dense.length === spec.dimensions)
      return fit ? { payload, payloadDigest, points } : undefined
    } catch {
      // Whatever it is, the fold meets it again and can tell.
      return undefined
    }
  }

  #piece(
    versions: AheadPiece["versions"],
    points: ReadonlyArray<VersionPoint>,
    dimensions: number,
    given: ArrayBuffer | undefined
  ): AheadPiece {
    const sum = (size: (point: VersionPoint) => number) =>
      points.reduce((total, point) => total + size(point), 0)
    const sizes = {
      chunks: points.length,
      tokens: sum(({ sparse }) => sparse.ids.length),
      words: sum((point) => point.words.numbers.length),
      repeats: sum((point) => point.words.repeats.length),
      dimensions
    }
    const bytes = pieceBytes(sizes)
    // With something to spare, as the next piece may be a little larger.
    const memory =
      given !== undefined && given.byteLength >= bytes ? given : new ArrayBuffer(Math.ceil(bytes * 1.1))
    const { chunks, dense, leaves, repeats, tokens, weights, words } = partsOf(memory, sizes)
    let token = 0
    let word = 0
    let repeat = 0
    points.forEach(
      ({ dense: vector, leaf, sparse, words: { numbers, repeats: repeated, vocabulary } }, at) => {
        tokens.set(sparse.ids, token)
        weights.set(sparse.weights, token)
        words.set(numbers, word)
        repeats.set(repeated, repeat)
        token += sparse.ids.length
        word += numbers.length
        repeat += repeated.length
        chunks.set([this.#numberOf(vocabulary).number, token, word, repeat], chunkFields * at)
        leaves.set(leaf, leafBytes * at)
        dense.set(vector, dimensions * at)
      }
    )
    return { learnt: this.#learnt(), versions, sizes, memory }
  }

  #numberOf(vocabulary: Words): Told {
    const known = this.#told.get(vocabulary)
    if (known !== undefined) return known
    const told = { number: ++this.#vocabularies, words: 0, stems: 0 }
    this.#told.set(vocabulary, told)
    return told
  }

  #learnt(): ReadonlyArray<Learnt> {
    const learnt: Array<Learnt> = []
    for (const [{ stems, terms, tokens, words }, told] of this.#told) {
      if (words.length > told.words)
        learnt.push({
          vocabulary: told.number,
          words: words.slice(told.words),
          terms: terms.slice(told.words, words.length),
          stems: stems.slice(told.stems),
          tokens: tokens.slice(told.stems, stems.length)
        })
      told.words = words.length
      told.stems = stems.length
    }
    // A vocabulary that was followed by another learns nothing any more.
    const [...all] = this.#told.keys()
    for (const former of all.slice(0, -1)) this.#told.delete(former)
    return learnt
  }
}

type Named = Pick<
  DocumentCommitted,
  | "documentId"
  | "version"
  | "chunker"
  | "model"
  | "descriptor"
  | "textBlob"
  | "manifestBlob"
  | "vectorsRoot"
  | "count"
>

/** Of the events that name contents. */
const namingTypes = ["DocumentCommitted", "DocumentBuilt"] as const

/**
 * Of a document that has no living chunk: its first version, or one that is built under another pair. The fold decodes each
 * event by its schema, and takes none that does not fit it; here names are only looked up, and one that is wrong finds nothing.
 */
const contentsIn = ({ data, schemaVersion, type }: StoredEvent): Named | undefined => {
  if (type !== "DocumentCommitted" && type !== "DocumentBuilt") return undefined
  if (schemaVersion !== schemaVersions[type] || !isNamed(data)) return undefined
  return type === "DocumentBuilt" || data.version === 1 ? data : undefined
}

const namedTexts = [
  "documentId",
  "chunker",
  "model",
  "descriptor",
  "textBlob",
  "manifestBlob",
  "vectorsRoot"
] as const

const isNamed = (data: unknown): data is Named =>
  Predicate.hasProperty(data, "version") &&
  Predicate.isNumber(data.version) &&
  Predicate.hasProperty(data, "count") &&
  Predicate.isNumber(data.count) &&
  namedTexts.every((field) => Predicate.hasProperty(data, field) && Predicate.isString(data[field]))

/** What was learnt elsewhere, put together again. */
class ToldWords implements Words {
  readonly words: Array<string> = []
  readonly stems: Array<string> = []
  terms: Uint32Array = new Uint32Array(1 << 12)
  tokens: Uint32Array = new Uint32Array(1 << 12)

  take({ stems, terms, tokens, words }: Learnt): void {
    this.terms = joined(this.terms, this.words.length, terms)
    this.tokens = joined(this.tokens, this.stems.length, tokens)
    for (const word of words) this.words.push(word)
    for (const stem of stems) this.stems.push(stem)
  }
}

const joined = (known: Uint32Array, size: number, more: Uint32Array): Uint32Array => {
  const room = size + more.length <= known.length ? known : new Uint32Array(2 * (size + more.length))
  if (room !== known) room.set(known)
  room.set(more, size)
  return room
}

/** In the folding thread: pieces as versions. They are to be taken in the order in which they were read. */
export class AheadWords {
  readonly #vocabularies = new Map<number, ToldWords>()

  take(piece: AheadPiece): VersionsAhead {
    for (const learnt of piece.learnt) {
      const words = this.#vocabularies.get(learnt.vocabulary) ?? new ToldWords()
      this.#vocabularies.set(learnt.vocabulary, words)
      words.take(learnt)
    }
    const newest = Math.max(...this.#vocabularies.keys())
    const vocabularies = new Map(this.#vocabularies)
    for (const number of this.#vocabularies.keys()) if (number < newest) this.#vocabularies.delete(number)
    const versions = new Map<number, FoldedVersion>()
    const parts = partsOf(piece.memory, piece.sizes)
    let first = 0
    for (const { chunkIds, payload, payloadDigest, position } of piece.versions) {
      const begin = first
      first += chunkIds.length
      versions.set(position, {
        _tag: "Opened",
        payload,
        payloadDigest: Buffer.from(payloadDigest),
        entries: chunkIds.map((chunkId) => ({ chunkId })),
        point: (index) => {
          const chunkId = chunkIds[index]
          if (chunkId === undefined) throw new RangeError(`No chunk ${index} in the version.`)
          return pointOf(parts, vocabularies, begin + index, chunkId, piece.sizes.dimensions)
        }
      })
    }
    return versions
  }
}

const pointOf = (
  { chunks, dense, leaves, repeats, tokens, weights, words }: ReturnType<typeof partsOf>,
  vocabularies: ReadonlyMap<number, Words>,
  at: number,
  chunkId: ChunkId,
  dimensions: number
): VersionPoint => {
  const field = (chunk: number, which: number) => (chunk < 0 ? 0 : (chunks[chunkFields * chunk + which] ?? 0))
  const vocabulary = vocabularies.get(field(at, 0))
  if (vocabulary === undefined) throw new Error(`A vocabulary of chunk ${chunkId} was not told.`)
  const [tokensBegin, tokensEnd] = [field(at - 1, 1), field(at, 1)]
  return {
    chunkId,
    chunk: uuidBytes(chunkId),
    dense: dense.subarray(dimensions * at, dimensions * (at + 1)),
    sparse: {
      ids: tokens.subarray(tokensBegin, tokensEnd),
      weights: weights.subarray(tokensBegin, tokensEnd)
    },
    words: {
      vocabulary,
      numbers: words.subarray(field(at - 1, 2), field(at, 2)),
      repeats: repeats.subarray(field(at - 1, 3), field(at, 3))
    },
    leaf: Buffer.from(leaves.buffer, leaves.byteOffset + leafBytes * at, leafBytes)
  }
}
