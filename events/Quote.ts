/** What `add --dry-run` and `sync --dry-run` answer: the receipt that would come, and what it would cost. */
import { Schema } from "effect"
import { Failure } from "./Receipt.ts"
import { SyncCounts } from "./Source.ts"

/** What a dry run would have done to one document. */
export const Planned = Schema.Struct({
  act: Schema.Literal("add", "update", "move", "remove", "hold"),
  uri: Schema.String,
  /** Where a moved one stands now. */
  from: Schema.optional(Schema.String)
})
export type Planned = typeof Planned.Type

export const Quote = Schema.Struct({
  requested: Schema.NonNegativeInt,
  ...SyncCounts.fields,
  /** At most {@link maxPlanned}; the numbers count all. */
  documents: Schema.Array(Planned),
  /** Of the documents to be submitted. */
  chunks: Schema.NonNegativeInt,
  /** Those that the project does not have. */
  vectors: Schema.Struct({ compute: Schema.NonNegativeInt, reuse: Schema.NonNegativeInt }),
  /** Of the vectors to compute, estimated. */
  tokens: Schema.NonNegativeInt,
  elapsedMs: Schema.NonNegativeInt,
  failures: Schema.Array(Failure),
  rejected: Schema.optional(Schema.NonNegativeInt)
})
export type Quote = typeof Quote.Type

/** Documents that a quote lists. */
export const maxPlanned = 1_000
