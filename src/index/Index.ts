/**
 * An engine holds the points of generations and finds them again. It knows neither the log nor document frequencies.
 *
 * Points are immutable but for `until`. Every query is made at a visible position V and sees exactly the points with
 * `from ≤ V < until`, so that a version appears whole and its predecessor disappears in the same instant, however
 * partial the engine's writes were at a crash. Writes are idempotent: repeating one changes nothing.
 */
import { Context, type Effect, Schema, type Scope, type Stream } from "effect"
import type { DocumentMetadata } from "../../events/Document.ts"
import type { Spec } from "../../events/Generation.ts"
import type { ChunkId, DocumentId, GenerationId, PointId, ProjectScope, SourceId } from "../../events/Ids.ts"
import type { Filter } from "./Filter.ts"

/** `until` of a point that lives: 2^53 − 1. */
export const forever = Number.MAX_SAFE_INTEGER

/** Sorted by `ids` (ascending, unsigned, unique); equal lengths. */
export interface SparseVector {
  readonly ids: Uint32Array
  readonly weights: Float32Array
}

/** What filters can see of a chunk: never observed times. Stored as canonical JSON. */
export interface Payload {
  readonly source: SourceId
  readonly document: DocumentId
  readonly metadata: DocumentMetadata
}

/** One chunk as a generation holds it. */
export interface Point {
  readonly id: PointId
  readonly scope: ProjectScope
  readonly documentId: DocumentId
  readonly chunkId: ChunkId
  /** Canonical JSON of a {@link Payload}. */
  readonly payload: string
  /** Unit length. */
  readonly dense: Float32Array
  readonly sparse: SparseVector
  /** The position of the event that made it visible. */
  readonly from: number
  /** The position of the event that ended it, or {@link forever}. */
  readonly until: number
}

/** The engine's own copy of how far it is, so that an emptied or restored engine is noticed. */
export interface Marker {
  readonly logId: string
  readonly epoch: number
  /** Every write up to here is acknowledged. */
  readonly checkpoint: number
  /** Points with `until` at or below are (being) swept and may be absent. */
  readonly horizon: number
}

/** Where a generation's points live. */
export interface GenerationRef {
  readonly generation: GenerationId
  readonly logId: string
  readonly epoch: number
  readonly spec: Spec
}

/** The engine is away, or failed in a way that may pass. The log engine answers meanwhile. */
export class EngineUnavailable extends Schema.TaggedError<EngineUnavailable>()("EngineUnavailable", {
  engine: Schema.String,
  detail: Schema.String,
  cause: Schema.optional(Schema.Defect)
}) {
  override get message() {
    return `The ${this.engine} index is not available: ${this.detail}`
  }
}

/** What is there is not this generation: absent, of another log or epoch, behind V, or swept beyond V. */
export class EngineMismatch extends Schema.TaggedError<EngineMismatch>()("EngineMismatch", {
  engine: Schema.String,
  reason: Schema.Literal("absent", "foreign", "behind", "swept", "damaged"),
  detail: Schema.String
}) {
  override get message() {
    return `The ${this.engine} index does not serve this generation (${this.reason}): ${this.detail}`
  }
}
export type EngineError = EngineUnavailable | EngineMismatch

/** A search of one project at one position. */
export interface EngineQuery {
  readonly scope: ProjectScope
  /** The visible position V. */
  readonly at: number
  readonly dense?: Float32Array
  /** Query weights, frequencies already in them. */
  readonly sparse?: SparseVector
  readonly filter: Filter
  /** How many of the best of each side. */
  readonly limit: number
}

/**
 * The union of each side's best `limit`, with the exact scores of both sides (of those sides that were asked for) for
 * all of them; ties within a side are broken by chunk id ascending. A sparse score is the sum of `queryWeight · weight`
 * over shared tokens in ascending token id, in float64; a point that shares none is no sparse candidate (its score in
 * the union is 0). A dense score is the dot product, summed in order in float64.
 */
export interface Candidate {
  readonly pointId: PointId
  readonly chunkId: ChunkId
  readonly documentId: DocumentId
  readonly from: number
  readonly dense?: number
  readonly sparse?: number
}

/** A point as read back from the engine's own bytes. */
export type ScannedPoint = Point

/** Points as they were read back, of which only the digests are kept: what each has lies end to end. */
export interface ReadPoints {
  readonly count: number
  /** Of each: the raw bytes of its id, its chunk's and its document's (16 each), and its leaf as in the ledger (32). */
  readonly bytes: Uint8Array
  /** Of each: from and until. */
  readonly windows: Float64Array
}
export const readPointBytes = 80
export const readLeafAt = 48

/** A part of a project's points that is read back at a time, as somebody else can read it, too. */
export interface ReadBackPart {
  readonly folder: string
  readonly ref: GenerationRef
  readonly at: number
  readonly scope: ProjectScope
  /** The ordinals at which it and the next one begin; the last one has none after it. */
  readonly from: number
  readonly to: number | undefined
}

