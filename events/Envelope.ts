/**
 * What every event carries besides its data: where it stands, whose it is, and what led to it.
 */
import { Schema } from "effect"
import { Digest, Epoch, EventId, Position, ProjectName, Sequence, TeamName } from "./Ids.ts"

/** Who wrote an event and what led to it. Part of the hashed row. */
export const Metadata = Schema.Struct({
  /** The command (or sync, or operation) at whose root the event stands. */
  correlationId: Schema.String,
  /** The event or job result that directly led to it. */
  causationId: Schema.optional(Schema.String),
  /** The actor that decided it. */
  actor: Schema.String,
  epoch: Epoch,
  /** Which opening for writing appended it. With `epoch` it never falls along positions. */
  writer: Schema.Int,
  /** The position of the last event of the same append: projections stop only at such an end. */
  appendEnd: Position,
  traceparent: Schema.optional(Schema.String)
})
export type Metadata = typeof Metadata.Type

/** The scope of events that belong to no project (generations). No team's name can begin with an underscore. */
export const operatorScope = { team: "_", project: "_" } as const

/** A row of the log. `data` is the encoded event of `type` at `schemaVersion`. */
export interface StoredEvent<Data = unknown> {
  readonly position: Position
  readonly id: EventId
  readonly stream: string
  /** 1, 2, 3 … within the stream. */
  readonly version: number
  readonly type: string
  readonly schemaVersion: number
  readonly team: string
  readonly project: string
  readonly sequence: Sequence
  readonly data: Data
  readonly metadata: Metadata
  /** Milliseconds since 1970, by the writer's clock. Never an input of a fold. */
  readonly recordedAt: number
  /** SHA-256 over the previous event's hash and this row's columns. */
  readonly hash: Digest
}

/** An envelope as it leaves the log for people and programs, before its data is decoded by the catalogue. */
export const StoredEventJson = Schema.Struct({
  position: Position,
  id: EventId,
  stream: Schema.String,
  version: Schema.Int,
  type: Schema.String,
  schemaVersion: Schema.Int,
  team: Schema.Union(TeamName, Schema.Literal("_")),
  project: Schema.Union(ProjectName, Schema.Literal("_")),
  sequence: Sequence,
  data: Schema.Unknown,
  metadata: Metadata,
  recordedAt: Schema.Number,
  hash: Digest
})
