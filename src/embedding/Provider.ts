/**
 * One request to whoever computes vectors, before anything of its answer is believed.
 *
 * Kinds of provider implement this; `Pacing.ts` wraps it, and `CheckedModel.ts` makes the model of it that the rest of
 * Reprise sees. So splitting, blaming and checking are written once.
 */
import { type Effect, Schema } from "effect"
import type { EmbeddingInput, EmbeddingModelService, ProviderError } from "./EmbeddingModel.ts"

/**
 * Something in this batch (or its size) was refused, and the provider does not say what. Divide it and ask again; for
 * a single input it is that input, unless the provider refuses a harmless one too.
 */
export class BatchRefused extends Schema.TaggedError<BatchRefused>()("BatchRefused", {
  detail: Schema.String,
  /** The provider said that there is too much of it: then a single input is to blame without further questions. */
  tooLong: Schema.Boolean
}) {
  override get message() {
    return `The batch was refused: ${this.detail}`
  }
}

/**
 * The answer cannot be told apart into one for each input: another number of vectors, an index twice, another shape.
 * Divide the batch and ask again, unless harmless texts fare no better.
 */
export class AnswerUnusable extends Schema.TaggedError<AnswerUnusable>()("AnswerUnusable", {
  detail: Schema.String
}) {
  override get message() {
    return `The answer cannot be used: ${this.detail}`
  }
}

/** What one request may fail with. */
export type RequestError = ProviderError | BatchRefused | AnswerUnusable

/** Passages and questions may get different prefixes, and a question fails sooner. */
export type Purpose = "document" | "query"

/** As received: one element for each input, in order, of whatever shape the provider sent. */
export interface Answer {
  readonly vectors: ReadonlyArray<unknown>
  /** As reported; `undefined` where the provider does not say. */
  readonly tokens: number | undefined
}

export interface Provider extends Omit<EmbeddingModelService, "embed" | "embedQuery"> {
  /** Asks once. Never more than `batchSize` inputs, never none, and no text is empty. */
  readonly request: (
    inputs: ReadonlyArray<EmbeddingInput>,
    purpose: Purpose
  ) => Effect.Effect<Answer, RequestError>
}

/** A model's name as the readable part of its fingerprint. */
export const labelOf = (model: string): string =>
  model
    .toLowerCase()
    .replaceAll(/[^a-z0-9._]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 64)
