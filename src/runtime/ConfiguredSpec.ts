/** What the configuration asks a generation to be. */
import type { Spec } from "../../events/Generation.ts"
import { makeChunker } from "../documents/Chunker.ts"
import type { EmbeddingModelService } from "../embedding/EmbeddingModel.ts"
import { analyzerFor } from "./Analyzers.ts"
import type { Settings } from "./Settings.ts"

export const configuredSpec = (settings: Settings, model: EmbeddingModelService): Spec => ({
  engine: settings.index,
  chunker: makeChunker(settings.chunking).fingerprint,
  model: model.fingerprint,
  modelName: model.name,
  dimensions: model.dimensions,
  analyzer: analyzerFor(settings.language).fingerprint,
  payload: 1
})
