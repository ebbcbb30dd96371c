/** A command with which the Coordinator crashes whenever it decides about it. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Either, Layer, Logger, LogLevel, Schedule } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { type Command, scopeKey } from "../../events/index.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, submitOf, writeSide } from "../support/writeSide.ts"

const restarts = (supervisor: Context.Tag.Service<Supervisor>) =>
  Effect.map(supervisor.actors, (actors) => actors.find(({ name }) => name === "coordinator")?.restarts)

describe("a command that crashes the Coordinator", { timeout: 60_000 }, () => {
  it.scopedLive(
    "is refused after a bounded number of crashes; those that were sent beside it are accepted",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const bad = submitOf("bad", "# Bad\n\nA text.")
        const context = yield* Layer.build(
          writeSide({
            directory,
            workers: false,
            log: (log) => ({
              ...log,
              write: (batch) =>
                batch.appends?.some(
                  (append) => append.cause === bad.commandId && scopeKey(append) === scopeKey(bad.scope)
                ) === true
                  ? Effect.die(new Error("A bug."))
                  : log.write(batch)
            })
          })
        )
        const coordinator = Context.get(context, Coordinator)
        const supervisor = Context.get(context, Supervisor)
        /** As every sender does: again, under the same id. */
        const ask = (command: Command) =>
          Effect.retry(coordinator.ask(command), {
            while: ({ _tag }) => _tag === "ActorRestarted",
            schedule: Schedule.spaced("20 millis")
          })
        yield* ask(addSource())
        const good = ["one", "two", "three"].map((name) => submitOf(name, `# ${name}\n\nA text.`))
        const [badly, ...well] = yield* Effect.forEach([bad, ...good], (one) => Effect.either(ask(one)), {
          concurrency: "unbounded"
        })
        assert(badly !== undefined && Either.isLeft(badly) && badly.left._tag === "CommandRefused")
        assert.strictEqual(badly.left.code, "crashed")
        for (const one of well) assert.strictEqual(Either.getOrThrow(one).outcome, "accepted")

        const before = yield* restarts(supervisor)
        assert.isAtMost(before ?? 0, 3)
        assert.strictEqual((yield* Effect.flip(ask(bad)))._tag, "CommandRefused")
        assert.strictEqual(yield* restarts(supervisor), before)
      }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
  )
})
