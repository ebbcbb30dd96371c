/**
 * A corpus for benchmarks, the same on every machine: documents of eight chunks of about 2,000 characters, written through the
 * log's own interface as the Coordinator writes them (bodies, vectors and events), so that a large one takes minutes to
 * make, not hours. The vectors are those of the model `hashing`, so that searches can be asked in words.
 */
import { Effect } from "effect"
import {
  canonicalJson,
  chunkId,
  type Descriptor,
  type Digest,
  DocumentChunked,
  DocumentCommitted,
  DocumentSubmitted,
  DocumentVersion,
  defaultScope,
  documentId,
  documentStream,
  GenerationId,
  GenerationOpened,
  GenerationPromoted,
  generationsStream,
  type Spec,
  sha256,
  sourceId,
  VectorsRecorded,
  vectorsRoot,
  vectorsStream
} from "../../events/index.ts"
import { hashingFeatures } from "../../src/embedding/HashingFeatures.ts"
import { make as hashingModel } from "../../src/embedding/HashingModel.ts"
import { denseBytes } from "../../src/index/Fingerprint.ts"
import { type Append, type BlobPut, Log, type VectorPut, type WriteBatch } from "../../src/log/Log.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import { analyzerFor } from "../../src/runtime/Analyzers.ts"
import { configuredSpec } from "../../src/runtime/ConfiguredSpec.ts"
import type { Settings } from "../../src/runtime/Settings.ts"

export const chunksPerDocument = 8
const wordsPerChunk = 270
const vocabularySize = 50_000
/** As texts on a few hundred subjects have words of their own. */
const subjects = 300
const wordsOfSubject = 400
const documentsAtOnce = 25

export type Random = () => number

