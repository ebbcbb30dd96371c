/**
 * What may be asked of the Coordinator. Each command has an id of its own: sent again, it gets its first answer.
 */
import { Schema } from "effect"
import { Descriptor, DocumentVersion, Reason, RemovalReason } from "./Document.ts"
import { Spec } from "./Generation.ts"
import { CommandId, Digest, DocumentId, GenerationId, JobId, ProjectScope, SourceId } from "./Ids.ts"
import { Pausable } from "./Job.ts"
import { SourceSettings, SyncCounts } from "./Source.ts"

const command = { commandId: CommandId, scope: ProjectScope }

/** The order key says when the command arrived, not what its sender said: sent again it has another one. */
const arrivalOrder = Schema.optional(Schema.Boolean)

/** What the sync remembers of a file, written together with the events that it led to. */
export const FileSeen = Schema.Struct({
  path: Schema.Uint8ArrayFromSelf,
  size: Schema.NonNegativeInt,
  mtimeNs: Schema.BigIntFromSelf,
  inode: Schema.BigIntFromSelf
})
export type FileSeen = typeof FileSeen.Type

/** A version of a document, with its bytes. They are stored before the event that names them. */
export class DocumentSubmit extends Schema.TaggedClass<DocumentSubmit>()("DocumentSubmit", {
  ...command,
  documentId: DocumentId,
  sourceId: SourceId,
  raw: Schema.Uint8ArrayFromSelf,
  descriptor: Descriptor,
  orderKey: Schema.String,
  arrivalOrder,
  sync: Schema.optional(Schema.Int),
  movedFrom: Schema.optional(DocumentId),
  file: Schema.optional(FileSeen),
  /** Adds a path again that was removed on request, also within a sync, and looks again at what was skipped. */
  readmit: Schema.optional(Schema.Boolean)
}) {}

export class DocumentRemove extends Schema.TaggedClass<DocumentRemove>()("DocumentRemove", {
  ...command,
  documentId: DocumentId,
  reason: RemovalReason,
  orderKey: Schema.String,
  arrivalOrder,
  sync: Schema.optional(Schema.Int),
  /** Says in the log as well that everything of it is erased. Whoever sends it does away with the content then. */
  erase: Schema.optional(Schema.Literal(true))
}) {}

export class SourceAdd extends Schema.TaggedClass<SourceAdd>()("SourceAdd", {
  ...command,
  sourceId: SourceId,
  settings: SourceSettings
}) {}

/** Removes the source and every document of it. */
export class SourceRemove extends Schema.TaggedClass<SourceRemove>()("SourceRemove", {
  ...command,
  sourceId: SourceId
}) {}

/** Opens the source's next sync. One runs at a time: a sync that a crash left open is closed as failed first. */
export class SyncStart extends Schema.TaggedClass<SyncStart>()("SyncStart", {
  ...command,
  sourceId: SourceId
}) {}

export class SyncComplete extends Schema.TaggedClass<SyncComplete>()("SyncComplete", {
  ...command,
  sourceId: SourceId,
  sync: Schema.Int,
  complete: Schema.Boolean,
  counts: SyncCounts,
  /** Documents whose removal waits for approval. */
  held: Schema.Array(DocumentId)
}) {}

export class SyncFail extends Schema.TaggedClass<SyncFail>()("SyncFail", {
  ...command,
  sourceId: SourceId,
  sync: Schema.Int,
  reason: Reason
}) {}

/** Carries out the removals that the source's newest sync held. */
export class RemovalsApprove extends Schema.TaggedClass<RemovalsApprove>()("RemovalsApprove", {
  ...command,
  sourceId: SourceId
}) {}

export class JobRetry extends Schema.TaggedClass<JobRetry>()("JobRetry", { ...command, jobId: JobId }) {}

export class JobCancel extends Schema.TaggedClass<JobCancel>()("JobCancel", { ...command, jobId: JobId }) {}

/** An operator's: stops handing out a lane's jobs, or applying to the live generation, or goes on. */
export class LanePause extends Schema.TaggedClass<LanePause>()("LanePause", {
  lane: Pausable,
  paused: Schema.Boolean
}) {}

/** An operator's: opens a generation; under another (chunker, model) it also creates the builds that are missing. */
export class GenerationOpen extends Schema.TaggedClass<GenerationOpen>()("GenerationOpen", {
  spec: Spec,
  reason: Schema.Literal("initial", "replay", "build")
}) {}

/** An operator's: verified at the head with nothing missing, it takes over; the former live one is retired. */
export class GenerationPromote extends Schema.TaggedClass<GenerationPromote>()("GenerationPromote", {
  generation: GenerationId,
  position: Schema.Int,
  fingerprint: Digest,
  documents: Schema.NonNegativeInt,
  chunks: Schema.NonNegativeInt,
  excluded: Schema.Array(DocumentId)
}) {}

/** An operator's: gives up a generation that never took over. */
export class GenerationRetire extends Schema.TaggedClass<GenerationRetire>()("GenerationRetire", {
  generation: GenerationId
}) {}

export const Command = Schema.Union(
  DocumentSubmit,
  DocumentRemove,
  SourceAdd,
  SourceRemove,
  SyncStart,
  SyncComplete,
  SyncFail,
  RemovalsApprove,
  JobRetry,
  JobCancel
)
export type Command = typeof Command.Type

export const OperatorCommand = Schema.Union(LanePause, GenerationOpen, GenerationPromote, GenerationRetire)
export type OperatorCommand = typeof OperatorCommand.Type

/** What a document command led to so far. `accepted` opened a mutation: its end is still to come. */
export const Outcome = Schema.Literal(
  "accepted",
  "unchanged",
  /** Arrived late: a newer one of its sender was accepted before. Changes nothing. */
  "superseded",
  "removed",
  /** The same content was skipped (empty, binary) before, and still is. */
  "skipped",
  /** The same content is parked and is not tried again unasked. */
  "parked",
  "done"
)
export type Outcome = typeof Outcome.Type

/** The answer to a command, kept so that a redelivery gets the same. Positions here are the project's sequences. */
export const CommandAnswer = Schema.Struct({
  outcome: Outcome,
  documentId: Schema.optional(DocumentId),
  version: Schema.optional(DocumentVersion),
  sync: Schema.optional(Schema.Int),
  /** Position of the last event it left, or the head where it left none. Operator's view. */
  position: Schema.Int,
  sequence: Schema.Int
})
export type CommandAnswer = typeof CommandAnswer.Type

/** How a mutation ended. */
export const MutationEnd = Schema.Struct({
  outcome: Schema.Literal("committed", "skipped", "parked", "superseded", "removed", "cancelled"),
  position: Schema.Int,
  reason: Schema.optional(Reason),
  /** Vectors that were computed for it, and those that the project had already. */
  embeddings: Schema.Struct({ computed: Schema.NonNegativeInt, reused: Schema.NonNegativeInt })
})
export type MutationEnd = typeof MutationEnd.Type
