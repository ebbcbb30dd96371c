/** Preparing in the caller's thread: for tests and the simulation. */
import { Effect, Layer } from "effect"
import { prepareOperation } from "../../src/documents/PrepareOperation.ts"
import { Preparer, type PreparerOptions, preparing } from "./Preparer.ts"

export const layer = (options: PreparerOptions): Layer.Layer<Preparer> =>
  Layer.succeed(
    Preparer,
    preparing(options, (requests) => Effect.sync(() => requests.map(prepareOperation)))
  )
