/**
 * What a program can do with a data directory: read it at any time, and, as its one writer, change it.
 *
 * The command line is one such program. `layer` functions that open a directory stand in `Reading.ts` and `Embedded.ts`.
 */
import { Context, type Deferred, type Effect, Schema, type Stream } from "effect"
import type { ActorRestarted } from "../../actors/Actor.ts"
import type { CommandError, CoordinatorProgress } from "../../actors/Coordinator.ts"
import type { PromotionError, PromotionProgress } from "../../actors/Indexer/Promotion.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import { EngineKind } from "../../events/Generation.ts"
import { DocumentId, GenerationId, type JobId, ProjectScope, SourceId } from "../../events/Ids.ts"
import { Lane, type Pausable } from "../../events/Job.ts"
import type { Quote } from "../../events/Quote.ts"
import { Failure, type Receipt } from "../../events/Receipt.ts"
import type { EngineError } from "../index/Index.ts"
import type { ProjectionsError } from "../index/Projections.ts"
import { Recomputed, type VerifyLevel, VerifyReport } from "../index/VerifyReport.ts"
import type { EventFilter, LogBehindIndex, LogFailed } from "../log/Log.ts"
import type { JobRow, Page, SourceRow } from "../log/ReadModels.ts"
import type { SearchAnswer, SearchError, SearchRequest } from "../search/Search.ts"
import type { EraseError } from "./Erasing.ts"
import type { Outage } from "./Outage.ts"
import type { CollectError } from "./Storage.ts"
import type { Certificate, Collected, CollectOptions, EraseOptions } from "./StorageReports.ts"

/** A document as listed. Positions are left out: they are the operator's. */
export const DocumentSummary = Schema.Struct({
  documentId: DocumentId,
  uri: Schema.String,
  title: Schema.String,
  source: SourceId,
  /** The version that searches find; 0 where there is none. */
  version: Schema.Int,
  chunks: Schema.Int,
  state: Schema.Literal("live", "preparing", "parked", "removed"),
  /** Why it is parked or removed. */
  reason: Schema.optional(Schema.String)
})
export type DocumentSummary = typeof DocumentSummary.Type

export const DocumentsPage = Schema.Struct({
  documents: Schema.Array(DocumentSummary),
  nextCursor: Schema.optional(Schema.String)
})
export type DocumentsPage = typeof DocumentsPage.Type

/** A document with the stored text of its live version and its chunks. */
export const DocumentDetail = Schema.Struct({
  ...DocumentSummary.fields,
  mediaType: Schema.String,
  metadata: Schema.Record({ key: Schema.String, value: Schema.Unknown }),
  text: Schema.String,
  manifest: Schema.Array(
    Schema.Struct({
      chunkId: Schema.String,
      start: Schema.Int,
      end: Schema.Int,
      headings: Schema.Array(Schema.String)
    })
  )
})
export type DocumentDetail = typeof DocumentDetail.Type

export const StatusActor = Schema.Struct({
  name: Schema.String,
  state: Schema.String,
  restarts: Schema.Int,
  mailbox: Schema.Int,
  processed: Schema.Int,
  failed: Schema.Int,
  lastError: Schema.optional(Schema.String)
})

export const StatusBus = Schema.Struct({
  kind: Schema.String,
  /** Not there where nobody asked: a NATS server is asked by who works over it, not by who only reads. */
  connected: Schema.optionalWith(Schema.Boolean, { exact: true }),
  detail: Schema.optional(Schema.String)
})

export const StatusWorker = Schema.Struct({
  worker: Schema.String,
  lane: Lane,
  version: Schema.optional(Schema.String),
  /** The chunker or model that it has. */
  code: Schema.String,
  seenMsAgo: Schema.Number,
  granted: Schema.Int,
  refused: Schema.Int,
  /** Why it gets no work. */
  unfit: Schema.optional(Schema.String)
})

export const StatusProvider = Schema.Struct({
  provider: Schema.String,
  /** `open`: it failed so often that nobody asks it; `half-open`: one request finds out. */
  circuit: Schema.Literal("closed", "open", "half-open"),
  /** In how many milliseconds it is asked again: it wanted that (429), or its circuit is open. */
  pauseMs: Schema.Number,
  lastError: Schema.optional(Schema.Struct({ message: Schema.String, at: Schema.Number }))
})

