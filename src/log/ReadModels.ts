/**
 * What the log's inline read models answer: keyed, bounded reads as of the last acknowledged append.
 *
 * The writer folds them in the transaction of the append; all but the operational rows can be rebuilt from the events
 * alone. Readers see them at the head of their own snapshot.
 */
import { Chunk, Context, Effect, Option, Stream } from "effect"
import type { DocumentSubmitted, Reason, RemovalReason } from "../../events/Document.ts"
import type { Spec } from "../../events/Generation.ts"
import type {
  CodeFingerprint,
  CommandId,
  Digest,
  DocumentId,
  GenerationId,
  JobId,
  ProjectScope,
  SourceId
} from "../../events/Ids.ts"
import type { JobState, Lane } from "../../events/Job.ts"
import type { SourceKind, SyncCounts } from "../../events/Source.ts"
import type { RawPath } from "../sources/RawPath.ts"
import type { LogFailed } from "./Log.ts"
import type { VersionContents } from "./LogSnapshot.ts"

/** What a chunker made of a version. */
export interface Chunking {
  readonly chunker: CodeFingerprint
  readonly descriptor: Digest
  readonly textBlob: Digest
  readonly manifestBlob: Digest
  readonly count: number
}

/** A mutation that is neither committed nor rolled back: the newest submitted version of a document. */
export interface OpenMutation {
  readonly version: number
  readonly submittedPosition: number
  readonly commandId: string
  readonly sync: number | undefined
  readonly movedFrom: DocumentId | undefined
  /** Chunkings recorded so far, newest last. */
  readonly chunkings: ReadonlyArray<Chunking>
}

/** A document at the head. */
export interface DocumentRow {
  readonly documentId: DocumentId
  readonly scope: ProjectScope
  readonly sourceId: SourceId
  /** Version of the document's stream: what an append expects. */
  readonly streamVersion: number
  /** The newest submitted version, and what it was submitted with. */
  readonly submittedVersion: number
  readonly submittedPosition: number
  readonly raw: Digest
  readonly rawBytes: number
  readonly descriptor: Digest
  readonly open: OpenMutation | undefined
  /** The version that searches find; absent where none was ever committed or it was removed. */
  readonly live: { readonly version: number; readonly position: number; readonly chunks: number } | undefined
  /** Set while the newest fact is a removal. `requested` excludes the path until it is added again. */
  readonly removed: RemovalReason | undefined
  /** The newest submitted version was rejected and its job waits, parked. */
  readonly parked:
    | { readonly jobId: JobId; readonly version: number; readonly reason: Reason; readonly code: string }
    | undefined
  /** Operational: the last accepted order key. */
  readonly orderKey: string | undefined
}

export interface SourceRow {
  readonly sourceId: SourceId
  readonly scope: ProjectScope
  readonly kind: SourceKind
  readonly settings: Digest
  readonly streamVersion: number
  readonly removed: boolean
  /** The number of the newest sync, 0 before the first. */
  readonly sync: number
  readonly syncState: "none" | "running" | "completed" | "failed"
  readonly lastCounts: SyncCounts | undefined
  readonly lastFailure: Reason | undefined
  /** Removals that wait for approval. */
  readonly held: { readonly sync: number; readonly count: number; readonly documents: Digest } | undefined
}

export interface JobAttempt {
  readonly attempt: number
  readonly worker: string
  readonly startedAt: number
  readonly endedAt: number | undefined
  readonly outcome: "running" | "completed" | "failed" | "paced" | "interrupted"
  readonly error: string | undefined
  readonly solo: boolean
}

export interface RunningAttempt {
  readonly jobId: JobId
  readonly attempt: number
  readonly solo: boolean
  /** How often the process died before while this job ran alone. */
  readonly deaths: number
}

