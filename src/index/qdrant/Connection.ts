/**
 * Requests to a Qdrant server: bounded in time, sent again where that is safe, and what each way of failing means.
 *
 * Every write of this engine can be repeated without changing anything, so all requests may be sent again. A 429 is
 * pacing, not failure: it is waited out as the server asks (RFC 9110, `Retry-After`) and consumes no attempt.
 *
 * The types are those of `@qdrant/js-client-rest`; its transport is not used. It keeps only the first character of
 * `Retry-After` ("30" becomes 3 s), ignores the path of a configured address, prints to the console, and leaves no way
 * to give it a certificate.
 */
import {
  HttpBody,
  HttpClient,
  type HttpClientError,
  HttpClientRequest,
  type HttpClientResponse
} from "@effect/platform"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import { Agent } from "@effect/platform-node/Undici"
import { Clock, Duration, Effect, ParseResult, Redacted, Schema, type Scope } from "effect"
import { answerText } from "../../embedding/AnswerText.ts"
import { retryAfterMs } from "../../embedding/RetryAfter.ts"
import { type EngineError, EngineMismatch, EngineUnavailable } from "../Index.ts"

export interface ConnectionSettings {
  /** Base address; a path is kept, so that a server may stand behind a proxy. */
  readonly url: string
  readonly apiKey?: Redacted.Redacted | undefined
  /** Certificates (PEM) of authorities that are trusted beside the system's. */
  readonly ca?: string | undefined
  readonly verifyTls: boolean
  /** Of one request that writes or scans, from connecting to the last byte. Shorter than any grace before a sweep. */
  readonly timeoutMs: number
  /** Of one request of a search. */
  readonly searchTimeoutMs: number
}

export interface Request {
  readonly method: "GET" | "PUT" | "POST" | "PATCH" | "DELETE"
  /** Below the base address; names in it are encoded already. */
  readonly path: string
  readonly body?: unknown
  /** A search waits shorter and is tried less often: the log engine is waiting to take over. */
  readonly isSearch?: boolean
}

export interface Connection {
  /** The answer's `result`, decoded. A collection that is not there is `EngineMismatch` (absent). */
  readonly ask: <A, I>(request: Request, result: Schema.Schema<A, I>) => Effect.Effect<A, EngineError>
  /** Asks the server who it is; one that is too old is refused. */
  readonly server: Effect.Effect<Server, EngineUnavailable>
}

export interface Server {
  readonly version: string
  /** From 1.17 on a write can say that it must not touch what is there. */
  readonly insertsOnly: boolean
}

/** What everything below stands on: the query API with sparse vectors, tenant and integer range indexes. */
const oldest = [1, 13] as const

const attempts = { write: 4, search: 2 }
const firstPause = Duration.millis(100)
/** How long 429s are waited out in all before they count as an outage. */
const patience = { write: Duration.minutes(2), search: Duration.seconds(2) }
const longestConnectMs = 5_000
const connections = 16
const mostDetail = 300
/** Of a refusal so many bytes are looked at. */
const mostComplaintBytes = 16_384
/** An answer that is longer is not read: pages are asked for so that theirs are far below. */
const mostAnswerBytes = 64 * 1_048_576

/** One way an attempt ended without an answer. */
type Failed =
  | { readonly _tag: "Busy"; readonly afterMs: number }
  | { readonly _tag: "Passing"; readonly detail: string }
  | { readonly _tag: "Final"; readonly error: EngineError }

export const connect = (settings: ConnectionSettings): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function* () {
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new Agent({
            connections,
            // Bounded by the whole request's deadline.
            headersTimeout: 0,
            bodyTimeout: 0,
            connect: {
              timeout: Math.min(longestConnectMs, settings.timeoutMs),
              rejectUnauthorized: settings.verifyTls,
              ...(settings.ca !== undefined && { ca: settings.ca })
            }
          })
      ),
      (open) => Effect.promise(() => open.destroy())
    )
    const client = NodeHttpClient.makeUndici(agent).pipe(
      HttpClient.withTracerPropagation(false),
      HttpClient.withScope
    )
    const exchange = (request: Request) => attempt(settings, client, request)

    const ask = <A, I>(request: Request, result: Schema.Schema<A, I>): Effect.Effect<A, EngineError> =>
      Effect.flatMap(persistently(settings, request, exchange), (body) => decoded(settings, body, result))

    const server = persistently(settings, { method: "GET", path: "/" }, exchange).pipe(
      Effect.flatMap((body) => Effect.mapError(decodeServer(body), () => notQdrant(settings))),
      Effect.catchTag("EngineMismatch", () => Effect.fail(notQdrant(settings))),
      Effect.flatMap(({ version }) => supported(settings, version))
    )
    return { ask, server }
  })

