/** What a server says over HTTP while the NATS server that it stands on is away. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { FetchHttpClient, HttpApiClient } from "@effect/platform"
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, LogLevel, Schedule } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { api } from "../../src/http/Api.ts"
import * as Http from "../../src/http/Server.ts"
import { type Status, Writer } from "../../src/runtime/Reprise.ts"
import { serving } from "../support/httpServer.ts"
import { natsServer } from "../support/NatsServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

describe("a server whose bus is away", { timeout: 60_000 }, () => {
  it.scopedLive("is not ready and says why, lives on, and is ready again once the bus is back", () =>
    Effect.gen(function* () {
      const nats = yield* natsServer()
      const folder = yield* temporaryDirectory
      const watch = {
        lookEvery: Duration.millis(50),
        laneStall: Duration.millis(300),
        indexStall: Duration.minutes(1)
      }
      const server = serving(folder, { watch }, { bus: "nats", nats: { url: nats.url } })
      yield* Effect.gen(function* () {
        const { url } = yield* Http.HttpAddress
        const http = yield* HttpApiClient.make(api, { baseUrl: url })
        assert.deepStrictEqual(yield* http.readyz(), { ready: true })
        yield* nats.kill
        const soon = { schedule: Schedule.spaced("50 millis"), times: 200 }
        const failure = yield* http.readyz().pipe(Effect.repeat(soon), Effect.flip)
        assert(failure._tag === "NotReady")
        assert.match(failure.reasons.join(), /^The nats bus is not connected/)
        // What is to be done meanwhile waits with it, for longer than a lane may stand still.
        writeFileSync(join(folder, "note.md"), "# Note\n\nWhat is said here.\n")
        const { add } = yield* Writer
        const options = { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined }
        const adding = yield* Effect.fork(add([join(folder, "note.md")], options))
        const working = ({ lanes }: { readonly lanes: Status["lanes"] }) =>
          lanes.some(({ processing, queued }) => processing + queued > 0)
        yield* http
          .status({ urlParams: {} })
          .pipe(Effect.repeat({ until: working, schedule: Schedule.spaced("20 millis") }))
        yield* http.healthz().pipe(Effect.repeat({ schedule: Schedule.spaced("100 millis"), times: 8 }))
        assert.strictEqual((yield* http.info()).boundaries.bus.state, "errored")
        assert.include(yield* http.metrics(), 'reprise_bus_connected{kind="nats"} 0\n')
        yield* nats.restart("kept")
        assert.deepStrictEqual(yield* Effect.retry(http.readyz(), soon), { ready: true })
        assert.deepInclude(yield* Fiber.join(adding), { added: 1, failed: 0 })
      }).pipe(Effect.provide(Layer.merge(server, FetchHttpClient.layer)))
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
