import { assert, describe, it } from "@effect/vitest"
import { Chunk, Effect, Stream } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { LogReader } from "../../src/log/Log.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { addSource, documentNamed, submitOf, type WriteSide, writeSide } from "../support/writeSide.ts"

const onDisk = (name: string, test: Effect.Effect<void, unknown, WriteSide>) =>
  it.scopedLive(name, () =>
    Effect.flatMap(temporaryDirectory, (directory) => Effect.provide(test, writeSide({ directory })))
  )

const typesOf = Effect.gen(function* () {
  const reader = yield* LogReader
  const events = yield* Stream.runCollect(reader.read(0))
  return [...Chunk.toReadonlyArray(events)].map(({ type }) => type)
})

describe("the life of a mutation", () => {
  onDisk(
    "goes from submission to commit, each step an event",
    Effect.gen(function* () {
      const coordinator = yield* Coordinator
      yield* coordinator.ask(addSource())
      const answer = yield* coordinator.ask(submitOf("one", "# One\n\nThe first document.\n"))
      assert.strictEqual(answer.outcome, "accepted")
      assert.strictEqual(answer.version, 1)
      const end = yield* coordinator.ended(documentNamed("one"), 1)
      assert.strictEqual(end.outcome, "committed")
      assert.deepStrictEqual(end.embeddings, { computed: 1, reused: 0 })
      assert.deepStrictEqual(yield* typesOf, [
        "GenerationOpened",
        "GenerationPromoted",
        "SourceAdded",
        "DocumentSubmitted",
        "DocumentChunked",
        "VectorsRecorded",
        "DocumentCommitted"
      ])
      yield* coordinator.idle
    })
  )
})
