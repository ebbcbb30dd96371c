/**
 * What goes over the wire: events as they are published, commands as others send them, and the answers to those.
 *
 * Numbers here are the project's sequences, never positions in the log, so that nobody sees another project's activity.
 * JSON in UTF-8. A member that is not described is refused; the scope is the subject's.
 */
import { Schema } from "effect"
import { Outcome } from "./Commands.ts"
import { Descriptor, DocumentMetadata, DocumentVersion, Reason } from "./Document.ts"
import {
  CommandId,
  Digest,
  DocumentId,
  Epoch,
  EventId,
  JobId,
  ProjectName,
  Sequence,
  SourceId,
  TeamName
} from "./Ids.ts"
import { Receipt } from "./Receipt.ts"
import { publicCommands } from "./Subjects.ts"

const bounded = (characters: number) =>
  Schema.String.pipe(
    Schema.minLength(1),
    Schema.maxLength(characters),
    Schema.filter((value) => value.isWellFormed() || "It holds half a character (a lone surrogate).")
  )
const described = <A, I, R>(schema: Schema.Schema<A, I, R>, description: string) =>
  schema.annotations({ description })

/** Headers of a published event, besides `Nats-Msg-Id` (the event's id) and the CloudEvents attributes (`ce-…`). */
export const headerNames = { epoch: "Reprise-Epoch", sequence: "Reprise-Sequence" } as const

/** An event as others see it. `sequence` has no gaps within its project: whoever misses one asks for it (`EventsRead`). */
export const PublishedEvent = Schema.Struct({
  id: EventId,
  type: described(Schema.String, "One of the catalogue's names; a newer version may send others."),
  schemaVersion: Schema.Int,
  team: described(Schema.String, "`_` for events that belong to no project."),
  project: Schema.String,
  sequence: Sequence,
  epoch: Epoch,
  stream: described(Schema.String, "The aggregate's stream."),
  version: described(Schema.Int, "Its place in the stream: 1, 2, 3 …"),
  recordedAt: described(Schema.Number, "Milliseconds since 1970, by the writer's clock."),
  correlationId: described(Schema.String, "The command, sync or job at whose root it stands."),
  causationId: Schema.optional(Schema.String),
  actor: Schema.String,
  traceparent: Schema.optional(Schema.String),
  data: described(Schema.Unknown, "The event, as its schema version says."),
  descriptor: Schema.optional(
    Descriptor.annotations({
      identifier: "Descriptor",
      description: "What data.descriptor names: title, URI, metadata of the document."
    })
  ),
  omitted: Schema.optional(
    described(
      Schema.Literal("configured", "too-large", "erased"),
      "Why the descriptor is not here. Unless it was erased, ContentRead answers it."
    )
  )
})
export type PublishedEvent = typeof PublishedEvent.Type

/** What every command has. */
const command = {
  commandId: described(
    CommandId,
    "Chosen by the sender. Sent again, the command gets its first answer; with another body it is a conflict."
  ),
  schemaVersion: Schema.optional(Schema.Literal(1)),
  /** May repeat the subject's scope; another one is refused. */
  team: Schema.optional(TeamName),
  project: Schema.optional(ProjectName)
}

const source = Schema.optional(
  described(bounded(256), 'The name of the source that it belongs to; "default" unless given.')
)
const revision = Schema.optional(
  described(
    bounded(256),
    "Orders a document's versions, compared bytewise: a late one changes nothing. Without it the order of arrival decides. A source has revisions for all of its documents or for none."
  )
)

/** A version of a document. */
export const DocumentSubmitMessage = Schema.Struct({
  ...command,
  externalId: described(bounded(1024), "What the document is known by within its source."),
  text: Schema.optional(Schema.String),
  textDigest: Schema.optional(
    described(
      Digest,
      "In place of text: SHA-256 of its UTF-8, which was stored by ContentPut, for a text larger than a message may be."
    )
  ),
  title: Schema.optional(bounded(1024)),
  mediaType: Schema.optional(bounded(256)),
  uri: Schema.optional(described(bounded(4096), "What hits point to.")),
  source,
  metadata: Schema.optional(described(DocumentMetadata, "Searches may filter by it.")),
  revision
}).pipe(
  Schema.filter(({ text, textDigest }) =>
    (text === undefined) === (textDigest === undefined) ? "Give the text, or its textDigest." : undefined
  )
)
export type DocumentSubmitMessage = typeof DocumentSubmitMessage.Type

