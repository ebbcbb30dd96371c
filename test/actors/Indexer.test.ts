import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Logger, LogLevel, TestClock, TestServices } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import * as IndexerActor from "../../actors/Indexer.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import type { GenerationId } from "../../events/Ids.ts"
import { Projections, type ProjectionsService } from "../../src/index/Projections.ts"
import { Log } from "../../src/log/Log.ts"
import { firstSpec, generation, openGeneration, promoteGeneration } from "../support/corpus.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, submitOf, writeSide } from "../support/writeSide.ts"

const unused = () => Effect.dieMessage("The Indexer does not ask for it.")

/** Is at the head after an apply. */
const applying = (apply: Effect.Effect<void>, upkeep?: Effect.Effect<void>) => advancing(() => apply, upkeep)

const advancing = (
  apply: (generation: GenerationId) => Effect.Effect<void, never, Log>,
  upkeep: Effect.Effect<void> = Effect.void
) =>
  Layer.effect(
    Projections,
    Effect.map(Log, (log): ProjectionsService => {
      return {
        advance: (generation) =>
          apply(generation).pipe(
            Effect.provideService(Log, log),
            Effect.zipRight(Effect.orDie(log.head)),
            Effect.map(({ position }) => ({
              checkpoint: position,
              events: 1,
              inserted: 0,
              ended: 0,
              atHead: true
            }))
          ),
        maintain: () => Effect.as(upkeep, false),
        clear: Effect.succeed(0),
        status: unused,
        verify: unused,
        sweep: unused,
        eraseDocuments: unused,
        recompute: unused,
        drop: unused,
        reset: unused
      }
    })
  )

/** Dies so many times, then is at the head at once. */
const dying = (deaths: number) => {
  let left = deaths
  return applying(Effect.suspend(() => (left-- > 0 ? Effect.die(new Error("A bug.")) : Effect.void)))
}

