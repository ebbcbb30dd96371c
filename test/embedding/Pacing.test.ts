import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Duration, Effect, Exit, Fiber, Option, Random, TestClock } from "effect"
import { ProviderBusy, ProviderRefused, ProviderUnavailable } from "../../src/embedding/EmbeddingModel.ts"
import { makePace, type PacingSettings, usualPacing } from "../../src/embedding/Pacing.ts"
import { Providers } from "../../src/embedding/Providers.ts"

const settings: PacingSettings = {
  ...usualPacing,
  concurrency: 2,
  attempts: 3,
  patience: Duration.minutes(5)
}
const busy = (retryAfterMs: number) => new ProviderBusy({ provider: "p", retryAfterMs })
const away = new ProviderUnavailable({ provider: "p", detail: "connection refused" })
const refused = new ProviderRefused({ provider: "p", detail: "no such model", inputs: [] })

/** Fails with these, one a call, then succeeds with the time; counts its calls and notes when they came. */
const script = (...failures: ReadonlyArray<ProviderBusy | ProviderUnavailable | ProviderRefused>) => {
  const times: Array<number> = []
  const call = Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const failure = failures[times.length]
    times.push(now)
    return failure === undefined ? Effect.succeed(now) : Effect.fail(failure)
  })
  return { call, times }
}

/** Runs it while virtual time passes, and says when it ended. */
const passing = <A, E>(effect: Effect.Effect<A, E>, duration: Duration.DurationInput = "20 minutes") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.fork(Effect.exit(effect))
    yield* TestClock.adjust(duration)
    return yield* Fiber.join(fiber)
  })

describe("Pacing", () => {
  it.effect("E1 waits as long as a 429 asks, and consumes no attempt", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const waits = Array.from({ length: 20 }, () => busy(10_000))
      const { call, times } = script(...waits)
      assert.isTrue(Exit.isSuccess(yield* passing(pace.run(call, "document"))))
      assert.deepStrictEqual(
        times,
        Array.from({ length: 21 }, (_, n) => n * 10_000)
      )
    })
  )

  it.effect("E1 shares one pause among all callers", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const first = script(busy(30_000))
      yield* Effect.fork(pace.run(first.call, "document"))
      yield* TestClock.adjust(1)
      const second = script()
      yield* Effect.fork(pace.run(second.call, "document"))
      yield* TestClock.adjust(29_998)
      assert.deepStrictEqual(second.times, [])
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(second.times, [30_000])
    })
  )

  it.effect("E1 waits longer and longer for a provider that says 0 and stays busy", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const { call, times } = script(busy(0), busy(0), busy(0), busy(0))
      yield* passing(pace.run(call, "document"))
      assert.deepStrictEqual(times, [0, 50, 150, 350, 750])
    })
  )

  it.effect("E1 is patient for so long and no longer", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const { call, times } = script(...Array.from({ length: 1_000 }, () => busy(60_000)))
      const exit = yield* passing(pace.run(call, "document"))
      assert.deepStrictEqual(times.at(-1), 300_000)
      assert.strictEqual(Exit.isFailure(exit), true)
      const error = yield* Effect.flip(exit)
      assert.isTrue(error._tag === "ProviderUnavailable" && error.unasked)
    })
  )

  it.effect("E1 answers a query at once when the pause is longer than a person waits", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      yield* Effect.fork(pace.run(script(busy(60_000)).call, "document"))
      yield* TestClock.adjust(1)
      const { call, times } = script()
      const error = yield* Effect.flip(pace.run(call, "query"))
      assert.strictEqual(error._tag, "ProviderUnavailable")
      assert.deepStrictEqual(times, [])
    })
  )

  it.effect("E2 tries again with growing pauses that chance spreads, then gives up with the cause", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const { call, times } = script(away, away, away, away)
      const exit = yield* passing(Effect.withRandom(pace.run(call, "document"), Random.make("seed")))
      assert.strictEqual(yield* Effect.flip(exit), away)
      assert.strictEqual(times.length, 3)
      const [first = 0, second = 0, third = 0] = times
      assert.isTrue(second - first >= 200 && second - first <= 300, `${second - first}`)
      assert.isTrue(third - second >= 400 && third - second <= 600, `${third - second}`)
    })
  )

  it.effect("does not repeat what was refused", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      const { call, times } = script(refused)
      assert.strictEqual(yield* Effect.flip(pace.run(call, "document")), refused)
      assert.strictEqual(times.length, 1)
    })
  )

  it.effect("sends no more requests at a time than configured", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      let atOnce = 0
      let most = 0
      const call = Effect.acquireUseRelease(
        Effect.sync(() => {
          most = Math.max(most, ++atOnce)
        }),
        () => Effect.sleep("1 second"),
        () =>
          Effect.sync(() => {
            atOnce--
          })
      )
      const all = Effect.all(
        Array.from({ length: 10 }, () => pace.run(call, "document")),
        { concurrency: "unbounded" }
      )
      assert.isTrue(Exit.isSuccess(yield* passing(all, "5 seconds")))
      assert.strictEqual(most, 2)
    })
  )

  it.effect("lets a query pass beside a full lane of documents", () =>
    Effect.gen(function* () {
      const pace = yield* makePace("p", settings)
      for (let n = 0; n < 4; n++) yield* Effect.fork(pace.run(Effect.sleep("1 hour"), "document"))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* pace.run(Effect.succeed("answer"), "query"), "answer")
    })
  )
})