/** By `externalId` (within `source`), or by `documentId`. */
export const DocumentRemoveMessage = Schema.Struct({
  ...command,
  externalId: Schema.optional(bounded(1024)),
  documentId: Schema.optional(DocumentId),
  source,
  revision
}).pipe(
  Schema.filter(({ documentId, externalId, revision, source }) =>
    (externalId === undefined) === (documentId === undefined)
      ? "Name the document by externalId or by documentId."
      : documentId !== undefined && (source !== undefined || revision !== undefined)
        ? "source and revision go with externalId."
        : undefined
  )
)
export type DocumentRemoveMessage = typeof DocumentRemoveMessage.Type

const sourceName = described(bounded(4096), "Its id, its root, or the name of a pushed one.")

/** A pass over a source of files, or over all of the project's. Answered when it has ended. */
export const SourceSyncMessage = Schema.Struct({
  ...command,
  source: Schema.optional(sourceName),
  full: Schema.optional(described(Schema.Boolean, "Reads every file again.")),
  approveRemovals: Schema.optional(Schema.Boolean)
})
export type SourceSyncMessage = typeof SourceSyncMessage.Type

/** Removes the source and every document of it. */
export const SourceRemoveMessage = Schema.Struct({ ...command, source: sourceName })
export type SourceRemoveMessage = typeof SourceRemoveMessage.Type

/** Carries out the removals that the source's newest sync held. */
export const RemovalsApproveMessage = Schema.Struct({ ...command, source: sourceName })
export type RemovalsApproveMessage = typeof RemovalsApproveMessage.Type

export const JobRetryMessage = Schema.Struct({ ...command, jobId: JobId })
export type JobRetryMessage = typeof JobRetryMessage.Type

export const JobCancelMessage = Schema.Struct({ ...command, jobId: JobId })
export type JobCancelMessage = typeof JobCancelMessage.Type

/** The body of each command, by its name in the subject. */
export const commandMessages = {
  DocumentSubmit: DocumentSubmitMessage,
  DocumentRemove: DocumentRemoveMessage,
  SourceSync: SourceSyncMessage,
  SourceRemove: SourceRemoveMessage,
  RemovalsApprove: RemovalsApproveMessage,
  JobRetry: JobRetryMessage,
  JobCancel: JobCancelMessage
} as const

/** How long a requester waits: until the command is on disk, until its mutation ended, or until searches see it. */
export const Wait = Schema.Literal("accepted", "final", "visible")
export type Wait = typeof Wait.Type

/** Members that a command sent as a request may have besides its own. */
export const RequestOptions = Schema.Struct({
  wait: Schema.optionalWith(Wait, { default: () => "accepted" as const }),
  waitMs: Schema.optionalWith(Schema.Int.pipe(Schema.between(0, 600_000)), { default: () => 30_000 })
})
export type RequestOptions = typeof RequestOptions.Type

/** Why something was refused. `code` is for programs; `message` says what to do. */
export const WireError = Schema.Struct({
  code: Schema.String,
  message: Schema.String,
  retryAfterMs: Schema.optional(Schema.NonNegativeInt)
})
export type WireError = typeof WireError.Type

const PublicCommandName = Schema.Literal(...publicCommands)

/** The command was carried out, or changes nothing. */
export const Accomplished = Schema.Struct({
  ok: Schema.Literal(true),
  commandId: CommandId,
  command: PublicCommandName,
  outcome: Schema.Literal(...Outcome.literals, "committed", "cancelled"),
  documentId: Schema.optional(DocumentId),
  version: Schema.optional(DocumentVersion),
  mutationId: Schema.optional(
    described(Schema.String, "Of a version whose preparation began: `<documentId>.<version>`.")
  ),
  acceptedPosition: described(Sequence, "The project's sequence at which it is on disk."),
  position: Schema.optional(
    described(Sequence, "The sequence of its final event, once it has ended. A search can wait for it.")
  ),
  reason: Schema.optional(described(Reason, "Why the mutation ended without a commit.")),
  receipt: Schema.optional(Receipt.annotations({ identifier: "Receipt", description: "Of a sync." }))
})
export type Accomplished = typeof Accomplished.Type

