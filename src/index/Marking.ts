/** Marking an engine: what its marker says, and what has to be so before. */
import { Effect } from "effect"
import type { GenerationState } from "./GenerationState.ts"
import { type EngineError, EngineMismatch, type GenerationRef, type Marker } from "./Index.ts"
import type { OpenGeneration } from "./Projection.ts"

export const markerOf = ({ epoch, logId }: GenerationRef, state: GenerationState): Marker => ({
  logId,
  epoch,
  checkpoint: state.checkpoint,
  horizon: state.horizon
})

/**
 * An engine must still hold what it was marked for, up to a checkpoint: a marker in one that was emptied or restored meanwhile
 * would vouch for what is gone.
 */
export const checkEngine = Effect.fnUntraced(function* (
  { engine, ref, state }: Pick<OpenGeneration, "engine" | "ref" | "state">,
  upTo: number
): Effect.fn.Return<void, EngineError> {
  const marker = yield* engine.marker
  const isOurs = marker?.logId === ref.logId && marker.epoch === ref.epoch
  if (state.isCurrent && isOurs && marker.checkpoint >= upTo) return
  return yield* new EngineMismatch({
    engine: ref.spec.engine,
    reason: marker === undefined ? "absent" : "behind",
    detail: `generation ${ref.generation} was deleted or restored while it was open`
  })
})
