/** Names of workers, on a real server: each is one worker's at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Exit, Scope } from "effect"
import { NatsConnection } from "../../src/bus/nats/Connection.ts"
import { takeName } from "../../src/bus/nats/WorkerName.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"

describe("the name of a worker", { timeout: 30_000 }, () => {
  it.scopedLive("is refused to a second one, which hears who has it, and is free once that one is gone", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer()
      const taken = (name: string, holder: string) =>
        Effect.flatMap(connected(url), (nats) =>
          Effect.provideService(takeName(name, holder), NatsConnection, nats)
        )
      const first = yield* Scope.make()
      yield* Scope.extend(taken("left", "process 1 on a"), first)
      // Several times: what the two drew does not decide between one that is there and one that starts.
      for (let tries = 0; tries < 6; tries++) {
        const refused = yield* Effect.flip(taken("left", "process 2 on b"))
        assert.strictEqual(refused._tag, "WorkerNameTaken")
        assert.match(refused.message, /^Another worker is called left: process 1 on a, since .*--name/)
      }
      yield* taken("left.of.others", "process 3 on b")
      yield* Scope.close(first, Exit.void)
      yield* taken("left", "process 4 on b")
    })
  )

  it.scopedLive("is one's alone where several start at the same moment", () =>
    Effect.gen(function* () {
      const { url } = yield* natsServer()
      const connections = yield* Effect.replicateEffect(connected(url), 4)
      const ends = yield* Effect.forEach(
        connections,
        (nats, at) => Effect.either(Effect.provideService(takeName("left", `${at}`), NatsConnection, nats)),
        { concurrency: "unbounded" }
      )
      assert.lengthOf(ends.filter(Either.isRight), 1)
    })
  )
})
