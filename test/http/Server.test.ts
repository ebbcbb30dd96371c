/** The HTTP interface on a real server, through a client that is made of its description. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { FetchHttpClient, HttpApiClient, HttpClient } from "@effect/platform"
import { NodeSocketServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Schedule } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { Bus } from "../../src/bus/Bus.ts"
import { api } from "../../src/http/Api.ts"
import * as Http from "../../src/http/Server.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import type * as Serving from "../../src/runtime/Serving.ts"
import { claimOne } from "../support/claimOne.ts"
import { serving } from "../support/httpServer.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { receiveOne } from "../support/receiveOne.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const impatient = {
  lookEvery: Duration.millis(50),
  indexStall: Duration.millis(300),
  laneStall: Duration.millis(300)
}

const add = (folder: string) =>
  Effect.gen(function* () {
    const docs = join(folder, "docs")
    mkdirSync(docs)
    writeFileSync(join(docs, "note.md"), "# Note\n\nWhat is said here.\n")
    const { add } = yield* Writer
    return yield* add([docs], {
      scope: defaultScope,
      include: [],
      exclude: [],
      full: false,
      stop: undefined
    })
  })

const client = Effect.flatMap(Http.HttpAddress, ({ url }) =>
  Effect.zip(Effect.succeed(url), HttpApiClient.make(api, { baseUrl: url }))
)

const onServer = <A, E>(
  test: (
    folder: string
  ) => Effect.Effect<A, E, Effect.Effect.Context<ReturnType<typeof add> | typeof client> | Reader | Bus>,
  options?: Partial<Serving.ServingOptions>,
  settings?: Parameters<typeof serving>[2]
) =>
  Effect.gen(function* () {
    const folder = yield* temporaryDirectory
    const layer = Layer.merge(serving(folder, options, settings), FetchHttpClient.layer)
    return yield* Effect.provide(test(folder), layer)
  }).pipe(Effect.scoped)

describe("a server over HTTP", { timeout: 60_000 }, () => {
  it.live("says how it is, and what it stands on", () =>
    onServer((folder) =>
      Effect.gen(function* () {
        const [url, http] = yield* client
        yield* add(folder)
        assert.deepStrictEqual(yield* http.healthz(), { healthy: true })
        assert.deepStrictEqual(yield* http.readyz(), { ready: true })

        const info = yield* http.info()
        assert.deepInclude(info, { name: "reprise", version: "1.2.3", runtime: "serve" })
        assert.deepStrictEqual(
          Object.values(info.boundaries).map(({ state }) => state),
          ["active", "active", "active", "active"]
        )

        const status = yield* http.status({ urlParams: {} })
        assert.deepInclude(status, { documents: 1, runtime: "serve", ready: true, healthy: true })
        assert.deepStrictEqual(
          status.actors.map(({ name, state }) => [name, state]),
          [
            ["coordinator", "running"],
            ["indexer", "running"],
            ["ingestor", "running"],
            ["embedder", "running"]
          ]
        )
        assert.isAtLeast(status.workers.length, 2)
        const stored = yield* Effect.flatMap(Reader, (reader) => reader.status())
        assert.deepStrictEqual(status.generations, stored.generations)

        yield* Effect.flatMap(Reader, (reader) =>
          reader.search({
            scope: defaultScope,
            query: "said",
            mode: "sparse",
            limit: 1,
            filter: {},
            waitMs: 0
          })
        )
        const metrics = yield* http.metrics()
        assert.include(metrics, `reprise_head_position ${status.log.headPosition}\n`)
        assert.include(metrics, 'reprise_generation_lag_events{generation="g001",state="live"')
        assert.include(metrics, 'reprise_lane_jobs{lane="prepare",state="completed"} 1\n')
        assert.match(metrics, /reprise_searches_total\{.*mode="sparse".*\} [1-9]/)
        assert.match(metrics, /reprise_search_duration_seconds_bucket\{le="\+Inf"\} [1-9]/)
        // Every line is a comment or a sample: name, labels, number.
        for (const line of metrics.trimEnd().split("\n"))
          assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{(\w+="[^"]*",?)*\})? [0-9.e+-]+)$/)

        const get = (path: string) => Effect.flatMap(HttpClient.get(`${url}${path}`), ({ json }) => json)
        const description = yield* get("/openapi.json")
        assert.hasAllKeys(Reflect.get(Object(description), "paths"), [
          "/healthz",
          "/readyz",
          "/v1/info",
          "/v1/status",
          "/metrics"
        ])
        assert.deepInclude(yield* get("/nowhere"), { _tag: "Refused", code: "not-found" })
        for (const query of ["team=Not%20A%20Name", "team=one&team=two"]) {
          const wrong = yield* HttpClient.get(`${url}/v1/status?${query}`)
          assert.strictEqual(wrong.status, 400)
          assert.deepInclude(yield* wrong.json, { _tag: "Refused", code: "invalid" })
        }
        const narrowed = yield* http.status({ urlParams: { team: "other" } })
        assert.strictEqual(narrowed.documents, 0)
        const foreign = yield* HttpClient.get(`${url}/v1/info`, {
          headers: { origin: "http://evil.example" }
        })
        assert.strictEqual(foreign.status, 403)
      })
    )
  )

  it.scopedLive("does not start where its address is taken, and says which and why", () =>
    Effect.gen(function* () {
      const folder = yield* temporaryDirectory
      const { address } = yield* NodeSocketServer.make({ host: "127.0.0.1", port: 0 })
      assert(address._tag === "TcpAddress")
      const refused = yield* Effect.flip(Layer.build(serving(folder, {}, { http: { port: address.port } })))
      assert.strictEqual(
        refused.message,
        `The server cannot listen at 127.0.0.1:${address.port}: EADDRINUSE: address already in use. Set http.port (0 takes any that is free) or http.host.`
      )
    })
  )

  /** Asked again and again until it is unhealthy; a ping answers all the while. */
  const untilUnhealthy = Effect.gen(function* () {
    const [, http] = yield* client
    const failure = yield* http
      .healthz()
      .pipe(Effect.repeat({ schedule: Schedule.spaced("50 millis"), times: 400 }), Effect.flip)
    assert.deepInclude(yield* http.info(), { name: "reprise" })
    assert.strictEqual((yield* Effect.flip(http.readyz()))._tag, "NotReady")
    return failure._tag === "Unhealthy" ? failure.reasons : []
  })

  it.live("is unhealthy while the Indexer has something to apply and does not get on", () =>
    onServer(
      (folder) =>
        Effect.gen(function* () {
          yield* Effect.forkScoped(add(folder))
          const [reason = ""] = yield* untilUnhealthy
          assert.match(reason, /^indexer: \d+ waiting/)
        }).pipe(Effect.scoped),
      { watch: { ...impatient, laneStall: Duration.minutes(1) }, failpoints: "index.apply.before:1:hang" }
    )
  )

  it.live("is unhealthy while a lane has work and nobody does any", () =>
    onServer(
      (folder) =>
        Effect.gen(function* () {
          yield* Effect.forkScoped(add(folder))
          assert.include((yield* untilUnhealthy).join(), "lane prepare: 1 waiting")
        }).pipe(Effect.scoped),
      { watch: { ...impatient, indexStall: Duration.minutes(1) }, lanes: [] }
    )
  )

  it.live("waits for a provider that is away by the word of a worker elsewhere, and names it", () =>
    onServer(
      (folder) =>
        Effect.gen(function* () {
          const [, http] = yield* client
          const bus = yield* Bus
          yield* Effect.forkScoped(add(folder))
          const worker = "elsewhere"
          const postpone = Effect.gen(function* () {
            const { ack, value } = yield* receiveOne(bus, "embed")
            if (value.lane !== "embed") return
            const { attempt, jobId, lane, model: code } = value
            yield* claimOne(bus, { lane, jobId, attempt, worker, code })
            const [provider, message] = ["openai at elsewhere", "HTTP 503."]
            yield* bus.report([
              { _tag: "Postponed", jobId, attempt, worker, provider, message, refused: false }
            ])
            yield* ack
          })
          yield* Effect.forkScoped(Effect.forever(postpone))
          const status = http.status({ urlParams: {} })
          yield* status.pipe(
            Effect.repeat({
              until: ({ providers }) => providers.some(({ circuit }) => circuit === "open"),
              schedule: Schedule.spaced("20 millis")
            }),
            Effect.timeout("10 seconds")
          )
          // For longer than a lane may stand still.
          yield* http.healthz().pipe(Effect.repeat({ schedule: Schedule.spaced("100 millis"), times: 8 }))
          const { healthy, problems } = yield* status
          assert.isFalse(healthy)
          assert.include(
            problems.join(),
            "The embedding provider openai at elsewhere fails and is asked again soon: HTTP 503."
          )
          assert.strictEqual((yield* http.info()).boundaries.embedding.state, "errored")
        }).pipe(Effect.scoped),
      { watch: { ...impatient, indexStall: Duration.minutes(1) }, lanes: ["prepare"] }
    )
  )

  it.live("shows a provider that fails, when it is asked again, and what it said; its documents wait", () =>
    Effect.gen(function* () {
      const provider = yield* makeProviderServer()
      provider.always({ kind: "status", status: 503 })
      const seen = (folder: string) =>
        Effect.gen(function* () {
          const [url, http] = yield* client
          const adding = yield* Effect.forkScoped(add(folder))
          const status = http.status({ urlParams: {} })
          const open = yield* status.pipe(
            Effect.filterOrFail(({ providers }) => providers[0]?.circuit === "open"),
            Effect.retry(Schedule.spaced("50 millis")),
            Effect.timeout("30 seconds")
          )
          const name = `openai at ${provider.url}`
          assert.deepInclude(open.providers[0], { provider: name, circuit: "open" })
          assert.isAbove(open.providers[0]?.pauseMs ?? 0, 0)
          assert.include(open.providers[0]?.lastError?.message ?? "", "HTTP 503")
          assert.deepInclude(open, { ready: true, healthy: false })
          assert.match(
            open.problems.join(),
            /provider openai at .* fails and is asked again in \d+ s: .*HTTP 503/
          )
          const metrics = yield* Effect.flatMap(HttpClient.get(`${url}/metrics`), ({ text }) => text)
          assert.include(metrics, `reprise_provider_circuit_open{provider="${name}"} 1`)
          // Once it lives it may still want patience, and gets it.
          provider.next({ kind: "busy", retryAfter: "0.2" }, { kind: "busy" })
          provider.always(undefined)
          assert.deepInclude(yield* Fiber.join(adding), { added: 1, parked: 0, failed: 0 })
          const after = yield* status
          assert.deepInclude(after.providers[0], { circuit: "closed", pauseMs: 0 })
          assert.isTrue(after.healthy)
        }).pipe(Effect.scoped)
      const embedding = { provider: "openai", url: provider.url, model: "test", dimensions: 8 } as const
      yield* onServer(seen, undefined, { embedding })
    }).pipe(Effect.scoped)
  )
})
