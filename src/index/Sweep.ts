/**
 * Sweeping a generation: points that ended where nobody can ask any more are forgotten, by the state first, then by the
 * engine's marker, then by the engine (FOLD.md, rule 6). Stopped in between, the next sweep or opening goes on.
 *
 * A query of a generation is made at the position where it was verified, or above: what ended up to there nobody was ever
 * shown, and a generation that is being built is asked by nobody. Of the rest, grace is given. In either case what a dead
 * process sent has landed by then: an insert that comes later than its point's removal would bring it back. To the embedded
 * engine a dead process sends nothing.
 */
import { Clock, Effect } from "effect"
import { Failpoints } from "../faults/Failpoints.ts"
import type { GenerationRow } from "../log/ReadModels.ts"
import type { EngineError } from "./Index.ts"
import { checkEngine } from "./Marking.ts"
import { passedBy } from "./Passed.ts"
import type { OpenGeneration } from "./Projection.ts"

/** Longer than a write over the network may be under way, whoever sent it. */
const latestWriteMs = 600_000

export interface SweepOptions {
  /** Longer than any query or late write of an engine may take. Infinite: only what nobody was ever shown goes. */
  readonly graceMs: number
  /** Counts what would go and deletes nothing. */
  readonly dryRun: boolean
}

export interface Swept {
  /** Up to here nothing that ended is kept, or would be. */
  readonly horizon: number
  readonly points: number
}

export const sweep: (
  row: GenerationRow,
  generation: OpenGeneration,
  options: SweepOptions
) => Effect.Effect<Swept, EngineError> = Effect.fn("Sweep.sweep")(function* (
  row,
  { engine, ref, state },
  { dryRun, graceMs }
) {
  const failpoints = yield* Failpoints
  const now = yield* Clock.currentTimeMillis
  const { checkpoint } = state
  const unasked = row.state === "building" ? checkpoint : (row.verifiedPosition ?? 0)
  const landedMs = row.spec.engine === "embedded" ? 0 : Math.min(graceMs, latestWriteMs)
  const settled = passedBy(state.passed, now - landedMs)
  const reached = Math.max(state.horizon, Math.min(unasked, settled), passedBy(state.passed, now - graceMs))
  const horizon = Math.min(reached, checkpoint)
  const points = state.endedUpTo(horizon)
  if (dryRun) return { horizon, points }
  // Where nothing was applied for long, the time from which grace is given begins here.
  state.notePassed(now)
  // Nothing may go yet, and nothing ever went: an engine elsewhere need not be asked.
  if (horizon === 0) return { horizon, points }
  yield* checkEngine({ engine, ref, state }, checkpoint)
  failpoints.hit("sweep.state.before")
  state.sweep(horizon)
  failpoints.hit("sweep.state.after")
  yield* engine.mark({ logId: ref.logId, epoch: ref.epoch, checkpoint, horizon })
  failpoints.hit("sweep.engine.before")
  yield* engine.sweep(horizon)
  // Only a mark makes an engine's writes durable.
  yield* engine.mark({ logId: ref.logId, epoch: ref.epoch, checkpoint, horizon })
  failpoints.hit("sweep.engine.after")
  return { horizon, points }
})
