/** Who goes out to the provider when, and what is asked for once. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, TestClock } from "effect"
import { Batches, type Gathered, longestFor, type Taken } from "../../actors/Embedder/Batches.ts"
import { type Digest, defaultScope, jobId, ProjectName, sha256 } from "../../events/index.ts"
import { checkedModel } from "../../src/embedding/CheckedModel.ts"
import { ProviderUnavailable } from "../../src/embedding/EmbeddingModel.ts"
import { makePace, type PacingSettings, paced } from "../../src/embedding/Pacing.ts"
import { documentNamed, hashing } from "../support/writeSide.ts"

const model = { ...hashing, batchSize: 4, concurrency: 2 }

const orderOf = (name: string, inputs: ReadonlyArray<Digest>, project = "default"): Taken => {
  const order = {
    lane: "embed",
    jobId: jobId(1, "embed", [name]),
    attempt: 1,
    scope: { ...defaultScope, project: ProjectName.make(project) },
    documentId: documentNamed(name),
    version: 1,
    descriptor: sha256(name),
    textBlob: sha256(name),
    manifestBlob: sha256(name),
    model: model.fingerprint,
    inputs
  } as const
  return {
    order,
    delivery: { value: order, ack: Effect.void, inProgress: Effect.void },
    left: new Set(inputs)
  }
}

/** A server that takes what it is sent, and never answers. */
const hanging = (once: Duration.Duration, settings: PacingSettings) =>
  Effect.map(makePace("hanging", settings), (pace) => {
    const failure = new ProviderUnavailable({ provider: "hanging", detail: "no complete answer" })
    const request = () => Effect.delay(Effect.fail(failure), once)
    return checkedModel(paced({ ...hashing, timeout: once, request }, pace, settings))
  })

const inputsOf = (name: string, count: number): ReadonlyArray<Digest> =>
  Array.from({ length: count }, (_, n) => sha256(`${name} ${n}`))
const take = (batches: Batches, taken: Taken) =>
  batches.add([[taken, new Map(taken.order.inputs.map((input) => [input, `text of ${input}`]))]], model)
const projectOf = ({ scope }: Gathered): string => scope.project

describe("the time of a batch", () => {
  for (const attempts of [1, 3])
    for (const patience of [0, 10, 300])
      for (const count of [1, 64])
        it.effect(
          `is not over before a server that hangs was found to be away: ${count} inputs, ${attempts} attempts, ${patience} s of patience`,
          () =>
            Effect.gen(function* () {
              const settings = { attempts, patience: Duration.seconds(patience), concurrency: 4 }
              const model = yield* hanging(Duration.minutes(1), settings)
              const order = orderOf("hangs", inputsOf("hangs", count))
              const batches = new Batches()
              const texts = new Map(order.order.inputs.map((input) => [input, `text of ${input}`]))
              yield* batches.add([[order, texts]], model)
              const batch = yield* batches.asWaiting(batches.next)
              const inputs = batch.items.map(({ input, text }) => ({ id: input, text }))
              const embedding = yield* Effect.fork(
                // A clock of a test keeps no fractions of milliseconds.
                Effect.flip(Effect.timeout(model.embed(inputs), longestFor(batch))).pipe(
                  Effect.withRandom(Random.fixed([0.5]))
                )
              )
              yield* TestClock.adjust("1 day")
              assert.strictEqual((yield* Fiber.join(embedding))._tag, "ProviderUnavailable")
            })
        )
})

describe("batches", () => {
  it.effect("of a project with few inputs go out beside those of one that always has a full one", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      yield* take(batches, orderOf("few", inputsOf("few", 2), "small"))
      const sent: Array<string> = []
      for (let n = 0; n < 8; n++) {
        yield* take(batches, orderOf(`many ${n}`, inputsOf(`many ${n}`, model.batchSize * 2), "large"))
        sent.push(projectOf(yield* batches.next))
      }
      assert.strictEqual(sent.filter((project) => project === "small").length, 1, sent.join(", "))
      assert.isAtMost(sent.indexOf("small"), 4)
    })
  )

  it.effect("that are full go first, and a partial one when nothing more waits", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      yield* take(batches, orderOf("few", inputsOf("few", 2), "small"))
      yield* take(batches, orderOf("many", inputsOf("many", model.batchSize), "large"))
      assert.strictEqual(projectOf(yield* batches.next), "large")
      const last = yield* batches.asWaiting(batches.next)
      assert.deepStrictEqual([projectOf(last), last.items.length], ["small", 2])
    })
  )

  it.effect("answer an order that came while its inputs were asked for", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      const inputs = inputsOf("shared", model.batchSize)
      const first = orderOf("first", inputs)
      const second = orderOf("second", [...inputs.slice(0, 2), ...inputsOf("own", 1)])
      yield* take(batches, first)
      const asked = yield* batches.next
      yield* take(batches, second)
      assert.sameMembers([...batches.answered(asked)], [first, second])
      assert.deepStrictEqual(batches.finish(asked, () => false).over, [first])
      const rest = yield* batches.asWaiting(batches.next)
      assert.deepStrictEqual(
        rest.items.map(({ input }) => input),
        inputsOf("own", 1)
      )
      batches.answered(rest)
      assert.deepStrictEqual(batches.finish(rest, () => false).over, [second])
      assert.deepStrictEqual(batches.orders(), [])
    })
  )

  it.effect("are not joined once the provider has answered", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      const inputs = inputsOf("shared", model.batchSize)
      yield* take(batches, orderOf("first", inputs))
      const asked = yield* batches.next
      batches.answered(asked)
      yield* take(batches, orderOf("second", inputs))
      assert.strictEqual((yield* batches.next).items.length, model.batchSize)
    })
  )

  it.effect("make room when they are given up, also where nothing is left", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      const large = orderOf("large", inputsOf("large", 5 * model.batchSize * model.concurrency))
      yield* take(batches, large)
      const room = yield* Effect.fork(batches.untilRoom)
      const batch = yield* batches.next
      yield* Effect.yieldNow()
      assert.deepStrictEqual(batches.giveUp(batch), [large])
      yield* Fiber.join(room)
    })
  )

  it.effect("hold nothing of an order that was dropped but what others need, too", () =>
    Effect.gen(function* () {
      const batches = new Batches()
      const dropped = orderOf("dropped", inputsOf("shared", 3))
      yield* take(batches, dropped)
      yield* take(batches, orderOf("kept", inputsOf("shared", 1)))
      batches.drop(dropped)
      const batch = yield* batches.asWaiting(batches.next)
      assert.deepStrictEqual(
        batch.items.map(({ input }) => input),
        inputsOf("shared", 1)
      )
    })
  )
})
