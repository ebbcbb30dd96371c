import { assert, describe, it } from "@effect/vitest"
import { documentStream, JobId, Position, sha256 } from "../../events/index.ts"
import { encodeBatch } from "../../src/log/EventEncoding.ts"
import type { Append } from "../../src/log/Log.ts"
import { fromSent, toSent } from "../../src/log/SentWrite.ts"
import { appendOf, blobOf, chunked, documentNamed, model, submitted } from "../support/logEvents.ts"

/** With a value in each of its fields. */
const whole: Required<Append> = {
  ...appendOf("cause", "a", [submitted("a", 1, "\ud800 ü"), chunked("a")]),
  causationId: "why",
  expected: [{ stream: "one", version: 3 }],
  expectedHead: Position.make(7),
  requires: { blobs: [sha256("blob")], vectors: { model, inputs: [sha256("input")] } },
  operational: [
    {
      kind: "attemptEnded",
      jobId: JobId.make("0f7e2a4c-6d1b-5c3e-8a90-1b2c3d4e5f60"),
      attempt: 1,
      endedAt: 2,
      outcome: "completed"
    }
  ]
}

describe("a write on its way to the log's thread", () => {
  it("arrives with every field that it has", () => {
    const blob = blobOf("body")
    const sent = encodeBatch(
      {
        appends: [
          whole,
          appendOf("another", "b", [submitted("b")], { correlationId: "neither" }),
          // Nothing of these is what stood before it, or all of it.
          { ...appendOf("cause", "b", [submitted("b")]), team: "one", project: "two", actor: "three" },
          { ...appendOf("cause", "b", [submitted("b")]), team: "one", project: "two", actor: "three" },
          { ...whole, correlationId: whole.cause },
          { ...appendOf("", "c", [submitted("c"), submitted("d")]), actor: "", correlationId: "" },
          { ...appendOf("none", "c", []), actor: "none", expected: [] },
          {
            ...appendOf("several", "c", []),
            events: ["c", "d", "d", "c"].flatMap((name) => appendOf("", name, [submitted(name)]).events),
            expected: [
              { stream: "a", version: 1 },
              { stream: documentStream(documentNamed("c")), version: 0 }
            ]
          }
        ],
        blobs: [blob],
        vectors: [
          {
            team: blob.team,
            project: blob.project,
            model,
            inputHash: sha256("input"),
            vector: Float32Array.of(0.6, 0.8)
          }
        ],
        operational: whole.operational
      },
      1_000
    )
    const part = { write: 3, isLast: true }
    const arrived = fromSent(structuredClone(toSent({ ...sent, part })))
    assert.deepEqual(JSON.parse(JSON.stringify(arrived)), JSON.parse(JSON.stringify({ ...sent, part })))
    assert.deepStrictEqual(arrived.vectors[0]?.vector, Float32Array.of(0.6, 0.8))
  })
})
