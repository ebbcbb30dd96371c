import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Logger, LogLevel, Option, TestClock } from "effect"
import { type Actor, type Reply, spawn } from "../../actors/Actor.ts"
import { Escalated, supervised, usualPolicy } from "../../actors/Supervision.ts"
import { Supervisor } from "../../actors/Supervisor.ts"

type Message =
  | { readonly _tag: "Echo"; readonly text: string; readonly reply: Reply<string, never> }
  | { readonly _tag: "Crash"; readonly reply: Reply<string, never> }
  | { readonly _tag: "Hang" }

/** Echoes one message at a time; crashes or hangs when told to. */
const parrot = (capacity = 8) =>
  spawn<Message, never, never>({
    name: "parrot",
    capacity,
    behaviour: (inbox) =>
      Effect.forever(
        Effect.flatMap(inbox.takeAll, (messages) =>
          Effect.forEach(
            messages,
            (message) => {
              switch (message._tag) {
                case "Echo":
                  inbox.done(1)
                  return Effect.sync(() => message.reply.succeed(message.text))
                case "Crash":
                  return Effect.die(new Error("It choked."))
                case "Hang":
                  return Effect.never
              }
            },
            { discard: true }
          )
        )
      )
  })
const echo = (actor: Actor<Message>, text: string) =>
  actor.ask<string, never>((reply) => ({ _tag: "Echo", text, reply }))
const crash = (actor: Actor<Message>) => actor.ask<string, never>((reply) => ({ _tag: "Crash", reply }))

const actorTest = (name: string, test: (actor: Actor<Message>) => Effect.Effect<void, unknown, Supervisor>) =>
  it.scoped(name, () =>
    Effect.flatMap(parrot(), test).pipe(
      Effect.provide(Supervisor.layer),
      Logger.withMinimumLogLevel(LogLevel.None)
    )
  )

describe("an actor", () => {
  actorTest("answers what it is asked", (actor) =>
    Effect.gen(function* () {
      assert.strictEqual(yield* echo(actor, "hello"), "hello")
      const status = yield* actor.status
      assert.deepStrictEqual([status.state, status.processed, status.failed], ["running", 1, 0])
    })
  )

  actorTest("fails the asks that are pending when it crashes, and answers the next ones", (actor) =>
    Effect.gen(function* () {
      const crashed = yield* Effect.fork(Effect.flip(crash(actor)))
      assert.strictEqual((yield* Fiber.join(crashed))._tag, "ActorRestarted")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* echo(actor, "again"), "again")
      const status = yield* actor.status
      assert.deepStrictEqual([status.restarts, status.failed], [1, 1])
      assert.match(status.lastError ?? "", /It choked/)
    })
  )

  it.scoped("A3: makes a sender wait while its mailbox is full", () =>
    Effect.gen(function* () {
      const actor = yield* parrot(2)
      yield* actor.tell({ _tag: "Hang" })
      yield* Effect.yieldNow()
      for (const _ of [1, 2]) yield* actor.tell({ _tag: "Hang" })
      const third = yield* Effect.fork(actor.tell({ _tag: "Hang" }))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(Option.isNone(yield* Fiber.poll(third)))
      yield* Fiber.interrupt(third)
    }).pipe(Effect.provide(Supervisor.layer))
  )

  it.effect("lets nobody wait for ever when it is stopped", () =>
    Effect.gen(function* () {
      const pending = yield* Effect.scoped(
        Effect.gen(function* () {
          const actor = yield* parrot()
          yield* actor.tell({ _tag: "Hang" })
          yield* Effect.yieldNow()
          return yield* Effect.fork(Effect.flip(echo(actor, "anybody there?"))).pipe(
            Effect.tap(() => Effect.yieldNow())
          )
        })
      ).pipe(Effect.provide(Supervisor.layer))
      assert.strictEqual((yield* Fiber.join(pending))._tag, "ActorRestarted")
    })
  )

  actorTest("A2: that hangs with something to do makes the whole not ready, and says so", (actor) =>
    Effect.gen(function* () {
      const supervisor = yield* Supervisor
      assert.deepStrictEqual(yield* supervisor.health, { ready: true, healthy: true, reasons: [] })
      yield* actor.tell({ _tag: "Hang" })
      yield* TestClock.adjust("31 seconds")
      const health = yield* supervisor.health
      assert.deepStrictEqual([health.ready, health.healthy], [false, true])
      assert.match(health.reasons[0] ?? "", /^parrot: .*31 s/)
    })
  )

  it.scoped("A2: that is long at a batch, but gets on with it, is ready", () =>
    Effect.gen(function* () {
      const { health } = yield* Supervisor
      const actor = yield* spawn<number, never, never>({
        name: "plodder",
        capacity: 8,
        behaviour: (inbox) =>
          Effect.forever(
            Effect.flatMap(inbox.takeAll, (messages) =>
              Effect.forEach(
                messages,
                () =>
                  Effect.map(Effect.sleep("20 seconds"), () => {
                    inbox.done(1)
                  }),
                { discard: true }
              )
            )
          )
      })
      for (const message of [1, 2, 3]) yield* actor.tell(message)
      for (const _ of [1, 2]) {
        yield* TestClock.adjust("20 seconds")
        assert.isTrue((yield* health).ready)
      }
      yield* TestClock.adjust("19 seconds")
      assert.isTrue((yield* health).ready)
    }).pipe(Effect.provide(Supervisor.layer))
  )

  actorTest("that is idle for long is ready", (actor) =>
    Effect.gen(function* () {
      yield* echo(actor, "hello")
      yield* TestClock.adjust("1 hour")
      assert.isTrue((yield* Effect.flatMap(Supervisor, ({ health }) => health)).ready)
    })
  )

  actorTest("A1: that always fails is given up, and the whole is not healthy", (actor) =>
    Effect.gen(function* () {
      const supervisor = yield* Supervisor
      const ended = yield* Effect.fork(Effect.flip(supervisor.failure))
      for (let crashes = 0; crashes <= usualPolicy.restarts; crashes++) {
        const crashed = yield* Effect.fork(Effect.either(crash(actor)))
        while (Option.isNone(yield* Fiber.poll(crashed))) yield* TestClock.adjust("1 second")
      }
      assert.strictEqual((yield* Fiber.join(ended)).actor, "parrot")
      const health = yield* supervisor.health
      assert.deepStrictEqual([health.ready, health.healthy], [false, false])
      assert.strictEqual((yield* Effect.flip(echo(actor, "hello")))._tag, "ActorRestarted")
    })
  )
})

