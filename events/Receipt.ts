/**
 * The summary with which `add`, `sync` and `remove` end. Its numbers add up: `requested` is the sum of the nine after it.
 */
import { Schema } from "effect"
import { SyncCounts } from "./Source.ts"

/** One thing that went wrong, for people. `reason` holds no content. */
export const Failure = Schema.Struct({ uri: Schema.String, reason: Schema.String })
export type Failure = typeof Failure.Type

export const Receipt = Schema.Struct({
  requested: Schema.NonNegativeInt,
  ...SyncCounts.fields,
  /** The project's sequence after which all of it is visible. */
  position: Schema.NonNegativeInt,
  embeddings: Schema.Struct({ computed: Schema.NonNegativeInt, reused: Schema.NonNegativeInt }),
  elapsedMs: Schema.NonNegativeInt,
  /** Of what failed and of what was parked: at most {@link maxFailures} of them. */
  failures: Schema.Array(Failure),
  /** Stopped before its end: run it again, and it does only what is left. */
  interrupted: Schema.optional(Schema.Boolean),
  /** Paths that named nothing that could be added; each counts as failed too. */
  rejected: Schema.optional(Schema.NonNegativeInt),
  /** Another sync of the same source was running: this one did nothing there. */
  skippedSources: Schema.optional(Schema.Array(Schema.String))
})
export type Receipt = typeof Receipt.Type

/** Failures that a receipt lists; the numbers count all. */
export const maxFailures = 100

export const noCounts: SyncCounts = {
  added: 0,
  updated: 0,
  moved: 0,
  unchanged: 0,
  removed: 0,
  skipped: 0,
  held: 0,
  parked: 0,
  failed: 0
}

export const emptyReceipt: Receipt = {
  requested: 0,
  ...noCounts,
  position: 0,
  embeddings: { computed: 0, reused: 0 },
  elapsedMs: 0,
  failures: []
}

const countNames = [
  "added",
  "updated",
  "moved",
  "unchanged",
  "removed",
  "skipped",
  "held",
  "parked",
  "failed"
] as const

export const requestedOf = (counts: SyncCounts): number =>
  countNames.reduce((sum, name) => sum + counts[name], 0)

/** Several operations as one: numbers add up, the position is the last. */
export const mergeReceipts = (receipts: ReadonlyArray<Receipt>): Receipt => {
  const counts = { ...noCounts }
  for (const receipt of receipts) for (const name of countNames) counts[name] += receipt[name]
  const sum = (of: (receipt: Receipt) => number) => receipts.reduce((total, one) => total + of(one), 0)
  const rejected = sum((one) => one.rejected ?? 0)
  const skippedSources = receipts.flatMap((one) => one.skippedSources ?? [])
  return {
    requested: requestedOf(counts),
    ...counts,
    position: receipts.reduce((last, { position }) => Math.max(last, position), 0),
    embeddings: {
      computed: sum(({ embeddings }) => embeddings.computed),
      reused: sum(({ embeddings }) => embeddings.reused)
    },
    elapsedMs: sum(({ elapsedMs }) => elapsedMs),
    failures: receipts.flatMap(({ failures }) => failures).slice(0, maxFailures),
    ...(receipts.some(({ interrupted }) => interrupted === true) ? { interrupted: true } : {}),
    ...(rejected > 0 ? { rejected } : {}),
    ...(skippedSources.length > 0 ? { skippedSources } : {})
  }
}
