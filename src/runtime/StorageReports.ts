/**
 * What `gc` and `erase` are asked and answer. Apart from what they do, so that the command line need not load that.
 */
import { Schema } from "effect"
import { DocumentId, GenerationId, ProjectScope, SourceId } from "../../events/Ids.ts"

/** What `gc` freed, or would free. */
export const Collected = Schema.Struct({
  dryRun: Schema.Boolean,
  /** Documents that were looked at, removed ones too. */
  documents: Schema.Int,
  /** Ended points by generation. */
  generations: Schema.Array(Schema.Struct({ generation: GenerationId, points: Schema.Int })),
  points: Schema.Int,
  bodies: Schema.Int,
  vectors: Schema.Int,
  /** Of those bodies and vectors, as stored. */
  bytes: Schema.Number,
  elapsedMs: Schema.Number
})
export type Collected = typeof Collected.Type

export interface CollectOptions {
  readonly dryRun: boolean
}

/** What was erased, and from where. */
export const Certificate = Schema.Struct({
  scope: ProjectScope,
  dryRun: Schema.Boolean,
  documents: Schema.Array(DocumentId),
  sources: Schema.Array(SourceId),
  /** Of the last event that says so. */
  position: Schema.Int,
  /** Every store that was searched, and what went from it. */
  stores: Schema.Array(Schema.Struct({ store: Schema.String, what: Schema.String, removed: Schema.Number })),
  /** What could not go, and why. */
  remains: Schema.Array(Schema.String),
  elapsedMs: Schema.Number
})
export type Certificate = typeof Certificate.Type

export interface EraseOptions {
  readonly scope: ProjectScope
  /** Documents by id, URI or path, sources by id or root; none for everything of the project. */
  readonly names: ReadonlyArray<string> | "everything"
  readonly dryRun: boolean
}
