/** What a verification answers: how much was read back, what differs, and whether the fold itself agrees. */
import { Schema } from "effect"
import { Digest } from "../../events/Ids.ts"

/** `ids`: points and windows; `sample`: sixteen of the 256 buckets in full; `full`: every byte, and what is derived. */
export const VerifyLevel = Schema.Literal("ids", "sample", "full")
export type VerifyLevel = typeof VerifyLevel.Type

export const Difference = Schema.Struct({
  what: Schema.Literal("missing", "extra", "different"),
  scope: Schema.String,
  chunkId: Schema.String,
  pointId: Schema.String,
  detail: Schema.String
})
export type Difference = typeof Difference.Type

export const Comparison = Schema.Struct({ expected: Digest, actual: Digest, equal: Schema.Boolean })

export const VerifyReport = Schema.Struct({
  generation: Schema.String,
  position: Schema.Int,
  level: VerifyLevel,
  fingerprint: Comparison,
  documents: Schema.Int,
  chunks: Schema.Int,
  missing: Schema.Int,
  extra: Schema.Int,
  different: Schema.Int,
  repaired: Schema.Int,
  /** Documents that the fold has no contents for: they need `reprise build`, not a repair. */
  unbuilt: Schema.Int,
  /** Documents that were left out because their content cannot be taken: it has to be restored. */
  skipped: Schema.Int,
  examples: Schema.Array(Difference)
})
export type VerifyReport = typeof VerifyReport.Type

/** No difference of any kind, and nothing left unbuilt or left out. */
export const isClean = (report: VerifyReport): boolean =>
  report.fingerprint.equal &&
  report.missing + report.extra + report.different + report.unbuilt + report.skipped === 0

/** How a generation's state compares with the log folded anew. */
export const Recomputed = Schema.Struct({
  position: Schema.Int,
  fingerprint: Schema.Struct({ expected: Schema.String, actual: Schema.String, equal: Schema.Boolean }),
  /** Tokens whose document frequency differs, words of the vocabulary that differ, ledger rows that differ. */
  frequencies: Schema.Int,
  words: Schema.Int,
  windows: Schema.Int,
  equal: Schema.Boolean
})
export type Recomputed = typeof Recomputed.Type