export const Status = Schema.Struct({
  /** `serve` where a server runs; what only it knows is there then. */
  runtime: Schema.Literal("reading", "serve"),
  dataDirectory: Schema.String,
  log: Schema.Struct({ headPosition: Schema.Int, events: Schema.Int, bytes: Schema.Number }),
  documents: Schema.Int,
  chunks: Schema.Int,
  parked: Schema.Int,
  /** Removals that wait for approval, by source. */
  held: Schema.Array(Schema.Struct({ source: SourceId, root: Schema.String, count: Schema.Int })),
  sources: Schema.Array(
    Schema.Struct({
      source: SourceId,
      root: Schema.String,
      sync: Schema.Int,
      state: Schema.String,
      failure: Schema.optional(Schema.String)
    })
  ),
  actors: Schema.Array(StatusActor),
  generations: Schema.Array(
    Schema.Struct({
      id: GenerationId,
      engine: Schema.String,
      model: Schema.String,
      state: Schema.Literal("building", "live", "replaced", "retired"),
      checkpoint: Schema.Int,
      lag: Schema.Int,
      documents: Schema.Int,
      chunks: Schema.Int,
      /** Documents that were left out because their stored content is damaged. */
      skipped: Schema.Int,
      /** Why searches are not answered from it, if they are not. */
      problem: Schema.optional(Schema.String)
    })
  ),
  /** Applying to the live generation: whether somebody holds it back. */
  indexing: Schema.Struct({ paused: Schema.Boolean }),
  lanes: Schema.Array(
    Schema.Struct({
      lane: Lane,
      paused: Schema.Boolean,
      queued: Schema.Int,
      processing: Schema.Int,
      completed: Schema.Int,
      failed: Schema.Int,
      cancelled: Schema.Int,
      parked: Schema.Int,
      oldestAgeMs: Schema.NullOr(Schema.Number)
    })
  ),
  bus: StatusBus,
  /** Embedding providers that the server has used since it started. */
  providers: Schema.Array(StatusProvider),
  /** Who asked the server for work since it started. */
  workers: Schema.Array(StatusWorker),
  /** Searches can be answered. */
  ready: Schema.Boolean,
  /** Work is making progress, and nothing waits for a person. */
  healthy: Schema.Boolean,
  problems: Schema.Array(Schema.String)
})
export type Status = typeof Status.Type

/** A source that is named by its id or its root. */
export class SourceUnknown extends Schema.TaggedError<SourceUnknown>()("SourceUnknown", {
  name: Schema.String,
  scope: ProjectScope
}) {
  override get message() {
    return `No source ${this.name} in ${this.scope.team}/${this.scope.project}. Add it with: reprise add ${this.name}`
  }
}

/** A document that is named by its id, its URI, or (files) its path. */
export class DocumentUnknown extends Schema.TaggedError<DocumentUnknown>()("DocumentUnknown", {
  name: Schema.String,
  scope: ProjectScope
}) {
  override get message() {
    return `No document ${this.name} in ${this.scope.team}/${this.scope.project}. List them with: reprise documents`
  }
}

export interface DocumentsQuery {
  readonly scope: ProjectScope
  readonly source?: SourceId
  readonly state?: DocumentSummary["state"]
  readonly cursor?: string
  readonly limit: number
}

export interface VerifyAsk {
  readonly level: VerifyLevel | undefined
  readonly recompute: boolean
}

export const Verified = Schema.Struct({
  /** What was found; after a repair with the fingerprint that it led to. */
  report: VerifyReport,
  /** Nothing differs (any more). */
  clean: Schema.Boolean,
  recomputed: Schema.UndefinedOr(Recomputed)
})
export type Verified = typeof Verified.Type

/** Works beside a writer in this or another process, and with none. */
export interface RepriseReader {
  readonly search: (request: SearchRequest) => Effect.Effect<SearchAnswer, SearchError>
  readonly documents: (query: DocumentsQuery) => Effect.Effect<DocumentsPage, LogFailed>
  readonly get: (
    scope: ProjectScope,
    name: string
  ) => Effect.Effect<DocumentDetail, DocumentUnknown | LogFailed>
  /** Whether a document or a source has this name, be it one that was removed. */
  readonly knows: (scope: ProjectScope, name: string) => Effect.Effect<boolean, LogFailed>
  readonly sources: (scope?: ProjectScope) => Effect.Effect<ReadonlyArray<SourceRow>, LogFailed>
  readonly status: (scope?: ProjectScope) => Effect.Effect<Status, LogFailed>
  readonly verify: (ask: VerifyAsk) => Effect.Effect<Verified, EngineError | ProjectionsError | LogFailed>
  readonly events: (
    after: number,
    filter: EventFilter,
    follow: boolean
  ) => Stream.Stream<StoredEvent, LogFailed>
  readonly jobs: (query: {
    readonly scope?: ProjectScope
    readonly lane?: Lane
    readonly state?: JobRow["state"]
    readonly after?: string
    readonly limit: number
  }) => Effect.Effect<Page<JobRow>, LogFailed>
  readonly job: (id: JobId) => Effect.Effect<JobRow | undefined, LogFailed>
  /** Set while the log is behind a witness: reads go on, and say so. */
  readonly behindWitness: Effect.Effect<LogBehindIndex | undefined, LogFailed>
}

export class Reader extends Context.Tag("reprise/runtime/Reader")<Reader, RepriseReader>() {}

export const Replayed = Schema.Struct({
  generation: Schema.Struct({ from: Schema.NullOr(GenerationId), to: GenerationId }),
  events: Schema.Int,
  documents: Schema.Int,
  chunks: Schema.Int,
  embeddings: Schema.Struct({ computed: Schema.Int, reused: Schema.Int }),
  fingerprint: Schema.Struct({ expected: Schema.String, actual: Schema.String, equal: Schema.Boolean }),
  elapsedMs: Schema.Number
})
export type Replayed = typeof Replayed.Type

