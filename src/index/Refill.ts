/**
 * Fills an emptied engine from the ledger: every point that is expected, made again from the log.
 */
import { Effect, Schema } from "effect"
import type { GenerationState } from "./GenerationState.ts"
import type { EngineGeneration, Point } from "./Index.ts"
import type { LedgerRow } from "./StateSchema.ts"

const refillPage = 2_000

/** Content that the ledger counts on is gone. */
export class NotRefilled extends Schema.TaggedError<NotRefilled>()("NotRefilled", {
  detail: Schema.String
}) {}

export const refill = Effect.fnUntraced(function* (
  state: GenerationState,
  engine: EngineGeneration,
  pointOf: (row: LedgerRow) => Point
) {
  let after = 0
  while (true) {
    const rows = state.rows(after, refillPage)
    const last = rows.at(-1)
    if (last === undefined) return
    const points = yield* Effect.try({
      try: () => rows.map(pointOf),
      catch: (cause) => new NotRefilled({ detail: String(cause) })
    })
    yield* engine.insert(points)
    after = last.row
    yield* Effect.yieldNow()
  }
})