/** Sends a request until it is answered, refused for good, or was tried often enough. */
const persistently = Effect.fnUntraced(function* (
  settings: ConnectionSettings,
  request: Request,
  exchange: (request: Request) => Effect.Effect<unknown, Failed>
): Effect.fn.Return<unknown, EngineError> {
  const kind = request.isSearch === true ? "search" : "write"
  let failures = 0
  let waitedMs = 0
  while (true) {
    const outcome = yield* Effect.either(exchange(request))
    if (outcome._tag === "Right") return outcome.right
    const failed = outcome.left
    if (failed._tag === "Final") return yield* Effect.fail(failed.error)
    if (failed._tag === "Busy") {
      if (waitedMs + failed.afterMs > Duration.toMillis(patience[kind]))
        return yield* unavailable(
          settings,
          `it is asked too much (429) and wants ${Math.ceil(failed.afterMs / 1000)} s`
        )
      waitedMs += failed.afterMs
      yield* Effect.sleep(failed.afterMs)
    } else {
      failures += 1
      if (failures >= attempts[kind]) return yield* unavailable(settings, failed.detail)
      yield* Effect.sleep(Duration.times(firstPause, 2 ** (failures - 1)))
    }
  }
})

const attempt = Effect.fnUntraced(
  function* (
    settings: ConnectionSettings,
    client: HttpClient.HttpClient.With<HttpClientError.HttpClientError, Scope.Scope>,
    request: Request
  ): Effect.fn.Return<unknown, Failed, Scope.Scope> {
    const response = yield* Effect.mapError(client.execute(requestTo(settings, request)), (error) =>
      passing(error.reason === "Transport" ? reasonOf(error.cause) : error.message)
    )
    const isGood = response.status === 200
    const { isCut, text } = yield* Effect.mapError(
      answerText(response, isGood ? mostAnswerBytes : mostComplaintBytes),
      () => passing("its answer broke off")
    )
    if (!isGood) return yield* refusal(settings, response, text)
    // Asked again, it would answer as much again.
    if (isCut)
      return yield* Effect.fail(
        final(unavailable(settings, `its answer is longer than ${mostAnswerBytes} bytes`))
      )
    return yield* parsed(settings, text)
  },
  (effect, settings, _, request) =>
    Effect.suspend(() => {
      const duration = request.isSearch === true ? settings.searchTimeoutMs : settings.timeoutMs
      return Effect.timeoutFail(Effect.scoped(effect), {
        duration,
        onTimeout: () => passing(`no complete answer within ${duration} ms`)
      })
    })
)

const passing = (detail: string): Failed => ({ _tag: "Passing", detail })
const final = (error: EngineError): Failed => ({ _tag: "Final", error })

const requestTo = ({ apiKey, url }: ConnectionSettings, { body, method, path }: Request) => {
  const request = HttpClientRequest.make(method)(`${url.replace(/\/+$/, "")}${path}`, {
    acceptJson: true,
    ...(body !== undefined && { body: HttpBody.unsafeJson(body) })
  })
  return apiKey === undefined
    ? request
    : HttpClientRequest.setHeader(request, "api-key", Redacted.value(apiKey))
}

/** Certificates and addresses fail with a code; the text around it differs between versions of Node. */
const reasonOf = (cause: unknown): string => {
  const codes = new Map([
    ["ECONNREFUSED", "nothing listens there"],
    ["ENOTFOUND", "its host name is not known"],
    [
      "DEPTH_ZERO_SELF_SIGNED_CERT",
      "its certificate is self-signed (set qdrant.ca, or qdrant.verifyTls=false)"
    ],
    ["SELF_SIGNED_CERT_IN_CHAIN", "its certificate's authority is not known (set qdrant.ca)"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "its certificate's authority is not known (set qdrant.ca)"]
  ])
  for (let at = cause; at instanceof Error; at = at.cause) {
    const code = "code" in at && typeof at.code === "string" ? at.code : undefined
    if (code !== undefined) return codes.get(code) ?? code
    if (at.cause === undefined) return at.message
  }
  return "the connection failed"
}