export interface AddOptions {
  readonly scope: ProjectScope
  readonly include: ReadonlyArray<string>
  readonly exclude: ReadonlyArray<string>
  readonly full: boolean
  /** When it is done, nothing more is submitted; what is under way is finished, and the receipt says so. */
  readonly stop: Deferred.Deferred<void> | undefined
}

/** The one writer of a data directory. `Gone` is what else can happen where it lives in another process. */
export interface RepriseWriter<Gone = never> {
  readonly add: (
    paths: ReadonlyArray<string>,
    options: AddOptions
  ) => Effect.Effect<Receipt, CommandError | Gone>
  /** Without `sources` (ids or roots) every source of the scope. */
  readonly sync: (
    sources: ReadonlyArray<string>,
    options: Pick<AddOptions, "scope" | "full" | "stop"> & { readonly approveRemovals: boolean }
  ) => Effect.Effect<Receipt, CommandError | SourceUnknown | Gone>
  /** Documents by id, URI or path; sources by id or root. */
  readonly remove: (
    names: ReadonlyArray<string>,
    options: { readonly scope: ProjectScope }
  ) => Effect.Effect<Receipt, CommandError | Gone>
  /** Under the live spec; on another engine where one is named. */
  readonly replay: (
    onProgress: (progress: PromotionProgress) => Effect.Effect<void>,
    engine?: EngineKind
  ) => Effect.Effect<Replayed, PromotionError | Gone>
  /** A generation under the configured spec, beside the live one. */
  readonly build: (options: {
    readonly excluded: ReadonlyArray<DocumentId>
    readonly onProgress: (progress: PromotionProgress) => Effect.Effect<void>
  }) => Effect.Effect<Replayed, PromotionError | Gone>
  readonly repair: (
    ask: VerifyAsk
  ) => Effect.Effect<Verified, EngineError | ProjectionsError | LogFailed | Gone>
  /** Frees what nobody needs any more: ended points, and content that no version needs. */
  readonly collect: (options: CollectOptions) => Effect.Effect<Collected, CollectError | Gone>
  /** Erases documents for good, from every store. */
  readonly erase: (options: EraseOptions) => Effect.Effect<Certificate, EraseError | Gone>
  readonly retry: (scope: ProjectScope, job: JobId) => Effect.Effect<void, CommandError | Gone>
  /**
   * Waits until the job that was retried, and the change of its document that it belongs to, came to an end, and searches see
   * it; not for other work. Ends, too, where nothing is left that works on it.
   */
  readonly ended: (job: JobId) => Effect.Effect<void, LogFailed | ActorRestarted | Gone>
  readonly cancel: (scope: ProjectScope, job: JobId) => Effect.Effect<void, CommandError | Gone>
  readonly pause: (lane: Pausable, paused: boolean) => Effect.Effect<void, CommandError | Gone>
  /** Waits until nothing is open and searches see everything. */
  readonly settled: Effect.Effect<void, Gone>
  /** What is under way, whenever it changes: progress for people. */
  readonly progress: Stream.Stream<CoordinatorProgress>
  /**
   * Answers when somebody who typed a command waits no longer: the provider is away, or refuses whatever it is asked, all that
   * is left waits for a paused lane, stored content cannot be read, or the index is away.
   */
  readonly outage: Effect.Effect<Outage>
}

export class Writer extends Context.Tag("reprise/runtime/Writer")<Writer, RepriseWriter>() {}

/** What `build --dry-run` answers: what is missing under the configured spec, and what making it would cost. */
export const BuildQuote = Schema.Struct({
  engine: EngineKind,
  model: Schema.String,
  chunker: Schema.String,
  /** Live documents that have no contents under that model and chunker. */
  documents: Schema.Int,
  chunks: Schema.Int,
  vectors: Schema.Struct({ compute: Schema.Int, reuse: Schema.Int }),
  /** Of the vectors to compute, estimated. */
  tokens: Schema.Int,
  elapsedMs: Schema.Int,
  failures: Schema.Array(Failure)
})
export type BuildQuote = typeof BuildQuote.Type

/** What a write would do and cost. Takes no lock and changes nothing. */
export interface RepriseQuotes {
  readonly add: (
    paths: ReadonlyArray<string>,
    options: Omit<AddOptions, "stop">
  ) => Effect.Effect<Quote, LogFailed>
  readonly sync: (
    sources: ReadonlyArray<string>,
    options: Pick<AddOptions, "scope" | "full"> & { readonly approveRemovals: boolean }
  ) => Effect.Effect<Quote, LogFailed | SourceUnknown>
  readonly remove: (
    names: ReadonlyArray<string>,
    options: { readonly scope: ProjectScope }
  ) => Effect.Effect<Receipt, LogFailed>
  readonly build: Effect.Effect<BuildQuote, LogFailed>
}

export class Quotes extends Context.Tag("reprise/runtime/Quotes")<Quotes, RepriseQuotes>() {}
