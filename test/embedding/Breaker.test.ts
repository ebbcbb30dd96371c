import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import * as Breaker from "../../src/embedding/Breaker.ts"
import { longestRetryAfterMs } from "../../src/embedding/RetryAfter.ts"

/** After so many failures in a row, all at this time. */
const afterFailures = (count: number, now: number): Breaker.Breaker =>
  Array.from({ length: count }).reduce<Breaker.Breaker>(
    (state) => Breaker.failed(state, now, false),
    Breaker.initial
  )

describe("the breaker", () => {
  it("opens at the fifth failure in a row, not before", () => {
    assert.deepStrictEqual(Breaker.admission(afterFailures(4, 0), 0), { may: "ask" })
    assert.deepStrictEqual(Breaker.admission(afterFailures(5, 0), 0), { may: "wait", ms: 2_000 })
  })

  it("forgets failures when there is an answer between them", () => {
    const state = afterFailures(4, 0)
    assert.deepStrictEqual(Breaker.admission(Breaker.failed(Breaker.answered(state), 0, false), 0), {
      may: "ask"
    })
  })

  it("is not moved by failures of requests that were sent before it opened", () => {
    const open = afterFailures(5, 0)
    assert.deepStrictEqual(Breaker.failed(open, 1_999, false), open)
    const trial = Breaker.trying(open)
    assert.deepStrictEqual(Breaker.failed(trial, 2_500, false), trial)
  })

  it("admits one trial when its time is up", () => {
    const open = afterFailures(5, 0)
    assert.deepStrictEqual(Breaker.admission(open, 2_000), { may: "trial" })
    assert.deepStrictEqual(Breaker.admission(Breaker.trying(open), 2_000), { may: "outcome" })
  })

  it("lengthens a pause by one wave of 429, not by each member of it", () => {
    const first = Breaker.busy(Breaker.initial, 0, 10, 0)
    const second = Breaker.busy(first, 5, 20, 0)
    assert.strictEqual(second.waves, 1)
    assert.strictEqual(second.pausedUntil, 70)
  })

  it("keeps nobody waiting for more than two minutes at a time, whatever happened", () => {
    const step = fc.record({
      kind: fc.constantFrom("answered", "busy", "failed", "trial failed", "trying", "abandoned"),
      passed: fc.integer({ min: 0, max: 200_000 }),
      retryAfterMs: fc.integer({ min: 0, max: longestRetryAfterMs })
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        let state = Breaker.initial
        let now = 0
        for (const { kind, passed, retryAfterMs } of steps) {
          const began = now
          now += passed
          if (kind === "answered") state = Breaker.answered(state)
          if (kind === "busy") state = Breaker.busy(state, began, now, retryAfterMs)
          if (kind === "failed") state = Breaker.failed(state, now, false)
          if (kind === "trial failed") state = Breaker.failed(state, now, true)
          if (kind === "trying") state = Breaker.trying(state)
          if (kind === "abandoned") state = Breaker.abandoned(state, now)
          const verdict = Breaker.admission(state, now)
          if (verdict.may === "wait") assert.isAtMost(verdict.ms, longestRetryAfterMs)
        }
        // Whoever is on trial answers or is given up on: then somebody may ask.
        const later = Breaker.admission(Breaker.abandoned(state, now), now + longestRetryAfterMs)
        assert.include(["ask", "trial"], later.may)
      })
    )
  })
})