/** `processing` and `failed` follow from the last attempt of a queued job. */
export interface JobRow {
  readonly jobId: JobId
  readonly lane: Lane
  readonly scope: ProjectScope
  readonly documentId: DocumentId
  readonly version: number
  readonly state: JobState
  readonly reason: Reason | undefined
  readonly queuedPosition: number
  readonly queuedAt: number
  readonly attempts: ReadonlyArray<JobAttempt>
}

export interface GenerationRow {
  readonly generation: GenerationId
  readonly spec: Spec
  readonly reason: "initial" | "replay" | "build"
  /** `replaced`: another one was promoted, its files are still to be dropped. */
  readonly state: "building" | "live" | "replaced" | "retired"
  readonly openedPosition: number
  readonly promotedPosition: number | undefined
  /** The promotion of another one that ended this one's fold (FOLD.md rule 4). */
  readonly endedPosition: number | undefined
  readonly verifiedPosition: number | undefined
  readonly fingerprint: Digest | undefined
  readonly excluded: ReadonlyArray<DocumentId>
}

export interface FileState {
  readonly documentId: DocumentId
  readonly path: Uint8Array
  readonly size: number
  readonly mtimeNs: bigint
  readonly inode: bigint
  readonly raw: Digest
  readonly descriptor: Digest
  readonly sync: number
}

/** A file as the last sync saw it, with the state of its document. */
export interface RememberedFile extends Omit<FileState, "path"> {
  readonly path: RawPath
  /** The document is found with just these bytes under this descriptor, and nothing newer was said of it. */
  readonly settled: boolean
  /** Where it is not settled; `undefined` also where there is none. */
  readonly document: DocumentRow | undefined
}

export interface Counts {
  readonly events: number
  readonly documents: number
  readonly chunks: number
  readonly parked: number
  readonly open: number
}

export interface LaneCounts {
  readonly lane: Lane
  readonly paused: boolean
  readonly queued: number
  readonly processing: number
  readonly completed: number
  readonly failed: number
  readonly cancelled: number
  readonly parked: number
  /** `queuedAt` of the oldest unfinished job. */
  readonly oldestQueuedAt: number | undefined
}

export interface Page<A> {
  readonly rows: ReadonlyArray<A>
  /** Pass it on to get the next page; absent on the last. */
  readonly next: string | undefined
}

/** A document that somebody names, of which there need be none yet. */
export interface NamedDocument {
  readonly row?: DocumentRow | undefined
  /** That was last accepted for it, where it has no row. */
  readonly orderKey?: string | undefined
}

/** A project's, or the operator's. */
export type AnyScope = { readonly team: string; readonly project: string }

type Read<A> = Effect.Effect<A, LogFailed>

