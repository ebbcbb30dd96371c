/** Names of workers, on a real server: each is one worker's at a time. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Either, Exit, Option, Scope } from "effect"
import { NatsConnection } from "../../src/bus/nats/Connection.ts"
import { takeName } from "../../src/bus/nats/WorkerName.ts"
import { natsServer } from "../support/NatsServer.ts"
import { connected } from "../support/natsClient.ts"
import { type Wire, wireTo } from "../support/Wire.ts"

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

  const silenced = (
    title: string,
    silence: (wire: Wire) => { readonly from: Effect.Effect<void>; readonly to: Effect.Effect<void> }
  ) =>
    it.scopedLive(`${title}: the one that comes back is told who has it, and the other one stays`, () =>
      Effect.gen(function* () {
        const { port, url } = yield* natsServer()
        const wire = yield* wireTo(port)
        const { from, to } = silence(wire)
        const takenAt = (at: string, holder: string) =>
          Effect.flatMap(connected(at), (nats) =>
            Effect.provideService(takeName("left", holder), NatsConnection, nats)
          )
        const first = yield* takenAt(`nats://127.0.0.1:${wire.port}`, "process 1 on a")
        yield* from
        const second = yield* takenAt(url, "process 2 on b")
        yield* to
        const told = yield* Effect.flip(first.lost).pipe(Effect.timeout("10 seconds"))
        assert.match(told.message, /^Another worker is called left: process 2 on b, since /)
        assert.isTrue(Option.isNone(yield* Effect.timeoutOption(second.lost, "200 millis")))
        assert.match((yield* Effect.flip(takenAt(url, "process 3 on c"))).message, /process 2 on b/)
      })
    )

  silenced("is lost by one that was cut off", ({ cut, mend }) => ({ from: cut, to: mend }))
  silenced("is lost by one that was frozen", ({ hold, letGo }) => ({ from: hold, to: letGo }))
})