/** Mulberry32. */
export const generator = (seed: number): Random => {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const syllables = "ba ce di fo gu ha je ki lo mu na pe ri so tu va we xi yo zu bra cle dri flo gru".split(" ")

/** A word for each rank, all different: the rank written in syllables. */
const wordOf = (rank: number): string => {
  let word = ""
  for (let rest = rank + syllables.length; rest > 0; rest = Math.floor(rest / syllables.length))
    word += syllables[rest % syllables.length]
  return word
}

const vocabulary = Array.from({ length: vocabularySize }, (_, rank) => wordOf(rank))

/** Rank r is drawn with a frequency of about 1 / r. */
const anyWord = (random: Random): string => vocabulary[Math.floor(vocabularySize ** random())] ?? ""

const subjectWord = (subject: number, random: Random): string =>
  vocabulary[1000 + ((subject * wordsOfSubject + Math.floor(wordsOfSubject ** random())) % 49_000)] ?? ""

/** The chunks of a document, a third of whose words are its subject's. */
export const textsOf = (document: number): ReadonlyArray<string> => {
  const random = generator(document)
  const subject = Math.floor(random() * subjects)
  return Array.from({ length: chunksPerDocument }, () => {
    const words = Array.from({ length: wordsPerChunk }, () =>
      random() < 1 / 3 ? subjectWord(subject, random) : anyWord(random)
    )
    return `${words.join(" ")}.\n`
  })
}

/** Questions of five words: four of a subject, one of any. */
export const questions = (count: number, seed = 7): ReadonlyArray<string> => {
  const random = generator(seed)
  return Array.from({ length: count }, () => {
    const subject = Math.floor(random() * subjects)
    const words = Array.from({ length: 4 }, () => subjectWord(subject, random))
    return [...words, anyWord(random)].join(" ")
  })
}

const source = sourceId(defaultScope, "push", "bench")
const encoder = new TextEncoder()

const blobOf = (text: string): BlobPut => {
  const bytes = encoder.encode(text)
  return { ...defaultScope, digest: sha256(bytes), bytes }
}

/** One document, whole: what a write carries of it. */
const documentWrite = (
  number: number,
  spec: Spec
): Required<Pick<WriteBatch, "blobs" | "vectors" | "appends">> => {
  const id = documentId(defaultScope, source, String(number))
  const texts = textsOf(number)
  const body = blobOf(texts.join(""))
  const descriptor: Descriptor = {
    externalId: String(number),
    uri: `push://bench/${number}`,
    mediaType: "text/plain",
    metadata: { year: 2000 + (number % 20) }
  }
  const described = blobOf(canonicalJson({ ...descriptor }))
  let start = 0
  const inputs: Array<{ readonly inputHash: Digest; readonly vectorDigest: Digest }> = []
  const vectors: Array<VectorPut> = []
  const analyzer = analyzerFor("english")
  const entries = texts.map((text, at) => {
    const inputHash = sha256(text)
    const vector = hashingFeatures(analyzer.analyze(text), spec.dimensions)
    vectors.push({ ...defaultScope, model: spec.model, inputHash, vector })
    inputs.push({ inputHash, vectorDigest: sha256(denseBytes(vector)) })
    const entry = {
      chunkId: chunkId(id, inputHash, at),
      inputHash,
      start,
      end: start + text.length,
      headings: []
    }
    start += text.length
    return entry
  })
  const manifest = blobOf(JSON.stringify({ chunker: spec.chunker, entries }))
  const version = DocumentVersion.make(1)
  const chunked = {
    documentId: id,
    version,
    chunker: spec.chunker,
    descriptor: described.digest,
    textBlob: body.digest,
    manifestBlob: manifest.digest,
    count: entries.length
  }
  const submitted = new DocumentSubmitted({
    documentId: id,
    sourceId: source,
    version,
    raw: body.digest,
    rawBytes: body.bytes.length,
    descriptor: described.digest,
    commandId: `push-${number}`,
    orderKey: String(number)
  })
  const committed = new DocumentCommitted({ ...chunked, model: spec.model, vectorsRoot: vectorsRoot(inputs) })
  const recorded = new VectorsRecorded({ model: spec.model, count: entries.length, tokens: 0, elapsedMs: 1 })
  const append = (cause: string, stream: string, event: Append["events"][number]["event"]): Append => ({
    ...defaultScope,
    cause: `${cause}-${number}`,
    actor: "bench",
    correlationId: `push-${number}`,
    events: [{ stream, event }]
  })
  const stream = documentStream(id)
  return {
    blobs: [body, described, manifest],
    vectors,
    appends: [
      append("submit", stream, submitted),
      append("chunk", stream, new DocumentChunked(chunked)),
      append("record", vectorsStream(defaultScope.team, defaultScope.project, spec.model), recorded),
      append("commit", stream, committed)
    ]
  }
}

const operator = { team: "_", project: "_" }
const generation = GenerationId.make("g001")

/** The spec that these settings ask for, with the model `hashing`. */
export const specOf = (settings: Settings): Spec =>
  configuredSpec(
    settings,
    hashingModel({
      analyzer: analyzerFor(settings.language),
      ...(settings.embedding.dimensions !== undefined && { dimensions: settings.embedding.dimensions })
    })
  )

/** Writes a log of so many chunks, whose first generation is live and has no index yet. */
export const writeCorpus = (directory: string, chunks: number, settings: Settings): Effect.Effect<void> =>
  Effect.gen(function* () {
    const log = yield* Log
    const spec = specOf(settings)
    yield* log.append({
      ...operator,
      cause: "open",
      actor: "bench",
      correlationId: "open",
      events: [
        {
          stream: generationsStream,
          event: new GenerationOpened({ generation, spec, reason: "initial" })
        },
        { stream: generationsStream, event: new GenerationPromoted({ generation, excluded: [] }) }
      ]
    })
    const documents = Math.ceil(chunks / chunksPerDocument)
    for (let first = 0; first < documents; first += documentsAtOnce) {
      const writes = Array.from({ length: Math.min(documentsAtOnce, documents - first) }, (_, at) =>
        documentWrite(first + at, spec)
      )
      yield* log.write({
        blobs: writes.flatMap(({ blobs }) => blobs),
        vectors: writes.flatMap(({ vectors }) => vectors),
        appends: writes.flatMap(({ appends }) => appends)
      })
    }
  }).pipe(Effect.provide(SqliteLog.layer({ directory })), Effect.scoped, Effect.orDie)