describe("E2 the circuit breaker", () => {
  /** Five failures in a row. */
  const opened = Effect.gen(function* () {
    const pace = yield* makePace("p", { ...settings, attempts: 1 })
    for (let n = 0; n < 5; n++) yield* Effect.flip(pace.run(Effect.fail(away), "document"))
    return pace
  })

  it.effect("opens after failures in a row and shows it, with the last error", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(1_000)
      const pace = yield* opened
      const state = yield* pace.state
      assert.deepStrictEqual(state, {
        provider: "p",
        circuit: "open",
        since: 1_000,
        lastError: Option.some({ message: away.message, at: 1_000 }),
        pauseMs: 2_000
      })
    })
  )

  it.effect("keeps requests back while it is open, and lets one find out", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      const found = yield* Deferred.make<void>()
      let calls = 0
      const call = Effect.suspend(() => {
        calls++
        return Deferred.await(found)
      })
      const fibers = yield* Effect.all(
        Array.from({ length: 5 }, () => Effect.fork(pace.run(call, "document")))
      )
      yield* TestClock.adjust(1_999)
      assert.strictEqual(calls, 0)
      yield* TestClock.adjust(10)
      assert.strictEqual(calls, 1)
      assert.strictEqual((yield* pace.state).circuit, "half-open")
      yield* Deferred.succeed(found, undefined)
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(calls, 5)
      assert.strictEqual((yield* pace.state).circuit, "closed")
    })
  )

  it.effect("stays open longer after each trial that fails, up to a minute", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      const { call, times } = script(...Array.from({ length: 100 }, () => away))
      const again = Effect.repeatN(Effect.flip(pace.run(call, "document")), 7)
      assert.isTrue(Exit.isSuccess(yield* passing(again)))
      assert.deepStrictEqual(times, [2_000, 6_000, 14_000, 30_000, 62_000, 122_000, 182_000, 242_000])
    })
  )

  it.effect("closes when the provider answers 429: it lives", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      yield* passing(pace.run(script(busy(1_000)).call, "document"), "10 seconds")
      assert.strictEqual((yield* pace.state).circuit, "closed")
    })
  )

  it.effect("leaves the trial to the next caller when it is interrupted", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      const trial = yield* Effect.fork(pace.run(Effect.never, "document"))
      yield* TestClock.adjust("3 seconds")
      const next = yield* Effect.fork(pace.run(Effect.succeed("up"), "document"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interrupt(trial)
      assert.strictEqual(yield* Fiber.join(next), "up")
    })
  )

  it.effect("does not wait for ever behind a trial that hangs", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      yield* Effect.fork(pace.run(Effect.never, "document"))
      yield* TestClock.adjust("3 seconds")
      const exit = yield* passing(pace.run(Effect.succeed("up"), "query"), "6 seconds")
      assert.strictEqual((yield* Effect.flip(exit))._tag, "ProviderUnavailable")
    })
  )

  it.effect("is not moved by a clock that is set back", () =>
    Effect.gen(function* () {
      const pace = yield* opened
      const wall: Clock.Clock = yield* Effect.clock
      const back: Clock.Clock = {
        ...wall,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        unsafeCurrentTimeMillis: () => wall.unsafeCurrentTimeMillis() - 1e12,
        currentTimeMillis: Effect.map(wall.currentTimeMillis, (now) => now - 1e12),
        unsafeCurrentTimeNanos: () => wall.unsafeCurrentTimeNanos(),
        currentTimeNanos: wall.currentTimeNanos,
        sleep: (duration) => wall.sleep(duration)
      }
      const exit = yield* passing(
        Effect.withClock(pace.run(Effect.succeed("up"), "document"), back),
        "3 seconds"
      )
      assert.deepStrictEqual(exit, Exit.succeed("up"))
    })
  )

  it.effect("is shared by the models of a provider, and listed", () =>
    Effect.gen(function* () {
      const providers = yield* Providers
      const one = yield* providers.pace("openai at http://a", settings)
      assert.strictEqual(yield* providers.pace("openai at http://a", settings), one)
      yield* providers.pace("openai at http://b", settings)
      const states = yield* providers.states
      assert.deepStrictEqual(
        states.map(({ circuit, provider }) => [provider, circuit]),
        [
          ["openai at http://a", "closed"],
          ["openai at http://b", "closed"]
        ]
      )
    }).pipe(Effect.provide(Providers.layer))
  )
})
