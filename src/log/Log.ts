/**
 * The event log: what is acknowledged is on disk. The source of truth for everything else.
 *
 * One process writes at a time ({@link Log}); any number read without a lock ({@link LogReader}). Content (bodies,
 * vectors) is synced before the event that names it.
 */
import { Context, type Effect, Schema, type Stream } from "effect"
import type { Event, EventType } from "../../events/Catalogue.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import {
  type CodeFingerprint,
  type CommandId,
  Digest,
  type DocumentId,
  type JobId,
  Position
} from "../../events/Ids.ts"
import type { Lane, Pausable } from "../../events/Job.ts"
import type { CollectedContent, CollectionRules } from "./ContentCollection.ts"
import type { Purged } from "./Purge.ts"

/** Somebody appended first. Read the stream again, decide again. */
export class VersionConflict extends Schema.TaggedError<VersionConflict>()("VersionConflict", {
  stream: Schema.String,
  expected: Schema.NonNegativeInt,
  actual: Schema.NonNegativeInt
}) {
  override get message() {
    return `${this.stream} is at version ${this.actual}, not ${this.expected}. Read it again and decide again.`
  }
}

/** The log moved on since the caller looked. Catch up and try again. */
export class HeadMoved extends Schema.TaggedError<HeadMoved>()("HeadMoved", {
  expected: Position,
  actual: Position
}) {
  override get message() {
    return `The log's head is at ${this.actual}, not at ${this.expected}.`
  }
}

/** An event would name content that is not stored (any more). Run the job again that makes it. */
export class ContentMissing extends Schema.TaggedError<ContentMissing>()("ContentMissing", {
  missing: Schema.Array(Digest)
}) {
  override get message() {
    return `${this.missing.length} bodies or vectors that the event names are not stored: ${this.missing.slice(0, 3).join(", ")}.`
  }
}

/** The same command id came with another body. The sender must choose a new id. */
export class CommandConflict extends Schema.TaggedError<CommandConflict>()("CommandConflict", {
  commandId: Schema.String
}) {
  override get message() {
    return `The command ${this.commandId} was accepted before with another body. Send this one under an id of its own.`
  }
}

/** The file may not keep what it is given (disk full, I/O error). Nothing of the group counts as done; try again later. */
export class LogFailed extends Schema.TaggedError<LogFailed>()("LogFailed", {
  operation: Schema.String,
  cause: Schema.Defect
}) {
  override get message() {
    return `The log could not ${this.operation}: ${String(this.cause)}. Nothing of it counts as done. Check the disk, then try again.`
  }
}

/** Another process holds the data directory for writing. */
export class LogLocked extends Schema.TaggedError<LogLocked>()("LogLocked", {
  directory: Schema.String,
  holder: Schema.String
}) {
  override get message() {
    return `${this.directory} is being written by ${this.holder}. Wait for it to end, or send the command to it.`
  }
}

/** The log lost its tail, or an older copy was restored: a witness outside the file has seen a later head. */
export class LogBehindIndex extends Schema.TaggedError<LogBehindIndex>()("LogBehindIndex", {
  witness: Schema.String,
  log: Schema.Struct({ position: Position, hash: Schema.String, epoch: Schema.Int }),
  seen: Schema.Struct({ position: Position, hash: Schema.String, epoch: Schema.Int })
}) {
  override get message() {
    return `The log ends at position ${this.log.position} (${this.log.hash.slice(0, 12)}), but the ${this.witness} has seen ${this.seen.position} (${this.seen.hash.slice(0, 12)}). Events were lost or an older copy was restored. Restore the newer log, or accept the loss with: reprise recover --accept-rollback`
  }
}

/** An event before it is appended. */
export interface NewEvent {
  readonly stream: string
  readonly event: Event
}

/** The end of the log as witnessed: which log, which epoch, how far, and the hash there. */
export interface Head {
  readonly logId: string
  readonly epoch: number
  readonly position: Position
  readonly hash: Digest
}

/** A body of content as written: addressed by SHA-256 of `bytes`, per project. */
export interface BlobPut {
  readonly team: string
  readonly project: string
  readonly digest: Digest
  readonly bytes: Uint8Array
}

/** A unit-length vector as written, by (project, model, input hash). An existing one is never overwritten. */
export interface VectorPut {
  readonly team: string
  readonly project: string
  readonly model: CodeFingerprint
  readonly inputHash: Digest
  /** float32; −0 is written as +0. */
  readonly vector: Float32Array
}

/** One atomic append: all of its events or none. */
export interface Append {
  /** A project's, or `operatorScope`. */
  readonly team: string
  readonly project: string
  /** The command or job result that leaves these events: their ids derive from it, so a retry appends nothing. */
  readonly cause: string
  readonly actor: string
  readonly correlationId: string
  readonly causationId?: string
  readonly events: ReadonlyArray<NewEvent>
  /** Streams at the versions on which the decision rests. */
  readonly expected?: ReadonlyArray<{ readonly stream: string; readonly version: number }>
  /** The append is only made if the log (earlier members of its group included) ends here. */
  readonly expectedHead?: Position
  /** Content that must exist, what the same write puts included. */
  readonly requires?: {
    readonly blobs?: ReadonlyArray<Digest>
    readonly vectors?: { readonly model: CodeFingerprint; readonly inputs: ReadonlyArray<Digest> }
  }
  /** Written in the same transaction as the events. `outcome` of a command, order keys, attempts … */
  readonly operational?: ReadonlyArray<OperationalChange>
}

