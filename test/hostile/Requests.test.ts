/** `REPRISE_REQUESTS=100000 REPRISE_SEED=1`: that many requests over HTTP, each on a connection of its own. */
import { connect } from "node:net"
import { FetchHttpClient, HttpApiClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { api } from "../../src/http/Api.ts"
import * as Http from "../../src/http/Server.ts"
import { reportCount } from "../support/figures.ts"
import { serving } from "../support/httpServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { hostileOf } from "./Inputs.ts"

const count = Number(process.env["REPRISE_REQUESTS"] ?? 500)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 1)
/** Connections at a time. */
const together = 16

/** What senders write stands in no answer. */
const canary = "zanzibar"
const host = "Host: localhost"
const requests: ReadonlyArray<string> = [
  `GET /healthz HTTP/1.1\r\n${host}\r\n\r\n`,
  `GET /v1/status?team=default&project=${canary} HTTP/1.1\r\n${host}\r\nAccept: application/json\r\n\r\n`,
  `GET /v1/info HTTP/1.1\r\n${host}\r\nOrigin: http://localhost\r\nAuthorization: Bearer ${canary}\r\n\r\n`,
  `GET /metrics HTTP/1.0\r\n${host}\r\n\r\n`,
  `POST /v1/status HTTP/1.1\r\n${host}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"${canary}":1}`,
  `PUT /v1/../${canary} HTTP/1.1\r\n${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
  `GET http://evil.example/healthz HTTP/1.1\r\n${host}\r\nHost: evil.example\r\nContent-Length: 1\r\n\r\n`
]

/** A sound client asks the server to close; Node hangs up, unanswered, on one that closes its own half. */
const lastRequest = "Connection: close"
const well = Buffer.from(`GET /healthz HTTP/1.1\r\n${host}\r\n${lastRequest}\r\n\r\n`)

/** Every other one is sound HTTP, and asks for something unheard of. */
const isSound = (seed: number): boolean => seed % 2 !== 0

const requestOf = (seed: number): Uint8Array => {
  const { bytesOf, pick, wound } = hostileOf(seed)
  if (!isSound(seed)) return bytesOf(wound(pick(requests)))
  const [team, project] = ["default", canary].map((name) => encodeURIComponent(wound(name).toWellFormed()))
  const path = pick(["/v1/status", "/v1/info", `/${team}`, "/metrics"])
  return Buffer.from(
    `GET ${path}?team=${team}&project=${project} HTTP/1.1\r\n${host}\r\n${lastRequest}\r\n\r\n`
  )
}

/** All that is answered until the server closes; a failure where it does not. */
const answered = (port: number, bytes: Uint8Array, isSound: boolean): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ""
    const socket = connect(port, "127.0.0.1", () => (isSound ? socket.write(bytes) : socket.end(bytes)))
    const end = () => {
      socket.destroy()
      resolve(said)
    }
    socket.setTimeout(10_000, () =>
      socket.destroy(new Error("The server neither closed nor said anything more."))
    )
    socket.setEncoding("utf8").on("data", (text: string) => {
      said += text
    })
    socket.on("close", end)
    // Closed in the middle of what was sent: that, too, is an answer.
    socket.on("error", (cause: NodeJS.ErrnoException) =>
      cause.code === "ECONNRESET" || cause.code === "EPIPE" ? end() : reject(cause)
    )
  })

/** What a request may be told: that it was answered, or that it is the sender's fault. */
const fair = new Set([200, 400, 403, 404, 405, 408, 413, 414, 415, 417, 422, 431])

const judged = (said: string, isSound: boolean): void => {
  // What is no HTTP may be hung up on.
  if (said === "" && !isSound) return
  const statuses = Array.from(said.matchAll(/^HTTP\/1\.1 (\d{3}) /gm), ([, status]) => Number(status))
  assert.isTrue(said.startsWith("HTTP/1.1 "), said.slice(0, 200))
  for (const status of statuses) assert.isTrue(fair.has(status), said.slice(0, 400))
  assert.notMatch(said, /node_modules|\.ts:\d|\.js:\d|at Object\.|SQLITE|ENOENT/)
  assert.notInclude(said, canary)
}

describe("whatever is asked over HTTP", () => {
  it.live(
    "is answered, or is the sender's fault; the server goes on, and no actor of its was started anew",
    () =>
      Effect.gen(function* () {
        const folder = yield* temporaryDirectory
        yield* Effect.gen(function* () {
          const { url } = yield* Http.HttpAddress
          const port = Number(new URL(url).port)
          const seeds = Array.from({ length: count }, (_, at) => firstSeed + at)
          yield* Effect.forEach(
            seeds,
            (seed) =>
              Effect.promise(async () => {
                const said = await answered(port, requestOf(seed), isSound(seed))
                try {
                  judged(said, isSound(seed))
                } catch (cause) {
                  throw new Error(`The request of seed ${seed}: ${String(cause)}`, { cause })
                }
              }),
            { concurrency: together, discard: true }
          )
          const health = yield* Effect.promise(() => answered(port, well, true))
          assert.match(health, /^HTTP\/1\.1 200 [\s\S]*"healthy":true/)
          const http = yield* HttpApiClient.make(api, { baseUrl: url })
          const { actors } = yield* http.status({ urlParams: {} })
          assert.deepStrictEqual(
            actors.map(({ restarts }) => restarts),
            [0, 0, 0, 0]
          )
        }).pipe(Effect.provide([serving(folder), FetchHttpClient.layer]))
        reportCount({ figure: "hostile requests", count, seed: firstSeed })
      }).pipe(Effect.scoped),
    24 * 3_600_000
  )
})