export interface ReadModelsService {
  readonly document: (id: DocumentId) => Read<DocumentRow | undefined>
  /** Each of these, whether anything is known of it or not: for a few hundred at a time. */
  readonly named: (ids: ReadonlyArray<DocumentId>) => Read<ReadonlyMap<DocumentId, NamedDocument>>
  /** By source, in the order of their first submission; `state` narrows to live, open, parked or removed ones. */
  readonly documents: (query: {
    readonly scope: ProjectScope
    readonly source?: SourceId
    readonly state?: "live" | "open" | "parked" | "removed"
    readonly after?: string
    readonly limit: number
  }) => Read<Page<DocumentRow>>
  /** The submission of a version, by the document's own stream. */
  readonly submission: (documentId: DocumentId, version: number) => Read<DocumentSubmitted | undefined>
  readonly chunking: (
    documentId: DocumentId,
    version: number,
    chunker: CodeFingerprint
  ) => Read<Chunking | undefined>
  readonly contents: (
    documentId: DocumentId,
    version: number,
    chunker: CodeFingerprint,
    model: CodeFingerprint
  ) => Read<VersionContents | undefined>
  /** All unfinished mutations by submitted position, for recovery. */
  readonly openDocuments: (afterPosition: number, limit: number) => Read<ReadonlyArray<DocumentRow>>
  /** Live documents whose live version has no contents under the pair, in order of arrival. */
  readonly unbuilt: (
    pair: { readonly chunker: CodeFingerprint; readonly model: CodeFingerprint },
    after: DocumentId | undefined,
    limit: number
  ) => Read<ReadonlyArray<DocumentRow>>
  readonly source: (id: SourceId) => Read<SourceRow | undefined>
  /** Where the source's removals were held last; 0 where none ever were. */
  readonly removalsHeldAt: (id: SourceId) => Read<number>
  readonly sources: (scope?: ProjectScope) => Read<ReadonlyArray<SourceRow>>
  readonly job: (id: JobId) => Read<JobRow | undefined>
  /** The attempts at a job, also at a build, which has a row only once it was parked. */
  readonly attempts: (id: JobId) => Read<ReadonlyArray<JobAttempt>>
  /** Attempts that were begun and never ended: no more than the lanes' windows hold. For recovery. */
  readonly runningAttempts: Read<ReadonlyArray<RunningAttempt>>
  /** In the order in which they were queued. */
  readonly jobs: (query: {
    readonly scope?: ProjectScope
    readonly lane?: Lane
    readonly state?: JobState
    readonly after?: string
    readonly limit: number
  }) => Read<Page<JobRow>>
  readonly lanes: Read<ReadonlyArray<LaneCounts>>
  /** Whether somebody holds back applying to the live generation. */
  readonly indexPaused: Read<boolean>
  readonly generations: Read<ReadonlyArray<GenerationRow>>
  readonly live: Read<GenerationRow | undefined>
  /** The kept outcome of a command, as JSON, with its body's digest. */
  readonly outcome: (
    scope: ProjectScope,
    command: CommandId
  ) => Read<{ readonly bodyDigest: Digest; readonly answer: string } | undefined>
  /** Whether a cause (a command's id, a job's) left events in any epoch, and where the last of them stands. */
  readonly causedEvents: (
    scope: ProjectScope,
    cause: string
  ) => Read<{ readonly lastPosition: number; readonly lastSequence: number } | undefined>
  /** The first event after a position that changes what search sees, or that this program does not know. */
  readonly nextVisible: (after: number) => Read<number | undefined>
  readonly orderKey: (id: DocumentId) => Read<string | undefined>
  /** What the last sync saw of a source's files, by path (raw bytes), together with the state of their documents. */
  readonly fileStates: (
    source: SourceId,
    afterPath: Uint8Array | undefined,
    limit: number
  ) => Read<ReadonlyArray<RememberedFile>>
  readonly counts: (scope?: ProjectScope) => Read<Counts>
  /** The version of any stream, 0 before its first event: what an append expects. */
  readonly streamVersion: (stream: string) => Read<number>
  /** The number that the last opening for writing took: it rises with each. */
  readonly writer: Read<number>
  /** The project's sequence at a log position: what leaves the project's scope. The operator's scope has one, too. */
  readonly sequenceAt: (scope: AnyScope, position: number) => Read<number>
  /** The log position of a project's sequence; the head's position for one that is not there yet. */
  readonly positionOf: (scope: AnyScope, sequence: number) => Read<number>
}

export class ReadModels extends Context.Tag("reprise/log/ReadModels")<ReadModels, ReadModelsService>() {}

/** All documents of a project or a source, by their id, a page at a time. */
export const everyDocument = (
  { documents }: ReadModelsService,
  query: { readonly scope: ProjectScope; readonly source?: SourceId }
): Stream.Stream<DocumentRow, LogFailed> =>
  Stream.paginateChunkEffect(undefined, (after: string | undefined) =>
    Effect.map(
      documents({ ...query, ...(after !== undefined && { after }), limit: 1000 }),
      ({ next, rows }) => [
        Chunk.unsafeFromArray(rows),
        next === undefined ? Option.none() : Option.some(next)
      ]
    )
  )
