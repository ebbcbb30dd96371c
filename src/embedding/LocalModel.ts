/**
 * A model that runs here, off the main thread: ONNX through `@huggingface/transformers`, which is installed by whoever
 * wants it. It is read from a directory; nothing is ever downloaded.
 */
import { basename, resolve } from "node:path"
import { Duration, Effect, Layer, Schema, type Scope } from "effect"
import { codeFingerprint } from "../../events/Ids.ts"
import { spawnAnew } from "../threads/Thread.ts"
import { checkedModel } from "./CheckedModel.ts"
import {
  EmbeddingModel,
  type EmbeddingModelService,
  type ProviderError,
  ProviderRefused,
  ProviderUnavailable
} from "./EmbeddingModel.ts"
import { type KnownModel, learntDimensions } from "./LearntDimensions.ts"
import { type LocalOperations, localCoreVersion } from "./LocalCore.ts"
import type { LocalPlace, Pooling } from "./LocalFiles.ts"
import { type PacingSettings, paced } from "./Pacing.ts"
import { BatchRefused, type Provider, type RequestError } from "./Provider.ts"
import { Providers } from "./Providers.ts"

export interface LocalSettings {
  /** The model's directory; relative to the working directory. */
  readonly directory: string
  readonly modelFile?: string | undefined
  readonly pooling?: Pooling | undefined
  /** So many leading components of the model's vectors, for models that are trained for it; all without it. */
  readonly dimensions?: number | undefined
  readonly batchSize: number
  /** Bounds what the model's files say. */
  readonly maxInputTokens: number
  /** Of one batch. */
  readonly timeout: Duration.Duration
  readonly denseWeight: number
  /** Instead of what the model's files say, where they are not empty. */
  readonly documentPrefix: string
  readonly queryPrefix: string
  readonly pacing: PacingSettings
}

/** The package or the model is not there, or is none. In the terms of settings: correct what is named. */
export class LocalModelUnusable extends Schema.TaggedError<LocalModelUnusable>()("LocalModelUnusable", {
  setting: Schema.Literal("provider", "model", "modelFile"),
  found: Schema.String,
  expected: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `"embedding.${this.setting}" is ${this.found}, expected ${this.expected}. ${this.remedy}`
  }
}

export const layer = (
  settings: LocalSettings,
  known: ReadonlyArray<KnownModel> = []
): Layer.Layer<EmbeddingModel, ProviderError | LocalModelUnusable, Providers> =>
  Layer.scoped(EmbeddingModel, make(settings, known))

/** Batches in hand: while one is computed, the other's vectors are recorded. */
const mostAtOnce = 2

export const make = Effect.fn("LocalModel.make")(function* (
  settings: LocalSettings,
  known: ReadonlyArray<KnownModel>
): Effect.fn.Return<EmbeddingModelService, ProviderError | LocalModelUnusable, Providers | Scope.Scope> {
  const place: LocalPlace = {
    directory: resolve(settings.directory),
    modelFile: settings.modelFile,
    pooling: settings.pooling
  }
  const name = `local:${basename(place.directory)}`
  const thread = yield* spawnAnew<LocalOperations>("embed", place)
  const call = <A>(asked: Effect.Effect<A, { readonly message: string }>) =>
    Effect.mapError(
      asked,
      (cause) => new ProviderUnavailable({ provider: name, detail: cause.message, cause })
    )
  const described = yield* call(thread.call("describe", undefined))
  if (described._tag === "Unusable") return yield* new LocalModelUnusable(described)
  const pacing = { ...settings.pacing, concurrency: Math.min(settings.pacing.concurrency, mostAtOnce) }
  const pace = yield* (yield* Providers).pace(`local in ${place.directory}`, pacing)
  const maxTokens = Math.min(settings.maxInputTokens, described.maxTokens)
  const prefixes = {
    document: settings.documentPrefix === "" ? described.documentPrefix : settings.documentPrefix,
    query: settings.queryPrefix === "" ? described.queryPrefix : settings.queryPrefix
  }

  const request: Provider["request"] = (inputs, purpose) =>
    Effect.gen(function* () {
      const vectors: Array<Float32Array> = []
      let tokens = 0
      for (const { text } of inputs) {
        const asked = { text, prefix: prefixes[purpose], digest: described.digest, maxTokens }
        const answer = yield* call(thread.call("embed", asked))
        if (answer._tag !== "Vector") return yield* failure(name, answer)
        vectors.push(answer.vector.subarray(0, settings.dimensions))
        tokens += answer.tokens
      }
      return { vectors, tokens }
    }).pipe(
      Effect.timeoutFail({
        duration: settings.timeout,
        onTimeout: () =>
          new ProviderUnavailable({
            provider: name,
            detail: `a batch took longer than embedding.timeout (${Duration.format(settings.timeout)})`
          })
      })
    )

  // Covers what decides the vectors; where the directory lies does not.
  const fingerprint = (dimensions: number) =>
    codeFingerprint("local", [
      "local",
      localCoreVersion,
      described.digest,
      String(dimensions),
      "unit",
      String(maxTokens),
      prefixes.document,
      prefixes.query
    ])
  const dimensions = yield* learntDimensions({
    name,
    dimensions: settings.dimensions,
    known,
    fingerprint,
    pace,
    request
  })
  const provider: Provider = {
    fingerprint: fingerprint(dimensions),
    name,
    dimensions,
    maxInputTokens: maxTokens,
    batchSize: settings.batchSize,
    concurrency: pacing.concurrency,
    denseWeight: settings.denseWeight,
    timeout: settings.timeout,
    // The files are known by their digest; the probe notices a release of the package that computes otherwise.
    probed: true,
    request
  }
  return checkedModel(paced(provider, pace, pacing))
})

const failure = (
  provider: string,
  { _tag, detail }: { readonly _tag: "TooLong" | "Failed" | "Refused"; readonly detail: string }
): RequestError =>
  _tag === "Refused"
    ? new ProviderRefused({ provider, detail, inputs: [] })
    : new BatchRefused({ detail, tooLong: _tag === "TooLong" })