/** State beside the log that no fold rebuilds. */
export type OperationalChange =
  | {
      readonly kind: "commandOutcome"
      readonly team: string
      readonly project: string
      readonly commandId: CommandId
      readonly bodyDigest: Digest
      /** The answer, as JSON. */
      readonly answer: string
      readonly answeredAt: number
    }
  | { readonly kind: "orderKey"; readonly documentId: DocumentId; readonly orderKey: string }
  | {
      readonly kind: "attemptStarted"
      readonly jobId: JobId
      readonly lane: Lane
      readonly attempt: number
      readonly worker: string
      readonly startedAt: number
      /** Whether it was the only one in flight: only such a crash counts against its document. */
      readonly solo: boolean
    }
  | {
      readonly kind: "attemptEnded"
      readonly jobId: JobId
      readonly attempt: number
      readonly endedAt: number
      readonly outcome: "completed" | "failed" | "paced" | "interrupted"
      /** Who did it; unless given, what stood there when it began stays. */
      readonly worker?: string
      readonly error?: string
    }
  | {
      readonly kind: "fileState"
      readonly documentId: DocumentId
      readonly sourceId: string
      /** Raw bytes of the path below the root. */
      readonly path: Uint8Array
      readonly size: number
      readonly mtimeNs: bigint
      readonly inode: bigint
      readonly raw: Digest
      readonly sync: number
      /** The descriptor that was submitted with it. */
      readonly descriptor: Digest
    }
  | { readonly kind: "fileForgotten"; readonly documentId: DocumentId }
  | { readonly kind: "lanePaused"; readonly lane: Pausable; readonly paused: boolean }

/** Where an append's events stand. `repeated`: they were there already, from an earlier try of the same cause. */
export interface Appended {
  readonly firstPosition: Position
  readonly lastPosition: Position
  /** The last event's place within its project. */
  readonly lastSequence: number
  readonly repeated: boolean
}

export type AppendRefused = VersionConflict | HeadMoved | ContentMissing

/** What one write carries: content first, then the appends in order, each atomic for itself. */
export interface WriteBatch {
  readonly blobs?: ReadonlyArray<BlobPut>
  readonly vectors?: ReadonlyArray<VectorPut>
  readonly appends?: ReadonlyArray<Append>
  /** Operational changes that belong to no append. */
  readonly operational?: ReadonlyArray<OperationalChange>
}

export interface LogService {
  /**
   * Writes content, syncs it, then appends; answers when all is on disk, an answer for each append in order. Whatever
   * was asked while the last sync ran goes into the next one as a group. Where it fails, the first of very many appends may
   * be kept all the same, as after an answer that was lost: tried again, they are found by their cause.
   */
  readonly write: (
    batch: WriteBatch
  ) => Effect.Effect<
    ReadonlyArray<
      | { readonly _tag: "Appended"; readonly appended: Appended }
      | { readonly _tag: "Refused"; readonly refusal: AppendRefused }
    >,
    LogFailed
  >
  /** `write` of a single append. An append without events answers the head. */
  readonly append: (append: Append) => Effect.Effect<Appended, AppendRefused | LogFailed>
  /**
   * Deletes content that no version of a document needs, a step at a time between the writes. One run at a time. An
   * append that names what is gone is refused as `ContentMissing`.
   */
  readonly collect: (rules: CollectionRules) => Effect.Effect<CollectedContent, LogFailed>
  /** After a collection that erased documents: no byte of what was deleted is left in any file. Slow. */
  readonly purge: (documents: ReadonlyArray<DocumentId>) => Effect.Effect<Purged, LogFailed>
  /** The head as of the last acknowledged append; changes are streamed to followers. */
  readonly head: Effect.Effect<Head>
  /** The newest head each time it moves; a slow follower skips some. Starts with the present one. */
  readonly heads: Stream.Stream<Head>
}

/** The writing side. Opening it takes the lock, checks the witnesses and raises the writer's number. */
export class Log extends Context.Tag("reprise/log/Log")<Log, LogService>() {}

export interface EventFilter {
  readonly team?: string
  readonly project?: string
  readonly types?: ReadonlyArray<EventType>
}

export interface LogReaderService {
  readonly head: Effect.Effect<Head, LogFailed>
  /** Events after `after` (exclusive) up to the head as of the start, in constant memory, paged by position. */
  readonly read: (after: number, filter?: EventFilter) => Stream.Stream<StoredEvent, LogFailed>
  /** Catches up from `after`, then follows for ever. */
  readonly subscribe: (after: number, filter?: EventFilter) => Stream.Stream<StoredEvent, LogFailed>
  /** Set when a witness has seen a later head than the log has: answers go on, and say so. */
  readonly behindWitness: Effect.Effect<LogBehindIndex | undefined, LogFailed>
}

/** The reading side: takes no lock, works beside a writer in this or another process. */
export class LogReader extends Context.Tag("reprise/log/LogReader")<LogReader, LogReaderService>() {}
