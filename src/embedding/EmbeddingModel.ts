/**
 * Turns texts into unit vectors. What it answers is checked here once, for every implementation, before anything is
 * stored.
 */
import { Context, type Duration, type Effect, Schema } from "effect"
import type { CodeFingerprint } from "../../events/Ids.ts"

/** The provider asks for patience (429). Not a failure: wait `retryAfterMs` and ask again, no attempt is consumed. */
export class ProviderBusy extends Schema.TaggedError<ProviderBusy>()("ProviderBusy", {
  provider: Schema.String,
  retryAfterMs: Schema.NonNegative
}) {
  override get message() {
    return `${this.provider} asks to wait ${this.retryAfterMs} ms.`
  }
}

/** Not reachable, timed out, or answering with a server error, a harmless text too. It is asked again later. */
export class ProviderUnavailable extends Schema.TaggedError<ProviderUnavailable>()("ProviderUnavailable", {
  provider: Schema.String,
  detail: Schema.String,
  /** It was waited for in vain, and not asked: that says nothing of any input. */
  unasked: Schema.optionalWith(Schema.Literal(true), { exact: true }),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message() {
    return `${this.provider} could not be reached or failed: ${this.detail}. Check its address and that it runs.`
  }
}

/** The provider understood and refused (credentials, unknown model, malformed answer). Terminal until configured anew. */
export class ProviderRefused extends Schema.TaggedError<ProviderRefused>()("ProviderRefused", {
  provider: Schema.String,
  detail: Schema.String,
  /** Inputs that the refusal names, if it does. */
  inputs: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.provider} refused: ${this.detail}${this.inputs.length > 0 ? ` (inputs ${this.inputs.slice(0, 3).join(", ")})` : ""}.`
  }
}

/**
 * These inputs cannot be embedded (too long, empty, refused or failed on one by one). Their documents are parked, at once
 * or after a few attempts.
 */
export class InputRefused extends Schema.TaggedError<InputRefused>()("InputRefused", {
  provider: Schema.String,
  inputs: Schema.Array(Schema.String),
  detail: Schema.String,
  /** The provider failed on them alone, while it answered others: it may be luck, and is tried again a few times. */
  retryable: Schema.optionalWith(Schema.Boolean, { default: () => false })
}) {
  override get message() {
    return `${this.provider} cannot embed ${this.inputs.length} input(s) (${this.inputs.slice(0, 3).join(", ")}): ${this.detail}.`
  }
}

/** What concerns the provider as a whole: no input is to blame. */
export type ProviderError = ProviderBusy | ProviderUnavailable | ProviderRefused
export type EmbeddingError = ProviderError | InputRefused

export interface EmbeddingInput {
  /** The input's hash: names it in errors. */
  readonly id: string
  readonly text: string
}

export interface Embedded {
  /**
   * One for each input, in order: unit length within 1e-6, float32, `dimensions` long, no −0. `undefined` where
   * `refused` names the input, so that one bad input costs its neighbours nothing.
   */
  readonly vectors: ReadonlyArray<Float32Array | undefined>
  /** Inputs that were refused one by one, each with its reason. Empty when all went well. */
  readonly refused: ReadonlyArray<InputRefused>
  /** As reported by the provider, or estimated. */
  readonly tokens: number
}

export interface EmbeddingModelService {
  /** Covers provider, model, dimensions, normalisation and input prefixes. */
  readonly fingerprint: CodeFingerprint
  /** For people: `hashing-512`, `openai:text-embedding-3-small`. */
  readonly name: string
  readonly dimensions: number
  readonly maxInputTokens: number
  readonly batchSize: number
  readonly concurrency: number
  /** Weight of the dense side in hybrid search, the sparse side being 1. */
  readonly denseWeight: number
  /** Time after which a batch counts as lost. */
  readonly timeout: Duration.Duration
  /** Somebody else serves it, and another model may one day answer to its name: it is probed before it is relied on. */
  readonly probed?: boolean
  /** Any number of inputs; more than `batchSize` are asked for in several requests, one after the other. */
  readonly embed: (inputs: ReadonlyArray<EmbeddingInput>) => Effect.Effect<Embedded, ProviderError>
  /** Fails sooner than `embed`: somebody waits for the answer. */
  readonly embedQuery: (text: string) => Effect.Effect<Float32Array, EmbeddingError>
}

/** The configured model. */
export class EmbeddingModel extends Context.Tag("reprise/embedding/EmbeddingModel")<
  EmbeddingModel,
  EmbeddingModelService
>() {}