/** The command was refused, for good: what is sent next needs an id of its own. */
export const Refused = Schema.Struct({
  ok: Schema.Literal(false),
  commandId: CommandId,
  command: PublicCommandName,
  error: WireError
})
export type Refused = typeof Refused.Type

/** The answer to a command: on its answer subject, and to whoever requested it. All answers to one command are equal. */
export const Answer = Schema.Union(Accomplished, Refused)
export type Answer = typeof Answer.Type

/** A message in the command stream that could not be answered under an id of its own. Says nothing of its content. */
export const RejectedMessage = Schema.Struct({
  subject: Schema.String,
  commandId: Schema.optional(CommandId),
  bytes: Schema.NonNegativeInt,
  digest: described(Digest, "SHA-256 of the body that was rejected."),
  error: WireError
})
export type RejectedMessage = typeof RejectedMessage.Type

/** What a request that is no command is refused with. */
export const RequestRefused = Schema.Struct({ error: WireError })

const asked = { team: command.team, project: command.project }

/** Events of the project from a sequence on. */
export const EventsReadMessage = Schema.Struct({
  ...asked,
  fromSequence: described(Schema.Int.pipe(Schema.positive()), "The first one wanted."),
  limit: Schema.optionalWith(Schema.Int.pipe(Schema.between(1, 1_000)), { default: () => 100 }),
  epoch: Schema.optional(
    described(Epoch, "The newest epoch that the caller knows; where the log has another, it is refused.")
  )
})
export const EventsReadAnswer = Schema.Struct({
  epoch: Epoch,
  headSequence: Sequence,
  events: Schema.Array(PublishedEvent),
  nextSequence: Schema.optional(described(Sequence, "Where to go on; absent at the head."))
})
export type EventsReadAnswer = typeof EventsReadAnswer.Type

/** The stored answer to a command, for a sender that was away. */
export const AnswerReadMessage = Schema.Struct({ ...asked, commandId: CommandId })

/** A body of the project by its digest, in pieces. */
export const ContentReadMessage = Schema.Struct({
  ...asked,
  digest: Digest,
  offset: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0 })
})
export const ContentReadAnswer = Schema.Struct({
  digest: Digest,
  bytes: described(Schema.NonNegativeInt, "Of the whole body."),
  offset: Schema.NonNegativeInt,
  base64: Schema.String,
  nextOffset: Schema.optional(described(Schema.NonNegativeInt, "Where to go on; absent at the end."))
})
export type ContentReadAnswer = typeof ContentReadAnswer.Type

/** A piece of a body that is larger than a message may be, in the order of the body. */
export const ContentPutMessage = Schema.Struct({
  ...asked,
  digest: described(Digest, "SHA-256 of the whole body."),
  bytes: described(Schema.Int.pipe(Schema.positive()), "Of the whole body."),
  offset: Schema.optionalWith(Schema.NonNegativeInt, { default: () => 0 }),
  base64: Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9+/]*={0,2}$/))
})
export type ContentPutMessage = typeof ContentPutMessage.Type
export const ContentPutAnswer = Schema.Struct({
  digest: Digest,
  bytes: Schema.Int,
  nextOffset: Schema.optional(
    described(
      Schema.NonNegativeInt,
      "Where to go on, also after a piece that came twice; absent once the whole body is stored."
    )
  )
})
export type ContentPutAnswer = typeof ContentPutAnswer.Type

/** How a project stands. */
export const ProjectStatus = Schema.Struct({
  team: TeamName,
  project: ProjectName,
  documents: Schema.Int,
  chunks: Schema.Int,
  preparing: described(Schema.Int, "Mutations under way."),
  parked: described(Schema.Int, "Documents that wait for a person."),
  epoch: Epoch,
  headPosition: Sequence,
  indexedPosition: described(Sequence, "What searches see."),
  sources: Schema.Array(
    Schema.Struct({
      source: SourceId,
      kind: Schema.String,
      name: described(Schema.String, "Its root, or the name of a pushed one."),
      sync: Schema.Int,
      state: Schema.String,
      held: described(Schema.Int, "Removals that wait for approval."),
      failure: Schema.optional(Schema.String)
    })
  )
})
export type ProjectStatus = typeof ProjectStatus.Type
