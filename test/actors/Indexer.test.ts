import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Layer, Logger, LogLevel, TestClock, TestServices } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import * as IndexerActor from "../../actors/Indexer.ts"
import { Supervisor } from "../../actors/Supervisor.ts"
import { DocumentRemove } from "../../events/Commands.ts"
import { defaultScope, type GenerationId } from "../../events/Ids.ts"
import { Projections, type ProjectionsService } from "../../src/index/Projections.ts"
import { Log } from "../../src/log/Log.ts"
import { firstSpec, generation, openGeneration, promoteGeneration } from "../support/corpus.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import {
  addSource,
  documentNamed,
  nextCommandId,
  nextKey,
  submitOf,
  writeSide
} from "../support/writeSide.ts"

const unused = () => Effect.dieMessage("The Indexer does not ask for it.")

/** Is at the head after an apply. */
const applying = (apply: Effect.Effect<void>, upkeep?: Effect.Effect<void>) => advancing(() => apply, upkeep)

const advancing = (
  apply: (generation: GenerationId) => Effect.Effect<void, never, Log>,
  upkeep: Effect.Effect<void> = Effect.void,
  inserted: () => number = () => 0
) =>
  Layer.effect(
    Projections,
    Effect.map(Log, (log): ProjectionsService => {
      return {
        standing: () => Effect.succeed(undefined),
        ready: Effect.void,
        advance: (generation) =>
          apply(generation).pipe(
            Effect.provideService(Log, log),
            Effect.zipRight(Effect.orDie(log.head)),
            Effect.map(({ position }) => ({
              checkpoint: position,
              events: 1,
              inserted: inserted(),
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

const inRealTime = TestServices.provideLive(Effect.sleep("20 millis"))

/** Documents that are under way for as long as they are not removed. */
const submitted = (names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const coordinator = yield* Coordinator
    yield* coordinator.ask(addSource())
    for (const name of names) yield* coordinator.ask(submitOf(name, "text"))
    yield* inRealTime
  })

const removalOf = (name: string) =>
  new DocumentRemove({
    commandId: nextCommandId(),
    scope: defaultScope,
    documentId: documentNamed(name),
    reason: "requested",
    orderKey: nextKey()
  })

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

  it.scopedLive(
    "goes on after a bug in what it does besides: clearing up after generations, and upkeep",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const bug = Effect.die(new Error("A bug."))
        const projections = Layer.map(applying(Effect.void, bug), (context) =>
          Context.make(Projections, { ...Context.get(context, Projections), clear: bug })
        )
        yield* Effect.gen(function* () {
          const indexer = yield* IndexerActor.Indexer
          const restarts = Effect.map(
            Effect.flatMap(Supervisor, ({ actors }) => actors),
            (all) => all.find(({ name }) => name === "indexer")?.restarts ?? 0
          )
          yield* (yield* Coordinator).ask(addSource())
          yield* restarts.pipe(
            Effect.delay("10 millis"),
            Effect.repeat({ until: (count) => count >= 2 }),
            Effect.timeout("10 seconds")
          )
          const { position } = yield* (yield* Coordinator).ask(submitOf("one", "text"))
          const { applied } = yield* indexer.status
          yield* Effect.timeout(indexer.untilVisible(position), "10 seconds")
          yield* indexer.status.pipe(
            Effect.delay("10 millis"),
            Effect.repeat({ until: (now) => now.applied > applied }),
            Effect.timeout("10 seconds")
          )
        }).pipe(
          Effect.provide(
            IndexerActor.layer.pipe(Layer.provide(projections), Layer.provideMerge(writeSide({ directory })))
          ),
          Logger.withMinimumLogLevel(LogLevel.None)
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
    "gathers what begins while documents are under way, then for twice as long as an apply took, unless somebody waits for it",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        let applies = 0
        const slow = Effect.suspend(() => {
          applies++
          return Effect.sleep("20 millis")
        })
        const applied = (times: number) => Effect.repeat(inRealTime, { until: () => applies >= times })
        const passing = (millis: number) =>
          Effect.zipRight(TestClock.adjust(Duration.millis(millis)), inRealTime)
        yield* Effect.gen(function* () {
          const coordinator = yield* Coordinator
          const indexer = yield* IndexerActor.Indexer
          yield* submitted(["one", "two", "three", "four", "five"])
          yield* applied(1)
          yield* passing(20)
          yield* passing(500)
          yield* passing(60)
          applies = 0
          yield* coordinator.ask(removalOf("one"))
          yield* inRealTime
          yield* passing(24)
          assert.strictEqual(applies, 0)
          yield* passing(1)
          yield* applied(1)
          yield* passing(20)
          yield* coordinator.ask(removalOf("two"))
          yield* inRealTime
          yield* passing(39)
          assert.strictEqual(applies, 1)
          yield* passing(1)
          yield* applied(2)
          yield* passing(20)
          const { position } = yield* coordinator.ask(removalOf("three"))
          yield* inRealTime
          assert.strictEqual(applies, 2)
          yield* Effect.fork(indexer.untilVisible(position))
          yield* applied(3)
        }).pipe(
          Effect.provide(
            IndexerActor.layer.pipe(
              Layer.provide(applying(slow)),
              Layer.provideMerge(
                writeSide({ directory, workers: false, settings: { tick: Duration.seconds(1) } })
              )
            )
          )
        )
      })
  )

  it.scoped("applies at once when no document is under way any more", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      let applies = 0
      const apply = Effect.sync(() => void applies++)
      const applied = (times: number) => Effect.repeat(inRealTime, { until: () => applies >= times })
      yield* Effect.gen(function* () {
        const coordinator = yield* Coordinator
        yield* submitted(["one"])
        yield* applied(1)
        yield* Effect.zipRight(TestClock.adjust("500 millis"), inRealTime)
        applies = 0
        yield* coordinator.ask(removalOf("one"))
        yield* applied(1)
      }).pipe(
        Effect.provide(
          IndexerActor.layer.pipe(
            Layer.provide(applying(apply)),
            Layer.provideMerge(
              writeSide({ directory, workers: false, settings: { tick: Duration.seconds(1) } })
            )
          )
        )
      )
    })
  )

  it.scoped("lets nobody wait for events that change nothing of what is seen, and follows them later", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const indexer = yield* IndexerActor.Indexer
        const visible = Effect.map(indexer.status, (status) => status.visible)
        yield* submitted(["one"])
        yield* Effect.repeat(inRealTime, { until: () => Effect.map(visible, (at) => at > 0) })
        const before = yield* visible
        const { position: last } = yield* (yield* Coordinator).ask(submitOf("two", "text"))
        yield* indexer.untilVisible(last)
        assert.strictEqual(yield* visible, before)
        assert.isBelow(before, last)
        yield* inRealTime
        yield* TestClock.adjust("499 millis")
        yield* inRealTime
        assert.strictEqual(yield* visible, before)
        yield* TestClock.adjust("1 millis")
        yield* Effect.repeat(inRealTime, { until: () => Effect.map(visible, (at) => at >= last) })
      }).pipe(
        Effect.provide(
          IndexerActor.layer.pipe(
            Layer.provide(applying(Effect.void)),
            Layer.provideMerge(
              writeSide({ directory, workers: false, settings: { tick: Duration.seconds(1) } })
            )
          )
        )
      )
    })
  )

  it.scoped(
    "puts nothing in order while a successor is made, unless points come to the live generation",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        let upkeep = 0
        let inserted = 0
        const passing = (millis: number) =>
          Effect.zipRight(TestClock.adjust(Duration.millis(millis)), inRealTime)
        yield* Effect.gen(function* () {
          const coordinator = yield* Coordinator
          const indexer = yield* IndexerActor.Indexer
          const news = (name: string) =>
            Effect.gen(function* () {
              yield* coordinator.ask(removalOf(name))
              yield* inRealTime
              yield* passing(25)
              yield* passing(600)
            })
          yield* submitted(["one", "two", "three", "another"])
          yield* passing(500)
          yield* passing(600)
          assert.strictEqual(upkeep, 1)
          const made = yield* Effect.makeLatch(false)
          const making = yield* Effect.fork(indexer.whileSucceeded(made.await))
          yield* inRealTime
          yield* news("one")
          assert.strictEqual(upkeep, 1)
          inserted = 1
          yield* news("two")
          assert.strictEqual(upkeep, 2)
          inserted = 0
          yield* news("three")
          assert.strictEqual(upkeep, 3)
          yield* made.open
          yield* Fiber.join(making)
          yield* inRealTime
          yield* passing(500)
          yield* passing(600)
          assert.strictEqual(upkeep, 4)
          const failing = yield* Effect.fork(indexer.whileSucceeded(Effect.never))
          yield* inRealTime
          yield* news("another")
          assert.strictEqual(upkeep, 4)
          yield* Fiber.interrupt(failing)
          yield* inRealTime
          yield* passing(500)
          yield* passing(600)
          assert.strictEqual(upkeep, 5)
        }).pipe(
          Effect.provide(
            IndexerActor.layer.pipe(
              Layer.provide(
                advancing(
                  () => Effect.void,
                  Effect.sync(() => void upkeep++),
                  () => inserted
                )
              ),
              Layer.provideMerge(
                writeSide({ directory, workers: false, settings: { tick: Duration.seconds(1) } })
              )
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
      const passing = (millis: number) =>
        Effect.zipRight(TestClock.adjust(Duration.millis(millis)), inRealTime)
      yield* Effect.gen(function* () {
        const coordinator = yield* Coordinator
        const news = (n: number) =>
          Effect.gen(function* () {
            yield* coordinator.ask(removalOf(`document ${n}`))
            yield* inRealTime
            yield* passing(25)
          })
        yield* submitted(["document 0", "document 1", "document 2", "another"])
        yield* passing(500)
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
            Layer.provideMerge(
              writeSide({ directory, workers: false, settings: { tick: Duration.seconds(1) } })
            )
          )
        )
      )
    })
  )
})
