/** What scripts go by: the codes that docs/cli.md lists. */
import { assert, describe, it } from "@effect/vitest"
import { exitCodeOf, exitCodeOfReceipt } from "../../src/cli/Exit.ts"

const whole = { requested: 3, failed: 0, held: 0, parked: 0, rejected: 0 }

describe("the exit code", () => {
  it("of a receipt is 0 where all was done, and 1 where anything was not", () => {
    assert.strictEqual(exitCodeOfReceipt(whole), 0)
    for (const lacking of [{ failed: 1 }, { held: 1 }, { parked: 1 }, { skippedSources: ["a"] }])
      assert.strictEqual(exitCodeOfReceipt({ ...whole, ...lacking }), 1, JSON.stringify(lacking))
  })

  it("of a receipt is 2 where every path was refused, not where some were", () => {
    assert.strictEqual(exitCodeOfReceipt({ ...whole, failed: 3, rejected: 3 }), 2)
    assert.strictEqual(exitCodeOfReceipt({ ...whole, failed: 2, rejected: 2 }), 1)
  })

  it("of what was interrupted is 130, whatever else happened", () => {
    assert.strictEqual(exitCodeOfReceipt({ ...whole, failed: 1, interrupted: true }), 130)
  })

  it("of an error tells what to change, what to wait for, and who to wait for", () => {
    const codes = ["LogFailed", "ConfigInvalid", "EngineUnavailable", "LogLocked"].map((_tag) =>
      exitCodeOf({ _tag, message: "" })
    )
    assert.deepStrictEqual(codes, [1, 2, 3, 4])
  })
})
