/** The model that the configuration names, for whoever embeds: writers all the time, readers for a query's vector. */
import { Context, Effect, Layer } from "effect"
import { Providers } from "../embedding/Providers.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { analyzerFor } from "./Analyzers.ts"
import { modelLayer } from "./Models.ts"
import type { Settings } from "./Settings.ts"
import { upon } from "./Upon.ts"

/** What generations remember of the model spares asking its provider for the dimensions. */
export const configuredModel = (settings: Settings) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const provided = yield* upon(Context.empty(), Providers.layer)
      const readModels = yield* ReadModels
      const known = (yield* readModels.generations).map(({ spec }) => ({
        model: spec.model,
        dimensions: spec.dimensions
      }))
      return yield* upon(provided, modelLayer(settings.embedding, analyzerFor(settings.language), known))
    })
  )
