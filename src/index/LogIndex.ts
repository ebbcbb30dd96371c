/**
 * The log engine: answers straight from recorded vectors and text by exact scan. Slow, read-only, and always right.
 *
 * It serves while the live generation's files are absent, foreign or not yet built, so that a deleted index does not
 * mean no search. It is the oracle of the other engines' scores. What it analyses it keeps, up to a bound.
 */
import type { Spec } from "../../events/Generation.ts"
import type { ChunkId, DocumentId, ProjectScope } from "../../events/Ids.ts"
import { pointId } from "../../events/Ids.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { LogSnapshot, VersionContents } from "../log/LogSnapshot.ts"
import { isEmpty, matches } from "./Filter.ts"
import type { Candidate, EngineQuery, Payload } from "./Index.ts"
import { denseScore, sparseScore } from "./Scores.ts"
import { filterPayload, openVersion, type VersionPoint } from "./VersionPoints.ts"

/** A visible version with its chunks' points. */
interface VisibleVersion {
  readonly documentId: DocumentId
  readonly position: number
  readonly payload: Payload
  readonly points: ReadonlyArray<VersionPoint>
}

/** What a query needs to know of a project's words, at one position. */
export interface Frequencies {
  /** Chunks. */
  readonly total: number
  readonly frequency: (token: number) => number
  /** Surface words with their stem and the number of chunks they occur in. */
  readonly vocabulary: () => Iterable<{
    readonly word: string
    readonly stem: string
    readonly frequency: number
  }>
}

export interface LogIndexOptions {
  /** How many analysed chunks are kept in memory. */
  readonly keptChunks: number
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

  query(spec: Spec, query: EngineQuery): ReadonlyArray<Candidate> {
    const dense = new Best(query.limit)
    const sparse = new Best(query.limit)
    const isNarrow = !isEmpty(query.filter)
    for (const version of this.#visible(spec, query.scope, query.at)) {
      if (isNarrow && !matches(query.filter, version.payload)) continue
      for (const point of version.points) {
        const shared = query.sparse && sparseScore(query.sparse, point.sparse)
        const candidate: Candidate = {
          pointId: pointId(point.chunkId, version.position),
          chunkId: point.chunkId,
          documentId: version.documentId,
          from: version.position,
          ...(query.dense && { dense: denseScore(query.dense, point.dense) }),
          ...(query.sparse && { sparse: shared ?? 0 })
        }
        if (candidate.dense !== undefined) dense.offer(candidate, candidate.dense)
        if (shared !== undefined) sparse.offer(candidate, shared)
      }
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
    for (const { points } of this.#visible(spec, scope, at)) {
      for (const point of points) {
        total += 1
        for (const token of new Set(point.words.map((word) => word.token))) {
          tokens.set(token, (tokens.get(token) ?? 0) + 1)
        }
        for (const { word, stem } of point.words) {
          const known = words.get(word)
          if (known === undefined) words.set(word, { stem, frequency: 1 })
          else known.frequency += 1
        }
      }
    }
    const value: Frequencies = {
      total,
      frequency: (token) => tokens.get(token) ?? 0,
      vocabulary: () =>
        Array.from(words, ([word, { stem, frequency }]) => ({ word, stem, frequency })).sort((one, other) =>
          one.word < other.word ? -1 : 1
        )
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
    const analyzer = this.#analyzerOf(spec)
    const opened = openVersion(this.#snapshot, analyzer, spec, scope, source, contents.documentId, contents)
    // The fold lists such a document as missing; a search can only leave it out.
    if (opened._tag === "Missing") return undefined
    const version: VisibleVersion = {
      documentId: contents.documentId,
      position: contents.position,
      payload: filterPayload(source, contents.documentId, opened.descriptor),
      points: opened.entries.map((_, index) => opened.point(index))
    }
    this.#keep(key, version)
    return version
  }

  #keep(key: string, version: VisibleVersion): void {
    this.#kept.set(key, version)
    this.#keptChunks += version.points.length
    for (const [oldest, { points }] of this.#kept) {
      if (this.#keptChunks <= this.#options.keptChunks) return
      this.#kept.delete(oldest)
      this.#keptChunks -= points.length
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
