/** Who asks for work, as the status view shows it. */
import { assert, describe, it } from "@effect/vitest"
import { Workers } from "../../actors/Coordinator/Workers.ts"
import { jobId } from "../../events/index.ts"
import type { Claim } from "../../src/bus/Bus.ts"
import { chunker, hashing } from "../support/writeSide.ts"

const request = {
  lane: "prepare",
  jobId: jobId(1, "prepare", ["a"]),
  attempt: 1,
  worker: "left",
  code: chunker.fingerprint,
  version: "1.2.3"
} as const
const granted: Claim = { _tag: "Granted" }
const over: Claim = { _tag: "Refused", reason: "The job is over." }
const unfit: Claim = { _tag: "Refused", reason: "It needs other code.", unfit: true }

describe("workers", () => {
  it("are known by their lane and name, with their version and what they were answered", () => {
    const workers = new Workers()
    workers.note(request, granted, 1)
    workers.note({ ...request, worker: "another" }, granted, 2)
    workers.note(request, over, 3)
    assert.deepStrictEqual(
      workers.all.map(({ granted, refused, seenAt, version, worker }) => [
        worker,
        version,
        granted,
        refused,
        seenAt
      ]),
      [
        ["another", "1.2.3", 1, 0, 2],
        ["left", "1.2.3", 1, 1, 3]
      ]
    )
  })

  it("stay unfit until they come with other code or get work", () => {
    const workers = new Workers()
    const reason = () => workers.all[0]?.unfit
    workers.note(request, unfit, 1)
    assert.strictEqual(reason(), "It needs other code.")
    workers.note(request, over, 2)
    assert.strictEqual(reason(), "It needs other code.")
    workers.note({ ...request, code: hashing.fingerprint }, over, 3)
    assert.isUndefined(reason())
  })

  it("are forgotten, the longest absent first, beyond a bound", () => {
    const workers = new Workers()
    for (let n = 0; n < 1100; n++) workers.note({ ...request, worker: `w${n}` }, granted, n)
    assert.strictEqual(workers.all.length, 1024)
    assert.isUndefined(workers.all.find(({ worker }) => worker === "w0"))
    assert.isDefined(workers.all.find(({ worker }) => worker === "w1099"))
  })
})
