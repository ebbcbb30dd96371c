/** What a server says over HTTP while the NATS server that it stands on is away. */
import { FetchHttpClient, HttpApiClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, LogLevel, Schedule } from "effect"
import { api } from "../../src/http/Api.ts"
import * as Http from "../../src/http/Server.ts"
import { serving } from "../support/httpServer.ts"
import { natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

describe("a server whose bus is away", { timeout: 60_000 }, () => {
  it.scopedLive("is not ready and says why, lives on, and is ready again once the bus is back", () =>
    Effect.gen(function* () {
      const nats = yield* natsServer()
      const folder = yield* temporaryDirectory
      const server = serving(folder, {}, { bus: "nats", nats: { url: nats.url } })
      yield* Effect.gen(function* () {
        const { url } = yield* Http.HttpAddress
        const http = yield* HttpApiClient.make(api, { baseUrl: url })
        assert.deepStrictEqual(yield* http.readyz(), { ready: true })
        yield* nats.kill
        const soon = { schedule: Schedule.spaced("50 millis"), times: 200 }
        const failure = yield* http.readyz().pipe(Effect.repeat(soon), Effect.flip)
        assert(failure._tag === "NotReady")
        assert.match(failure.reasons.join(), /^The nats bus is not connected/)
        assert.deepStrictEqual(yield* http.healthz(), { healthy: true })
        assert.strictEqual((yield* http.info()).boundaries.bus.state, "errored")
        assert.include(yield* http.metrics(), 'reprise_bus_connected{kind="nats"} 0\n')
        yield* nats.restart("kept")
        assert.deepStrictEqual(yield* Effect.retry(http.readyz(), soon), { ready: true })
      }).pipe(Effect.provide(Layer.merge(server, FetchHttpClient.layer)))
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