const parsed = (settings: ConnectionSettings, body: string): Effect.Effect<unknown, Failed> =>
  Effect.try({
    try: (): unknown => JSON.parse(body),
    catch: () => final(notQdrant(settings))
  })

const refusal = Effect.fnUntraced(function* (
  settings: ConnectionSettings,
  response: HttpClientResponse.HttpClientResponse,
  body: string
): Effect.fn.Return<never, Failed> {
  const { status } = response
  const complaint = complaintOf(body, settings)
  if (status === 429) {
    const now = yield* Clock.currentTimeMillis
    const afterMs = retryAfterMs(response.headers["retry-after"], now)
    return yield* Effect.fail<Failed>({ _tag: "Busy", afterMs })
  }
  if (status === 401 || status === 403)
    return yield* Effect.fail(
      final(unavailable(settings, `it refuses the key (${status}). Check qdrant.apiKey`))
    )
  if (status === 404) return yield* Effect.fail(final(mismatch("absent", complaint)))
  if (status === 408 || status >= 500)
    return yield* Effect.fail(passing(`it answered ${status}: ${complaint}`))
  if (status === 413)
    return yield* Effect.fail(
      final(unavailable(settings, `it refuses a request of this size (413): raise its max_request_size_mb`))
    )
  // What is there does not take what this program would have created: other vectors, other indexes, other limits.
  return yield* Effect.fail(final(mismatch("damaged", `the server refuses it (${status}): ${complaint}`)))
})

/** Qdrant's own words where it is Qdrant that answers; a proxy in front of it may answer anything. */
const saidIn = (body: string): string => {
  const said = /"error"\s*:\s*("(?:[^"\\]|\\.)*")/.exec(body)?.[1]
  if (said === undefined) return body
  try {
    return String(JSON.parse(said))
  } catch {
    return said
  }
}

const complaintOf = (body: string, { apiKey }: ConnectionSettings): string => {
  const text = saidIn(body)
  const key = apiKey === undefined ? "" : Redacted.value(apiKey)
  const shown = key === "" ? text : text.replaceAll(key, "<redacted>")
  return shown.length > mostDetail ? `${shown.slice(0, mostDetail)}…` : shown
}

const decoded = <A, I>(
  settings: ConnectionSettings,
  body: unknown,
  result: Schema.Schema<A, I>
): Effect.Effect<A, EngineUnavailable> =>
  Schema.decodeUnknown(Schema.Struct({ result }))(body).pipe(
    Effect.map((envelope) => envelope.result),
    Effect.mapError((error) =>
      unavailable(
        settings,
        `its answer is not what Qdrant gives: ${ParseResult.TreeFormatter.formatErrorSync(error).slice(0, mostDetail)}`
      )
    )
  )

const decodeServer = Schema.decodeUnknown(
  Schema.Struct({ title: Schema.String.pipe(Schema.pattern(/^qdrant/i)), version: Schema.String })
)

const supported = (
  settings: ConnectionSettings,
  version: string
): Effect.Effect<Server, EngineUnavailable> => {
  const [major = 0, minor = 0] = version.split(".").map(Number)
  const atLeast = (least: readonly [number, number]) =>
    major > least[0] || (major === least[0] && minor >= least[1])
  return atLeast(oldest)
    ? Effect.succeed({ version, insertsOnly: atLeast([1, 17]) })
    : unavailable(
        settings,
        `it runs version ${version}; ${oldest.join(".")} or later is needed. Upgrade the server`
      )
}

const notQdrant = (settings: ConnectionSettings) =>
  unavailable(settings, "what answers there is no Qdrant server. Check qdrant.url")

/** The address as shown: never with a user name, a password or a query. */
export const addressOf = ({ url }: Pick<ConnectionSettings, "url">): string => {
  const { host, pathname, protocol } = new URL(url)
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`
}

const unavailable = (settings: ConnectionSettings, detail: string): EngineUnavailable =>
  new EngineUnavailable({ engine: "qdrant", detail: `${addressOf(settings)}: ${detail}.` })

export const mismatch = (reason: EngineMismatch["reason"], detail: string): EngineMismatch =>
  new EngineMismatch({ engine: "qdrant", reason, detail })
