/**
 * The log engine: answers straight from recorded vectors and text by exact scan. Slow, read-only, and always right.
 *
 * It serves while the live generation's files are absent, foreign or not yet built, so that a deleted index does not
 * mean no search. It is the oracle of the other engines' scores. What it analyses it keeps, up to a bound.
 */
import type { Spec } from "../../events/Generation.ts"
import type { ChunkId, Digest, DocumentId, ProjectScope } from "../../events/Ids.ts"
import { pointId } from "../../events/Ids.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { LogSnapshot, VersionContents } from "../log/LogSnapshot.ts"
import { isEmpty, matches } from "./Filter.ts"
import type { Candidate, EngineQuery, Payload, SparseVector } from "./Index.ts"
import { type ProjectWords, settledWords } from "./ProjectWords.ts"
import { denseScore, sparseScore } from "./Scores.ts"
import {
  analyzeEntry,
  filterPayload,
  type OpenedText,
  openText,
  pointWords,
  rootedVectors,
  skipping
} from "./VersionPoints.ts"

/** A visible version; what of it a query did not need yet is not computed. */
interface VisibleVersion {
  readonly documentId: DocumentId
  readonly position: number
  readonly payload: Payload
  readonly opened: OpenedText
  readonly root: Digest
  /** `undefined` until a query needed them; `"other"` where they are not those that the event named. */
  dense: ReadonlyArray<Float32Array> | "other" | undefined
  readonly sparse: Map<number, SparseVector>
}

/** Tells, from a generation's ledger, which chunks can hold a word of the query at all. */
export type MayMatch = (chunkId: ChunkId) => boolean

/** What a query needs to know of a project's words, at one position. */
export interface Frequencies {
  /** Chunks. */
  readonly total: number
  readonly frequency: (token: number) => number
  readonly words: ProjectWords
}

export interface LogIndexOptions {
  /** How many analysed chunks are kept in memory. */
  readonly keptChunks: number
  /** Leaves out what cannot be taken, as the fold does. */
  readonly skips?: boolean
}

export class LogIndex {
  readonly #snapshot: LogSnapshot
  readonly #analyzerOf: (spec: Spec) => Analyzer
  readonly #options: LogIndexOptions
  /** Analysed versions by (document, contents, pair), the longest unused first. */
  readonly #kept = new Map<string, VisibleVersion>()
  #keptChunks = 0
  #frequencies: { readonly key: string; readonly value: Frequencies } | undefined

  constructor(snapshot: LogSnapshot, analyzerOf: (spec: Spec) => Analyzer, options: LogIndexOptions) {
    this.#snapshot = snapshot
    this.#analyzerOf = analyzerOf
    this.#options = options
  }

