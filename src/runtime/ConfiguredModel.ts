/** The model that the configuration names, for whoever embeds: writers all the time, readers for a query's vector. */
import { Context, Effect, Layer } from "effect"
import type { KnownModel } from "../embedding/LearntDimensions.ts"
import { openAiFingerprint } from "../embedding/OpenAiModel.ts"
import { Providers } from "../embedding/Providers.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { analyzerFor } from "./Analyzers.ts"
import { modelLayer } from "./Models.ts"
import type { EmbeddingSettings, Settings } from "./Settings.ts"
import { upon } from "./Upon.ts"

/** What generations remember of the model spares asking its provider for the dimensions. */
export const configuredModel = (settings: Settings) => modelBeside(settings, ({ embedding }) => embedding)

/**
 * For who compares it with what there is, and asks nobody for that: a model that no generation remembers made none of their
 * vectors, however long its own are. It is told apart by a length that it does not have.
 */
export const comparedModel = (settings: Settings) =>
  modelBeside(settings, ({ embedding }, known) => {
    const { dimensions, documentPrefix, model = "", provider, queryPrefix } = embedding
    const isKnown = known.some(
      (one) => openAiFingerprint({ model, documentPrefix, queryPrefix }, one.dimensions) === one.model
    )
    return provider !== "openai" || dimensions !== undefined || isKnown
      ? embedding
      : { ...embedding, dimensions: 1 }
  })

const modelBeside = (
  settings: Settings,
  embeddingOf: (settings: Settings, known: ReadonlyArray<KnownModel>) => EmbeddingSettings
) =>
  Layer.scopedContext(
    Effect.gen(function* () {
      const provided = yield* upon(Context.empty(), Providers.layer)
      const readModels = yield* ReadModels
      const known = (yield* readModels.generations).map(({ spec }) => ({
        model: spec.model,
        dimensions: spec.dimensions
      }))
      const embedding = embeddingOf(settings, known)
      return yield* upon(provided, modelLayer(embedding, analyzerFor(settings.language), known))
    })
  )