/** `points` of a part that is sound, in their order. */
export interface ReadPart {
  readonly points: ReadPoints | undefined
}

/** Reads parts in another thread while the caller's reads others. `undefined` where it did not. */
export interface ReadElsewhere {
  readonly part: (part: ReadBackPart) => Effect.Effect<ReadPart | undefined>
}

/** An open generation on an engine. */
export interface EngineGeneration {
  readonly marker: Effect.Effect<Marker | undefined, EngineError>
  /**
   * Deletes points with `from` > position and makes those with `until` > position live again. A marker that is ahead
   * falls to `position` first, so that nobody is answered beyond it before the next mark.
   */
  readonly rewind: (position: number) => Effect.Effect<void, EngineError>
  /** Never overwrites: a point whose id is there already is left as it is. */
  readonly insert: (points: ReadonlyArray<Point>) => Effect.Effect<void, EngineError>
  /** Sets `until` of points; an id that is not there is ignored. */
  readonly end: (
    ended: ReadonlyArray<{ readonly scope: ProjectScope; readonly id: PointId; readonly until: number }>
  ) => Effect.Effect<void, EngineError>
  /**
   * Whether nobody reads beside this, in whatever program: then an engine need not keep one write apart from another, and a crash
   * may take all of them back up to the last mark. Somebody may read until it says otherwise.
   */
  readonly unseen?: (isUnseen: boolean) => Effect.Effect<void, EngineError>
  /** After all writes up to its checkpoint are acknowledged. */
  readonly mark: (marker: Marker) => Effect.Effect<void, EngineError>
  /** Checks the marker (log id, epoch, checkpoint ≥ at, horizon ≤ at) within the request itself. In no order. */
  readonly query: (query: EngineQuery) => Effect.Effect<ReadonlyArray<Candidate>, EngineError>
  /**
   * Every point that is visible at `at`, of one project or of all, ordered by chunk id within a project. Checks the
   * marker as a query does.
   */
  readonly scan: (at: number, scope?: ProjectScope) => Stream.Stream<ScannedPoint, EngineError>
  /** Points by id, as stored, in any order; absent ones are left out. */
  readonly lookup: (
    scope: ProjectScope,
    ids: ReadonlyArray<PointId>
  ) => Effect.Effect<ReadonlyArray<ScannedPoint>, EngineError>
  /** Derives what is derived from the points (postings, codes) anew and names the points for which it differs. */
  readonly checkDerived: (
    at: number
  ) => Effect.Effect<
    ReadonlyArray<{ readonly scope: ProjectScope; readonly id: PointId; readonly what: string }>,
    EngineError
  >
  /**
   * The cheapest way to read everything back, where an engine has one: every point that is visible at `at` of a project,
   * in the order of insertion, in pages, while what is derived from them is compared. `undefined` instead of a page says
   * that something may not be sound, not what: a scan and {@link checkDerived} tell. Two read where there is an `elsewhere`.
   */
  readonly readBack?: (
    at: number,
    scope: ProjectScope,
    elsewhere: ReadElsewhere | undefined
  ) => Stream.Stream<ReadPoints | undefined, EngineError>
  /** Removes these points and everything derived from them: the repair of a damaged or extra point inserts anew. */
  readonly remove: (scope: ProjectScope, ids: ReadonlyArray<PointId>) => Effect.Effect<void, EngineError>
  /** Deletes points with `until` ≤ horizon. */
  readonly sweep: (horizon: number) => Effect.Effect<void, EngineError>
  /** What was removed or swept leaves no byte behind, as far as the engine's own files go. Slow: they are written anew. */
  readonly compact: Effect.Effect<void, EngineError>
  /** It is the live one now: what other programs reach by the log's name is this. A courtesy, and no part of any answer. */
  readonly lead: Effect.Effect<void, EngineError>
  /** Background upkeep (merging small segments), a bounded step at a time; true while there is more to do. */
  readonly maintain: Effect.Effect<boolean, EngineError>
}

export interface EngineService {
  /**
   * Opens for reading and writing, creating what is absent. `EngineMismatch` (foreign, damaged): what is there cannot be
   * mended in place; drop it, open again, fill it from the ledger.
   */
  readonly open: (ref: GenerationRef) => Effect.Effect<EngineGeneration, EngineError, Scope.Scope>
  /** Opens for reading; fails with `EngineMismatch` where it is absent or foreign. */
  readonly openReadOnly: (ref: GenerationRef) => Effect.Effect<EngineGeneration, EngineError, Scope.Scope>
  /** Deletes everything of the generation. Nothing to delete is no error. */
  readonly drop: (ref: GenerationRef) => Effect.Effect<void, EngineError>
  /** Whether files of the generation are here; of an engine elsewhere none are. */
  readonly hasFiles?: (ref: GenerationRef) => boolean
}

export class Engine extends Context.Tag("reprise/index/Engine")<Engine, EngineService>() {}
