import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { decodeEvent } from "reprise/events"
import { layer, TestRuntime } from "reprise/testing"
import { forget, recall, remember } from "../Memory.ts"

const untilVisible = Effect.flatMap(TestRuntime, (runtime) => runtime.untilVisible)

describe("a memory", () => {
  it.effect("recalls what it was told, about whom it was told", () =>
    Effect.gen(function* () {
      yield* remember("1", "Ada prefers tea in the morning.", "ada")
      yield* remember("2", "Grace prefers coffee in the morning.", "grace")
      yield* untilVisible
      assert.deepStrictEqual(yield* recall("what to drink in the morning", "ada"), [
        "Ada prefers tea in the morning."
      ])
    }).pipe(Effect.provide(layer()))
  )

  it.effect("forgets", () =>
    Effect.gen(function* () {
      yield* remember("1", "Ada prefers tea.", "ada")
      yield* untilVisible
      yield* forget("1")
      yield* untilVisible
      assert.deepStrictEqual(yield* recall("tea", "ada"), [])
    }).pipe(Effect.provide(layer()))
  )

  it("can read the events of a log", () => {
    const event = decodeEvent("JobRetried", 1, { jobId: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a06" })
    assert.strictEqual(event._tag, "Right")
  })
})