describe("the Indexer", () => {
  it.scopedLive(
    "is seen in the tree of actors, and makes the whole unready while a bug keeps it from its work",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        yield* Effect.gen(function* () {
          const coordinator = yield* Coordinator
          yield* coordinator.ask(addSource())
          const { actors, health } = yield* Supervisor
          const look = Effect.map(actors, (all) => all.find(({ name }) => name === "indexer"))
          const crashed = yield* look.pipe(
            Effect.delay("10 millis"),
            Effect.repeat({ until: (seen) => seen?.state === "restarting" }),
            Effect.timeout("10 seconds")
          )
          assert.strictEqual(crashed?.lastError, "Error: A bug.")
          const { healthy, ready, reasons } = yield* health
          assert.deepStrictEqual(
            { healthy, ready, reasons },
            {
              healthy: true,
              ready: false,
              reasons: ["indexer: restarting, Error: A bug."]
            }
          )
        }).pipe(
          Effect.provide(
            IndexerActor.layer.pipe(
              Layer.provide(dying(Number.POSITIVE_INFINITY)),
              Layer.provideMerge(writeSide({ directory }))
            )
          ),
          Logger.withMinimumLogLevel(LogLevel.None)
        )
      })
  )

  it.scopedLive("lets nobody wait for a generation that was replaced while it was applied to", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const mayApply = yield* Effect.makeLatch(false)
      const applied = new Set<string>()
      const replacing = Effect.zipRight(openGeneration(2, firstSpec, "replay"), promoteGeneration(2))
      const projections = advancing((to) =>
        Effect.gen(function* () {
          const isFirst = applied.size === 0
          applied.add(to)
          if (isFirst) yield* Effect.orDie(replacing)
          else if (to === generation(2)) yield* mayApply.await
        })
      )
      yield* Effect.gen(function* () {
        const indexer = yield* IndexerActor.Indexer
        const { position } = yield* (yield* Coordinator).ask(addSource())
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => applied.has(generation(2)) }).pipe(
          Effect.timeout("10 seconds")
        )
        const wait = yield* Effect.fork(indexer.untilVisible(position))
        yield* Effect.sleep("50 millis")
        assert.isNull(wait.unsafePoll())
        yield* mayApply.open
        yield* Effect.timeout(Fiber.join(wait), "10 seconds")
        assert.strictEqual((yield* indexer.status).generation, generation(2))
      }).pipe(
        Effect.provide(
          IndexerActor.layer.pipe(Layer.provide(projections), Layer.provideMerge(writeSide({ directory })))
        )
      )
    })
  )

  it.scopedLive("goes on after a bug, and has counted it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const coordinator = yield* Coordinator
        const indexer = yield* IndexerActor.Indexer
        yield* coordinator.ask(addSource())
        const { position } = yield* coordinator.ask(submitOf("one", "text"))
        yield* Effect.timeout(indexer.untilVisible(position), "10 seconds")
        assert.strictEqual((yield* indexer.status).failures, 2)
        const { actors, health } = yield* Supervisor
        const seen = (yield* actors).find(({ name }) => name === "indexer")
        assert.deepInclude(seen, {
          state: "running",
          mailbox: 0,
          restarts: 2,
          failed: 2,
          lastError: "Error: A bug.",
          stalledMs: 0
        })
        assert.isTrue((yield* health).ready)
      }).pipe(
        Effect.provide(
          IndexerActor.layer.pipe(Layer.provide(dying(2)), Layer.provideMerge(writeSide({ directory })))
        ),
        Logger.withMinimumLogLevel(LogLevel.None)
      )
    })
  )

  it.scoped(
    "gathers what begins, then for twice as long as an apply took, unless somebody waits for it",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        let applies = 0
        const slow = Effect.suspend(() => {
          applies++
          return Effect.sleep("20 millis")
        })
        const inRealTime = TestServices.provideLive(Effect.sleep("20 millis"))
        const applied = (times: number) => Effect.repeat(inRealTime, { until: () => applies >= times })
        yield* Effect.gen(function* () {
          const coordinator = yield* Coordinator
          const indexer = yield* IndexerActor.Indexer
          yield* coordinator.ask(addSource())
          yield* inRealTime
          yield* TestClock.adjust("24 millis")
          yield* inRealTime
          assert.strictEqual(applies, 0)
          yield* TestClock.adjust("1 millis")
          yield* applied(1)
          yield* TestClock.adjust("20 millis")
          yield* coordinator.ask(submitOf("one", "text"))
          yield* inRealTime
          yield* TestClock.adjust("39 millis")
          yield* inRealTime
          assert.strictEqual(applies, 1)
          yield* TestClock.adjust("1 millis")
          yield* applied(2)
          yield* TestClock.adjust("20 millis")
          const { position } = yield* coordinator.ask(submitOf("two", "text"))
          yield* inRealTime
          assert.strictEqual(applies, 2)
          yield* Effect.fork(indexer.untilVisible(position))
          yield* applied(3)
        }).pipe(
          Effect.provide(
            IndexerActor.layer.pipe(
              Layer.provide(applying(slow)),
              Layer.provideMerge(writeSide({ directory }))
            )
          )
        )
      })
  )

  it.scoped("puts upkeep off while news come, and not for ever", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      let upkeep = 0
      let applyMs = 0
      const inRealTime = TestServices.provideLive(Effect.sleep("20 millis"))
      const passing = (millis: number) =>
        Effect.zipRight(TestClock.adjust(Duration.millis(millis)), inRealTime)
      yield* Effect.gen(function* () {
        const coordinator = yield* Coordinator
        const news = (n: number) =>
          Effect.gen(function* () {
            yield* coordinator.ask(submitOf(`document ${n}`, "text"))
            yield* inRealTime
            yield* passing(25)
          })
        yield* coordinator.ask(addSource())
        yield* inRealTime
        yield* passing(25)
        yield* passing(25)
        yield* passing(600)
        assert.strictEqual(upkeep, 1)
        yield* news(0)
        yield* passing(499)
        assert.strictEqual(upkeep, 1)
        yield* passing(100)
        assert.strictEqual(upkeep, 2)
        yield* news(1)
        applyMs = 20_000
        yield* news(2)
        yield* passing(19_900)
        assert.strictEqual(upkeep, 2)
        yield* passing(200)
        assert.strictEqual(upkeep, 3)
      }).pipe(
        Effect.provide(
          IndexerActor.layer.pipe(
            Layer.provide(
              applying(
                Effect.suspend(() => Effect.sleep(applyMs)),
                Effect.sync(() => void upkeep++)
              )
            ),
            Layer.provideMerge(writeSide({ directory }))
          )
        )
      )
    })
  )
})
