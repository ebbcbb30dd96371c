/**
 * One HTTP request of OpenAI's embeddings protocol, and what each way of failing means.
 *
 * Bounded in bytes and time. The key travels in one header, to the configured origin alone, and is cut out of whatever
 * the provider says before anybody reads it.
 */
import { HttpBody, HttpClient, HttpClientRequest, type HttpClientResponse } from "@effect/platform"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent } from "@effect/platform-node/Undici"
import { Clock, Duration, Effect, type Redacted, Schema, type Scope } from "effect"
import { answerText } from "./AnswerText.ts"
import { readComplaint, withoutSecrets } from "./Complaint.ts"
import {
  type EmbeddingInput,
  ProviderBusy,
  type ProviderError,
  ProviderRefused,
  ProviderUnavailable
} from "./EmbeddingModel.ts"
import { type Answer, AnswerUnusable, BatchRefused, type RequestError } from "./Provider.ts"
import { retryAfterMs } from "./RetryAfter.ts"

export interface TransportSettings {
  readonly name: string
  readonly endpoint: URL
  readonly model: string
  readonly dimensions?: number | undefined
  readonly apiKey?: Redacted.Redacted | undefined
  readonly verifyTls: boolean
  readonly timeout: Duration.Duration
  readonly pacing: { readonly concurrency: number }
}

export type Send = (inputs: ReadonlyArray<EmbeddingInput>) => Effect.Effect<Answer, RequestError>

const longestConnect = Duration.seconds(10)
const mostRedirects = 3
/** A number of a vector, as JSON with separators; a pretty-printed one fits too. */
const bytesPerNumber = 40
const mostDimensionsUnasked = 16_384
const slackBytes = 1_048_576
const mostErrorBytes = 65_536

/** Connections of its own: neither the TLS switch nor the limits reach any other client of the process. */
export const makeTransport = (settings: TransportSettings): Effect.Effect<Send, never, Scope.Scope> =>
  Effect.gen(function* () {
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            connections: settings.pacing.concurrency + 8,
            connect: {
              timeout: Duration.toMillis(Duration.min(longestConnect, settings.timeout)),
              rejectUnauthorized: settings.verifyTls
            }
          })
      ),
      (open) => Effect.promise(() => open.destroy())
    )
    // Trace context is ours: a third party has no use for it.
    const client = NodeHttpClient.makeUndici(agent).pipe(
      HttpClient.withTracerPropagation(false),
      HttpClient.withScope
    )
    return (inputs) =>
      exchange(settings, client, inputs).pipe(
        Effect.scoped,
        Effect.timeoutFail({
          duration: settings.timeout,
          onTimeout: () =>
            unavailable(settings, `no complete answer within ${Duration.format(settings.timeout)}`)
        })
      )
  })

const exchange = Effect.fnUntraced(function* (
  settings: TransportSettings,
  client: HttpClient.HttpClient.With<unknown, Scope.Scope>,
  inputs: ReadonlyArray<EmbeddingInput>
): Effect.fn.Return<Answer, RequestError, Scope.Scope> {
  const response = yield* follow(settings, client, inputs)
  if (response.status !== 200) return yield* refusal(settings, response, inputs)
  const numbers = inputs.length * (settings.dimensions ?? mostDimensionsUnasked)
  const body = yield* text(settings, response, numbers * bytesPerNumber + slackBytes)
  return yield* readAnswer(settings, body, inputs)
})

/** Sends it, following redirects within the origin: texts and key go nowhere else. */
const follow = Effect.fnUntraced(function* (
  settings: TransportSettings,
  client: HttpClient.HttpClient.With<unknown, Scope.Scope>,
  inputs: ReadonlyArray<EmbeddingInput>
): Effect.fn.Return<HttpClientResponse.HttpClientResponse, RequestError, Scope.Scope> {
  let url = settings.endpoint
  for (let redirects = 0; redirects <= mostRedirects; redirects++) {
    const response = yield* Effect.mapError(client.execute(requestTo(settings, url, inputs)), (error) =>
      unreachable(settings, error)
    )
    const location = response.headers["location"]
    if (response.status < 300 || response.status > 399 || location === undefined) return response
    if (!URL.canParse(location, url.href)) break
    const next = new URL(location, url)
    if (next.origin !== settings.endpoint.origin) {
      const detail = `it redirects to ${next.origin}, where neither texts nor key were sent. If that is right, configure it as the URL`
      return yield* refused(settings, detail)
    }
    url = next
  }
  return yield* refused(settings, "it redirects without end. Check the configured URL")
})

const requestTo = (settings: TransportSettings, url: URL, inputs: ReadonlyArray<EmbeddingInput>) => {
  const body = {
    model: settings.model,
    input: inputs.map(({ text }) => text),
    encoding_format: "float",
    ...(settings.dimensions === undefined ? {} : { dimensions: settings.dimensions })
  }
  const request = HttpClientRequest.post(url, { acceptJson: true, body: HttpBody.unsafeJson(body) })
  return settings.apiKey === undefined ? request : HttpClientRequest.bearerToken(request, settings.apiKey)
}

/** At most so many bytes; what is beyond them is not read, and the connection is dropped. */
const text = Effect.fnUntraced(function* (
  settings: TransportSettings,
  response: HttpClientResponse.HttpClientResponse,
  limit: number
) {
  const { isCut, text } = yield* Effect.mapError(answerText(response, limit), (error) =>
    unavailable(settings, `its answer broke off (${reason(error)})`)
  )
  if (isCut) return yield* unavailable(settings, `its answer is longer than ${limit} bytes`)
  return text
})

