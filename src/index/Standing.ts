/**
 * What the files of generations say without being opened for writing: asked by the main thread, so that the thread of the
 * index is started only where there is something for it to do.
 */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import type { GenerationId } from "../../events/Ids.ts"
import type { LogService } from "../log/Log.ts"
import type { ReadModelsService } from "../log/ReadModels.ts"
import { generationFolder, vouched } from "./EmbeddedIndex.ts"
import { GenerationState } from "./GenerationState.ts"
import type { GenerationRef } from "./Index.ts"
import { identityOf, refOf } from "./Projection.ts"
import { leftOver } from "./Projections.ts"

export interface Standing {
  /** As `ProjectionsService.standing` says. */
  readonly checkpoint: (generation: GenerationId) => Effect.Effect<number | undefined>
  /** Whether `clear` would find something; true also where nobody can tell. */
  readonly isLeftOver: Effect.Effect<boolean>
}

export interface StandingOptions {
  readonly log: Pick<LogService, "head">
  readonly readModels: Pick<ReadModelsService, "generations">
  /** Of the embedded engine. */
  readonly indexDirectory: string
  readonly statePath: (ref: GenerationRef) => string
}

/** Behind by more than this, a generation is advanced in any case: what lags is read by every search and status. */
const mostBehind = 256

export const standing = ({ indexDirectory, log, readModels, statePath }: StandingOptions): Standing => ({
  checkpoint: (generation) =>
    Effect.gen(function* () {
      const head = yield* log.head
      const row = (yield* readModels.generations).find((one) => one.generation === generation)
      // An engine elsewhere is asked by whoever writes to it.
      if (row?.state !== "live" || row.spec.engine !== "embedded") return undefined
      const checkpoint = yield* Effect.sync(() => inStep(refOf(row, head), indexDirectory, statePath))
      return checkpoint !== undefined && head.position - checkpoint <= mostBehind ? checkpoint : undefined
    }).pipe(Effect.orElseSucceed(() => undefined)),
  isLeftOver: Effect.zipWith(
    readModels.generations,
    log.head,
    (rows, head) =>
      leftOver(
        rows,
        head,
        (ref) => existsSync(statePath(ref)) || existsSync(generationFolder(indexDirectory, ref))
      ).length > 0
  ).pipe(Effect.orElseSucceed(() => true))
})

/** Its checkpoint, where state and engine are just as the last apply left them: an opening would change nothing. */
const inStep = (
  ref: GenerationRef,
  indexDirectory: string,
  statePath: (ref: GenerationRef) => string
): number | undefined => {
  try {
    const state = GenerationState.openReadOnly(statePath(ref), identityOf(ref))
    try {
      const { checkpoint, horizon, target } = state
      const marker = vouched(indexDirectory, ref)
      const isInStep =
        checkpoint > 0 &&
        checkpoint >= target &&
        marker?.logId === ref.logId &&
        marker.epoch === ref.epoch &&
        marker.checkpoint === checkpoint &&
        marker.horizon === horizon
      return isInStep ? checkpoint : undefined
    } finally {
      state.close()
    }
  } catch {
    // Whoever opens it for writing says what is wrong, or mends it.
    return undefined
  }
}
