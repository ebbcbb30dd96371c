/** One account is for one data directory: who serves a second one in it hears of the first, on a real server. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Schedule, Scope } from "effect"
import { NatsConnection } from "../../src/bus/nats/Connection.ts"
import { servingAlone } from "../../src/bus/nats/SoleServer.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"

describe("an account of a NATS server", { timeout: 30_000 }, () => {
  it.scopedLive(
    "is refused to who serves a second data directory in it, and is free once the first is gone",
    () =>
      Effect.gen(function* () {
        const { url } = yield* natsServer()
        const serving = (holder: string) =>
          Effect.flatMap(connected(url), (nats) =>
            Effect.provideService(servingAlone(holder), NatsConnection, nats)
          )
        const first = yield* Scope.make()
        yield* Scope.extend(serving("reprise serve, process 1 on a"), first)
        yield* Effect.flatMap(connected(url), (nats) =>
          nats.request("reprise.server", '{"instance":"x","holder":"x","since":0}', {
            timeout: Duration.seconds(1)
          })
        ).pipe(Effect.retry(Schedule.recurs(50)), Effect.scoped)
        const refused = yield* Effect.flip(Effect.scoped(serving("reprise serve, process 2 on b")))
        assert.strictEqual(refused._tag, "AccountTaken")
        assert.match(refused.message, /: by reprise serve, process 1 on a, since \d{4}-/)
        yield* Scope.close(first, Exit.void)
        yield* serving("reprise serve, process 3 on b")
      })
  )
})
