import { assert, describe, it } from "@effect/vitest"
import { longestRetryAfterMs, retryAfterMs, usualRetryAfterMs } from "../../src/embedding/RetryAfter.ts"

const now = Date.parse("2026-01-01T00:00:00Z")

describe("E1 Retry-After", () => {
  const cases: ReadonlyArray<readonly [string, string | undefined, number]> = [
    ["seconds", "7", 7_000],
    ["a part of a second", "0.25", 250],
    ["a date", "Thu, 01 Jan 2026 00:00:09 GMT", 9_000],
    ["a date that has passed", "Wed, 31 Dec 2025 00:00:00 GMT", 0],
    ["0", "0", 0],
    ["−1", "-1", 0],
    ["10⁹", "1000000000", longestRetryAfterMs],
    ["a number beyond all numbers", "9".repeat(400), longestRetryAfterMs],
    ["a date in ten years", "Tue, 01 Jan 2036 00:00:00 GMT", longestRetryAfterMs],
    ["nothing", undefined, usualRetryAfterMs],
    ["an empty value", " ", usualRetryAfterMs],
    ["nonsense", "soon", usualRetryAfterMs]
  ]
  for (const [name, header, expected] of cases)
    it(`reads ${name}`, () => assert.strictEqual(retryAfterMs(header, now), expected))
})
