/**
 * Any provider that speaks OpenAI's `/v1/embeddings`: OpenAI, Ollama, vLLM, TEI, LM Studio, a gateway in front of them.
 *
 * Nothing is asked at start when the dimensions are configured or known from an earlier run, so that work which embeds
 * nothing opens no connection.
 */
import { Duration, Effect, Either, Layer, Redacted, type Scope } from "effect"
import { type CodeFingerprint, codeFingerprint } from "../../events/Ids.ts"
import { checkedModel } from "./CheckedModel.ts"
import {
  EmbeddingModel,
  type EmbeddingModelService,
  type ProviderError,
  ProviderRefused
} from "./EmbeddingModel.ts"
import { embeddingsEndpoint } from "./Endpoint.ts"
import { type KnownModel, learntDimensions } from "./LearntDimensions.ts"
import { type PacingSettings, paced } from "./Pacing.ts"
import { labelOf, type Provider, type Purpose } from "./Provider.ts"
import { Providers } from "./Providers.ts"

export interface OpenAiSettings {
  /** With or without `/v1`. */
  readonly url: string
  readonly model: string
  /** Sent along where it is given; otherwise the model's own number is learnt. */
  readonly dimensions?: number | undefined
  readonly apiKey?: Redacted.Redacted | undefined
  /** `false` accepts any certificate, for this provider alone, and says so. */
  readonly verifyTls: boolean
  readonly batchSize: number
  readonly maxInputTokens: number
  /** Of one request, from connecting to the last byte. */
  readonly timeout: Duration.Duration
  readonly denseWeight: number
  /** Put before every passage and every question: some models are trained to expect it. */
  readonly documentPrefix: string
  readonly queryPrefix: string
  readonly pacing: PacingSettings
}

export const openAiDefaults = {
  verifyTls: true,
  batchSize: 64,
  maxInputTokens: 8191,
  timeout: Duration.minutes(1),
  denseWeight: 1,
  documentPrefix: "",
  queryPrefix: ""
} satisfies Partial<OpenAiSettings>

/** Covers what decides the vectors; where they are computed (address, key) does not. */
export const openAiFingerprint = (
  settings: Pick<OpenAiSettings, "model" | "documentPrefix" | "queryPrefix">,
  dimensions: number
): CodeFingerprint =>
  codeFingerprint(`openai-${labelOf(settings.model)}`, [
    "openai",
    settings.model,
    String(dimensions),
    "unit",
    settings.documentPrefix,
    settings.queryPrefix
  ])

/** What a client refuses to send: it would count as a provider that cannot be reached, and be tried for ever. */
const notInHeaders = /[^\t\x20-\x7e\x80-\xff]/

export const layer = (
  settings: OpenAiSettings,
  known: ReadonlyArray<KnownModel> = []
): Layer.Layer<EmbeddingModel, ProviderError, Providers> =>
  Layer.scoped(EmbeddingModel, make(settings, known))

/** Fails with `ProviderRefused` on an address that is none, and as the provider does where it has to be asked. */
export const make = Effect.fn("OpenAiModel.make")(function* (
  settings: OpenAiSettings,
  known: ReadonlyArray<KnownModel>
): Effect.fn.Return<EmbeddingModelService, ProviderError, Providers | Scope.Scope> {
  const name = `openai:${settings.model}`
  const endpoint = embeddingsEndpoint(settings.url)
  if (Either.isLeft(endpoint)) {
    const detail = `its configured URL ${endpoint.left}`
    return yield* new ProviderRefused({ provider: name, detail, inputs: [] })
  }
  if (settings.apiKey !== undefined && notInHeaders.test(Redacted.value(settings.apiKey))) {
    const detail =
      "its configured key holds a character that no HTTP header can, such as the line break at a file's end. Check REPRISE_EMBEDDING_API_KEY"
    return yield* new ProviderRefused({ provider: name, detail, inputs: [] })
  }
  const providers = yield* Providers
  if (!settings.verifyTls)
    yield* providers.warn(
      `TLS certificates of the embedding provider at ${endpoint.right.origin} are not verified.`
    )
  const pace = yield* providers.pace(`openai at ${endpoint.right.origin}`, settings.pacing)
  // The HTTP client is loaded when it is needed: most commands start without it.
  const { makeTransport } = yield* Effect.promise(() => import("./OpenAiTransport.ts"))
  const send = yield* makeTransport({ ...settings, name, endpoint: endpoint.right })
  const prefixes: Record<Purpose, string> = { document: settings.documentPrefix, query: settings.queryPrefix }
  const request: Provider["request"] = (inputs, purpose) =>
    send(inputs.map(({ id, text }) => ({ id, text: prefixes[purpose] + text })))

  const fingerprint = (dimensions: number) => openAiFingerprint(settings, dimensions)
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
    maxInputTokens: settings.maxInputTokens,
    batchSize: settings.batchSize,
    concurrency: settings.pacing.concurrency,
    denseWeight: settings.denseWeight,
    timeout: settings.timeout,
    probed: true,
    request
  }
  return checkedModel(paced(provider, pace, settings.pacing))
})