describe("supervision", () => {
  const policy = { ...usualPolicy, restarts: 4 }
  /** Crashes each time, and notes when it was started. */
  const crashing = (starts: Array<number>) =>
    supervised(
      "test",
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        starts.push(now)
        return Effect.die(new Error("Again."))
      }),
      { policy, onCrash: () => Effect.void, onRestart: Effect.void }
    ).pipe(Logger.withMinimumLogLevel(LogLevel.None))

  it.effect("waits longer after each crash and escalates when there are too many in a window", () =>
    Effect.gen(function* () {
      const starts: Array<number> = []
      const fiber = yield* Effect.fork(Effect.flip(crashing(starts)))
      yield* TestClock.adjust("1 minute")
      const escalated = yield* Fiber.join(fiber)
      assert.instanceOf(escalated, Escalated)
      assert.strictEqual(escalated.crashes, policy.restarts + 1)
      const delays = starts.slice(1).map((start, at) => start - (starts[at] ?? 0))
      for (const [at, delay] of delays.entries()) {
        const expected = Duration.toMillis(policy.firstDelay) * 2 ** at
        assert.isAtLeast(delay, expected * 0.8 - 1)
        assert.isAtMost(delay, expected * 1.2 + 1)
      }
    })
  )

  it.effect("forgives after a quiet window", () =>
    Effect.gen(function* () {
      let crashes = 0
      const fiber = yield* Effect.fork(
        supervised(
          "test",
          Effect.suspend(() => {
            crashes++
            return Effect.zipRight(Effect.sleep("61 seconds"), Effect.die(new Error("Again.")))
          }),
          { policy, onCrash: () => Effect.void, onRestart: Effect.void }
        ).pipe(Logger.withMinimumLogLevel(LogLevel.None))
      )
      for (let minutes = 0; minutes < 30; minutes++) yield* TestClock.adjust("72 seconds")
      assert.isAbove(crashes, 20)
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      yield* Fiber.interrupt(fiber)
    })
  )
})
