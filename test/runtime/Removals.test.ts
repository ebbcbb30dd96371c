/** What a person takes out is out, whatever is accepted while it is being asked for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { compareKeys } from "../../actors/Coordinator/decide.ts"
import { defaultScope, documentId, type Outcome, sha256, sourceId } from "../../events/index.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import { keyAfterAll, removingAfterAll } from "../../src/runtime/Removals.ts"

const source = sourceId(defaultScope, "push", "tests")
const rowWith = (orderKey: string): DocumentRow => ({
  documentId: documentId(defaultScope, source, "one"),
  scope: defaultScope,
  sourceId: source,
  streamVersion: 1,
  submittedVersion: 1,
  submittedPosition: 1,
  raw: sha256("raw"),
  rawBytes: 1,
  descriptor: sha256("descriptor"),
  open: undefined,
  live: undefined,
  removed: undefined,
  parked: undefined,
  orderKey
})

describe("a removal that a person asks for", () => {
  it("comes after what was accepted, and before every revision that a sender may go on with", () => {
    for (const [accepted, next] of [
      ["v1", "v1.1"],
      ["2026-11-23", "2026-11-23T10:00"],
      ["2026-11-23", "2026-11-23 10:00"],
      ["000000000012", "000000000013"],
      ["", "1"]
    ] as const) {
      const removal = keyAfterAll({ orderKey: accepted })
      assert.isAbove(compareKeys(removal, accepted), 0, accepted)
      assert.isAbove(compareKeys(next, removal), 0, next)
    }
  })

  it.effect("is asked for again where something newer was accepted meanwhile", () =>
    Effect.gen(function* () {
      const asked: Array<readonly [key: string, times: number]> = []
      const outcomes: ReadonlyArray<Outcome> = ["superseded", "superseded", "removed"]
      const answer = yield* removingAfterAll(
        { document: () => Effect.succeed(rowWith(`key ${asked.length}`)) },
        rowWith("key 0"),
        (row, times) => {
          asked.push([keyAfterAll(row), times])
          return Effect.succeed({ outcome: outcomes[times] ?? "done", position: times, sequence: times })
        }
      )
      assert.deepStrictEqual([answer.outcome, answer.position], ["removed", 2])
      assert.deepStrictEqual(asked, [
        ["key 0 ", 0],
        ["key 1 ", 1],
        ["key 2 ", 2]
      ])
    })
  )
})
