import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Either, Stream } from "effect"
import { sharedReading } from "../../src/index/SharedReading.ts"

/** As threads answer: by the event loop. */
const turnOfTheLoop = Effect.async<void>((resume) => void setImmediate(() => resume(Effect.void)))

const parts = Array.from({ length: 20 }, (_, at) => at)

/** Who read what, in the order in which it was read. */
const readers = (elsewhere: (part: number) => Effect.Effect<number | undefined>) => {
  const [here, there]: [Array<number>, Array<number>] = [[], []]
  const read = sharedReading(
    parts,
    (part) =>
      Effect.sync(() => {
        here.push(part)
        return part
      }),
    (part) => Effect.tap(elsewhere(part), (one) => Effect.sync(() => one !== undefined && there.push(one)))
  )
  return { here, there, all: Effect.map(Stream.runCollect(read), Chunk.toReadonlyArray) }
}

describe("parts that two read", () => {
  it.effect("come in their order, each read once, whoever is quicker", () =>
    Effect.gen(function* () {
      const quick = (part: number) => Effect.succeed(part)
      const slow = (part: number) => Effect.as(Effect.repeatN(turnOfTheLoop, 7), part)
      for (const elsewhere of [quick, slow, (part: number) => (part % 3 === 0 ? quick : slow)(part)]) {
        const { all, here, there } = readers(elsewhere)
        assert.deepStrictEqual(yield* all, parts)
        assert.sameMembers([...here, ...there], parts)
        assert.isAbove(there.length, 0)
        // Who is waited for is not waited for idly.
        if (elsewhere !== quick) assert.isAbove(here.length, 0)
      }
    })
  )

  it.effect("go to a thread as often as it has answered, although the caller's is blocked in between", () =>
    Effect.gen(function* () {
      const { all, there } = readers((part) => Effect.as(turnOfTheLoop, part))
      assert.deepStrictEqual(yield* all, parts)
      assert.isAbove(there.length, parts.length / 2)
    })
  )

  it.effect("are read here where the other one does not", () =>
    Effect.gen(function* () {
      const { all, here } = readers((part) => Effect.succeed(part > 5 ? undefined : part))
      assert.deepStrictEqual(yield* all, parts)
      assert.includeMembers(
        here,
        parts.filter((part) => part > 5)
      )
    })
  )

  it.effect("do not pile up where the other one does not come to an end", () =>
    Effect.gen(function* () {
      const { all, here } = readers((part) => (part === 1 ? Effect.never : Effect.succeed(part)))
      const fiber = yield* Effect.fork(all)
      yield* Effect.repeatN(Effect.yieldNow(), 200)
      assert.isBelow(here.length, 10)
      yield* fiber.interruptAsFork(fiber.id())
    })
  )

  it.effect("end with the first failure", () =>
    Effect.gen(function* () {
      const failing = sharedReading(
        parts,
        (part) => (part === 4 ? Effect.fail("four") : Effect.succeed(part)),
        (part) => Effect.succeed(part === 4 ? undefined : part)
      )
      assert.deepStrictEqual(yield* Effect.either(Stream.runCollect(failing)), Either.left("four"))
    })
  )

  it.effect("are none where there are none", () =>
    Effect.gen(function* () {
      const none = sharedReading([], Effect.succeed, Effect.succeed)
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(none)), 0)
    })
  )
})
