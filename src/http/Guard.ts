/**
 * What is not even looked at: requests that address the server by a name it does not have (a web page whose name was
 * pointed at a loopback address reads whatever listens there), that come from another origin, that are too large or take
 * too long. Whatever goes wrong is answered with a typed JSON body.
 */
import { HttpServerError, HttpServerRequest, HttpServerResponse } from "@effect/platform"
import { Cause, type Duration, Effect } from "effect"
import { Refused } from "./Api.ts"

export interface GuardOptions {
  /** Besides loopback. */
  readonly names: ReadonlyArray<string>
  readonly timeout: Duration.Duration
  /** Of a body, in bytes. */
  readonly maxBody: number
}

/** Names as a `Host` header has them: an IPv6 address stands in brackets there. */
export const namesOf = (host: string, names: string): ReadonlyArray<string> =>
  [host, ...names.split(",")]
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "")
    .map((name) => (name.includes(":") && !name.startsWith("[") ? `[${name}]` : name))

const loopback = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/

/** Of a `Host` header, without its port. */
const hostnameOf = (host: string): string => host.toLowerCase().replace(/:\d{1,5}$/, "")

/** Why a request is refused, if it is. */
export const refusalOf = (
  headers: Readonly<Record<string, string | undefined>>,
  { maxBody, names }: Pick<GuardOptions, "maxBody" | "names">
): { readonly status: number; readonly refused: Refused } | undefined => {
  const host = headers["host"] ?? ""
  const hostname = hostnameOf(host)
  const refuse = (status: number, code: Refused["code"], message: string) => ({
    status,
    refused: new Refused({ code, message })
  })
  if (!loopback.test(hostname) && !names.includes(hostname))
    return refuse(403, "host", `Requests are taken for loopback names and those in http.names.`)
  const { origin } = headers
  const site = headers["sec-fetch-site"]
  const foreign = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`
  if (foreign || site === "cross-site" || site === "same-site")
    return refuse(403, "origin", "Requests from pages of another origin are not taken.")
  const length = Number(headers["content-length"] ?? 0)
  if (!(length <= maxBody) || headers["transfer-encoding"] !== undefined)
    return refuse(413, "too-large", `A body may have ${maxBody} bytes, and must say how many it has.`)
  return undefined
}

const answer = (status: number, refused: Refused) =>
  Effect.orDie(HttpServerResponse.schemaJson(Refused)(refused, { status }))

export const guarded =
  (options: GuardOptions) =>
  <E, R>(app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Effect.gen(function* () {
      const request = yield* HttpServerRequest.HttpServerRequest
      const refusal = refusalOf(request.headers, options)
      if (refusal !== undefined) return yield* answer(refusal.status, refusal.refused)
      return yield* app.pipe(
        Effect.catchAllCause((cause) => {
          if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause)
          return Cause.squash(cause) instanceof HttpServerError.RouteNotFound ? nowhere : failed(cause)
        }),
        Effect.timeoutTo({
          duration: options.timeout,
          onSuccess: Effect.succeed,
          onTimeout: () =>
            answer(503, new Refused({ code: "timeout", message: "It took too long. Ask again." }))
        }),
        Effect.flatten
      )
    })

const nowhere = answer(
  404,
  new Refused({ code: "not-found", message: "There is nothing here. See /openapi.json." })
)

const failed = (cause: Cause.Cause<unknown>) =>
  Effect.zipRight(
    Effect.logError("a request failed", cause),
    answer(
      500,
      new Refused({ code: "failed", message: "Something failed that should not: see the server's log." })
    )
  )