const Response = Schema.Struct({
  data: Schema.Array(Schema.Struct({ index: Schema.NonNegativeInt, embedding: Schema.Unknown })),
  usage: Schema.optional(Schema.Unknown)
})
const decodeResponse = Schema.decodeUnknown(Response)

/** What it says of tokens is believed where it is a count: some servers answer −1, and their vectors are good all the same. */
const Usage = Schema.Struct({
  total_tokens: Schema.optional(Schema.Unknown),
  prompt_tokens: Schema.optional(Schema.Unknown)
})
const isUsage = Schema.is(Usage)
const isCount = Schema.is(Schema.NonNegativeInt)
const tokensOf = (usage: unknown): number | undefined =>
  isUsage(usage) ? [usage.total_tokens, usage.prompt_tokens].find(isCount) : undefined

const readAnswer = Effect.fnUntraced(function* (
  settings: TransportSettings,
  body: string,
  inputs: ReadonlyArray<EmbeddingInput>
): Effect.fn.Return<Answer, ProviderError | AnswerUnusable> {
  const json = yield* Effect.try({
    try: (): unknown => JSON.parse(body),
    catch: () =>
      unavailable(
        settings,
        /^\s*</.test(body)
          ? "it answered with a web page instead of vectors. Check the configured URL, or what stands in between"
          : "its answer is not JSON, or was cut"
      )
  })
  const { data, usage } = yield* Effect.mapError(decodeResponse(json), () =>
    unusable("its answer is JSON, but not that of /v1/embeddings (data, index, embedding)")
  )
  if (data.length !== inputs.length)
    return yield* unusable(`it answered with ${data.length} vectors for ${inputs.length} inputs`)
  const vectors = new Map<number, unknown>()
  for (const { embedding, index } of data) {
    if (inputs[index] === undefined)
      return yield* unusable(`it answered for input number ${index}, which is none`)
    if (vectors.has(index)) return yield* unusable(`it answered twice for input number ${index}`)
    vectors.set(index, embedding)
  }
  return {
    vectors: inputs.map((_, index) => vectors.get(index)),
    tokens: tokensOf(usage)
  }
})

/** What a status other than 200 means. */
const refusal = Effect.fnUntraced(function* (
  settings: TransportSettings,
  response: HttpClientResponse.HttpClientResponse,
  inputs: ReadonlyArray<EmbeddingInput>
): Effect.fn.Return<never, RequestError> {
  const { status } = response
  const body = yield* Effect.orElseSucceed(text(settings, response, mostErrorBytes), () => "")
  const { code, message, tooLong } = readComplaint(body)
  const said = withoutSecrets(message, settings.apiKey, inputs)
  const saying = said === "" ? "" : ` (${said})`
  switch (status) {
    case 429: {
      if (code === "insufficient_quota")
        return yield* refused(settings, `its quota is used up${saying}. Check plan and billing there`)
      // More than its limits allow at all: waiting does not help, a smaller batch does.
      if (/request too large/i.test(message))
        return yield* new BatchRefused({ detail: `it is too large${saying}`, tooLong: true })
      const now = yield* Clock.currentTimeMillis
      return yield* new ProviderBusy({
        provider: settings.name,
        retryAfterMs: retryAfterMs(response.headers["retry-after"], now)
      })
    }
    case 413:
      return yield* new BatchRefused({ detail: `it is too long${saying}`, tooLong: true })
    case 400:
    case 422:
      return yield* new BatchRefused({
        detail: `HTTP ${status}${saying}`,
        tooLong
      })
    case 401:
      return yield* refused(settings, `HTTP 401${saying}. Check REPRISE_EMBEDDING_API_KEY`)
    case 403:
      return yield* refused(settings, `HTTP 403${saying}. The key may not use this model`)
    case 404:
      return yield* refused(
        settings,
        `HTTP 404 at ${settings.endpoint.origin}${settings.endpoint.pathname}${saying}. Check URL and model`
      )
  }
  return status >= 500 || status === 408
    ? yield* unavailable(settings, `HTTP ${status}${saying}`)
    : yield* refused(settings, `HTTP ${status}${saying}`)
})

const refused = (settings: TransportSettings, detail: string, inputs: ReadonlyArray<string> = []) =>
  new ProviderRefused({ provider: settings.name, detail, inputs })

const unusable = (detail: string) => new AnswerUnusable({ detail })

const unavailable = (settings: TransportSettings, detail: string) =>
  new ProviderUnavailable({ provider: settings.name, detail })

/** The error of the client holds the request with its key: only its code is let through. */
const unreachable = (settings: TransportSettings, error: unknown): ProviderError => {
  const code = reason(error)
  const { origin } = settings.endpoint
  if (/CERT|SELF_SIGNED|UNABLE_TO_/.test(code)) {
    const remedy = "Set NODE_EXTRA_CA_CERTS, or REPRISE_EMBEDDING_VERIFY_TLS=false if you trust the way there"
    return refused(settings, `the certificate of ${origin} is not trusted (${code}). ${remedy}`)
  }
  return unavailable(settings, `no answer from ${origin} (${code})`)
}

/** The code of the innermost cause that has one. */
const reason = (error: unknown): string => {
  let code = "connection failed"
  let at: unknown = error
  for (let depth = 0; depth < 5 && typeof at === "object" && at !== null; depth++) {
    if ("code" in at && typeof at.code === "string") code = at.code
    at = "cause" in at ? at.cause : undefined
  }
  return code
}