  query(spec: Spec, query: EngineQuery, mayMatch: MayMatch = () => true): ReadonlyArray<Candidate> {
    const dense = new Best(query.limit)
    const sparse = new Best(query.limit)
    const isNarrow = !isEmpty(query.filter)
    for (const version of this.#visible(spec, query.scope, query.at)) {
      if (isNarrow && !matches(query.filter, version.payload)) continue
      const vectors = query.dense && this.#vectors(spec, query.scope, version)
      if (vectors === "other") continue
      version.opened.entries.forEach(({ chunkId }, index) => {
        const shared =
          query.sparse && mayMatch(chunkId)
            ? sparseScore(query.sparse, this.#sparse(spec, version, index))
            : undefined
        const vector = vectors?.[index]
        const candidate: Candidate = {
          pointId: pointId(chunkId, version.position),
          chunkId,
          documentId: version.documentId,
          from: version.position,
          ...(query.dense && vector && { dense: denseScore(query.dense, vector) }),
          ...(query.sparse && { sparse: shared ?? 0 })
        }
        if (candidate.dense !== undefined) dense.offer(candidate, candidate.dense)
        if (shared !== undefined) sparse.offer(candidate, shared)
      })
    }
    const union = new Map<ChunkId, Candidate>()
    for (const candidate of [...dense.best(), ...sparse.best()]) union.set(candidate.chunkId, candidate)
    return [...union.values()]
  }

  /** Counted anew from the text of everything visible, for the time in which no state can tell. */
  frequencies(spec: Spec, scope: ProjectScope, at: number): Frequencies {
    const key = `${scope.team}/${scope.project} ${at} ${spec.chunker} ${spec.model} ${spec.analyzer}`
    if (this.#frequencies?.key === key) return this.#frequencies.value
    const tokens = new Map<number, number>()
    const words = new Map<string, { readonly stem: string; frequency: number }>()
    let total = 0
    for (const version of this.#visible(spec, scope, at)) {
      for (let index = 0; index < version.opened.entries.length; index++) {
        const analyzed = analyzeEntry(this.#analyzerOf(spec), version.opened, index)
        version.sparse.set(index, analyzed.sparse)
        total += 1
        for (const token of analyzed.sparse.ids) tokens.set(token, (tokens.get(token) ?? 0) + 1)
        for (const word of pointWords(analyzed.words)) {
          const known = words.get(word.word)
          if (known === undefined) words.set(word.word, { stem: word.stem, frequency: 1 })
          else known.frequency += 1
        }
      }
    }
    const value: Frequencies = {
      total,
      frequency: (token) => tokens.get(token) ?? 0,
      words: settledWords(words)
    }
    this.#frequencies = { key, value }
    return value
  }

  *#visible(spec: Spec, scope: ProjectScope, at: number): Generator<VisibleVersion> {
    let after: DocumentId | undefined
    while (true) {
      const page = this.#snapshot.versionsAt(scope.team, scope.project, at, after, 200)
      for (const { documentId, version, sourceId } of page) {
        const contents = this.#snapshot.contents(documentId, version, spec.chunker, spec.model, at)
        if (contents === undefined) continue
        const visible = this.#open(spec, scope, sourceId, contents)
        if (visible !== undefined) yield visible
      }
      after = page.at(-1)?.documentId
      if (after === undefined) return
    }
  }

  #open(
    spec: Spec,
    scope: ProjectScope,
    source: Payload["source"],
    contents: VersionContents
  ): VisibleVersion | undefined {
    const key = `${contents.documentId} ${contents.position} ${spec.chunker} ${spec.model} ${spec.analyzer}`
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept
    }
    const opened = this.#taking(() => openText(this.#snapshot, scope, contents))
    // The fold lists such a document as missing; a search can only leave it out.
    if (opened._tag === "Missing") return undefined
    const version: VisibleVersion = {
      documentId: contents.documentId,
      position: contents.position,
      payload: filterPayload(source, contents.documentId, opened.descriptor),
      opened,
      root: contents.vectorsRoot,
      dense: undefined,
      sparse: new Map()
    }
    this.#keep(key, version)
    return version
  }

  #taking<A>(read: () => A) {
    return this.#options.skips ? skipping(read) : read()
  }

  /** Checked against the root that the version's event names, as the fold does. */
  #vectors(spec: Spec, { team, project }: ProjectScope, version: VisibleVersion) {
    if (version.dense !== undefined) return version.dense
    const { entries } = version.opened
    const inputs = entries.map(({ inputHash }) => inputHash)
    const read = this.#taking(() =>
      rootedVectors(this.#snapshot.vectors(team, project, spec.model, inputs), inputs)
    )
    const isRooted = read !== undefined && "root" in read && read.root === version.root
    version.dense = isRooted ? read.vectors : "other"
    return version.dense
  }

  #sparse(spec: Spec, version: VisibleVersion, index: number): SparseVector {
    const known = version.sparse.get(index)
    if (known !== undefined) return known
    const { sparse } = analyzeEntry(this.#analyzerOf(spec), version.opened, index)
    version.sparse.set(index, sparse)
    return sparse
  }

  #keep(key: string, version: VisibleVersion): void {
    this.#kept.set(key, version)
    this.#keptChunks += version.opened.entries.length
    for (const [oldest, { opened }] of this.#kept) {
      if (this.#keptChunks <= this.#options.keptChunks) return
      this.#kept.delete(oldest)
      this.#keptChunks -= opened.entries.length
    }
  }
}

/** The best `limit` by score, ties by chunk id ascending: sorted only when twice as many were seen. */
class Best {
  readonly #limit: number
  #entries: Array<{ readonly candidate: Candidate; readonly score: number }> = []

  constructor(limit: number) {
    this.#limit = limit
  }

  offer(candidate: Candidate, score: number): void {
    this.#entries.push({ candidate, score })
    if (this.#entries.length >= 2 * this.#limit + 64) this.#cut()
  }

  best(): ReadonlyArray<Candidate> {
    this.#cut()
    return this.#entries.map(({ candidate }) => candidate)
  }

  #cut(): void {
    this.#entries.sort(
      (one, other) => other.score - one.score || (one.candidate.chunkId < other.candidate.chunkId ? -1 : 1)
    )
    this.#entries.length = Math.min(this.#entries.length, this.#limit)
  }
}
