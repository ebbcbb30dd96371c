/** Preparing in threads: who does not answer in time is ended, and somebody else takes the place. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import { layerInWorkers, Preparer } from "../../actors/Ingestor/Preparer.ts"
import { DocumentId } from "../../events/Ids.ts"
import { defaultChunkerSettings } from "../../src/documents/Chunker.ts"

const options = { chunkers: [defaultChunkerSettings], limits: { maxBytes: 1_000, maxChunks: 10 }, threads: 1 }

const prepareText = (text: string) =>
  Effect.flatMap(Preparer, (preparer) =>
    preparer.prepare({
      documentId: DocumentId.make("11111111-1111-5111-8111-111111111111"),
      raw: new TextEncoder().encode(text),
      descriptor: { externalId: "a.txt", uri: "file:///a.txt", mediaType: "text/plain", metadata: {} },
      chunker: defaultChunkerSettings
    })
  )
const prepare = prepareText("A text.")

describe("a pool of preparing threads", () => {
  it.scopedLive("ends a thread that does not answer in time, each time anew", () =>
    Effect.gen(function* () {
      // No thread has even begun within a millisecond.
      const failures = yield* Effect.all([Effect.flip(prepare), Effect.flip(prepare)])
      assert.deepStrictEqual(
        failures.map(({ code }) => code),
        ["timed-out", "timed-out"]
      )
    }).pipe(Effect.provide(layerInWorkers({ ...options, timeout: Duration.millis(1) })))
  )

  it.scopedLive("starts another thread where one document keeps the first for long", () =>
    Effect.gen(function* () {
      // Some seconds of work: whoever comes after it would wait for as long.
      const long = yield* Effect.fork(prepareText("A sentence of words. ".repeat(1_500_000)))
      yield* Effect.sleep("20 millis")
      const { _tag } = yield* prepare
      assert.strictEqual(_tag, "Prepared")
      assert.isTrue(Option.isNone(yield* Fiber.poll(long)))
      yield* Fiber.interrupt(long)
    }).pipe(
      Effect.provide(
        layerInWorkers({
          ...options,
          limits: { maxBytes: 40_000_000, maxChunks: 1_000_000 },
          threads: 2,
          timeout: Duration.minutes(1)
        })
      )
    )
  )

  it.scopedLive("answers with the same thread again", () =>
    Effect.gen(function* () {
      const answers = yield* Effect.all([prepare, prepare])
      assert.deepStrictEqual(
        answers.map(({ _tag }) => _tag),
        ["Prepared", "Prepared"]
      )
    }).pipe(Effect.provide(layerInWorkers({ ...options, timeout: Duration.minutes(1) })))
  )
})
