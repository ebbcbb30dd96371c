import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { addRoot, built, replayed, withRuntime } from "../support/embeddedRuntime.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { searchingProcess } from "../support/secondProcess.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

const small = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const
const large = { files: { jobs: 1 }, embedding: { dimensions: 96 } } as const

const sum = (ledger: ReadonlyMap<string, number>): number =>
  [...ledger.values()].reduce((total, count) => total + count, 0)

describe("a second model", () => {
  it.scopedLive(
    "is built beside the live generation while another process searches, promoted, and replayed back and forth",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const data = yield* temporaryDirectory
        writeMixedTree(root)
        yield* withRuntime(data, small, addRoot(root))
        const first = assertWhole(data, "first model")
        const other = yield* searchingProcess(data, small, "sparse", "the keeper of the lighthouse")
        const before = yield* other.until(({ degraded }) => !degraded)
        const build = yield* withRuntime(data, large, built)
        assert.isTrue(build.fingerprint.equal)
        assert.strictEqual(build.embeddings.computed, [...first.vectors.values()][0], "each input once")
        yield* other.until(({ generation }) => generation === build.generation.to)
        const second = assertWhole(data, "second model")
        assert.notStrictEqual(second.index.fingerprint, first.index.fingerprint)

        const paid = sum(second.ledger)
        const again = yield* withRuntime(data, large, replayed)
        assert.deepStrictEqual([again.fingerprint.equal, again.embeddings.computed], [true, 0])
        assert.strictEqual(assertWhole(data, "replayed").index.fingerprint, second.index.fingerprint)
        const back = yield* withRuntime(data, small, built)
        assert.deepStrictEqual([back.fingerprint.equal, back.embeddings.computed], [true, 0])
        assert.strictEqual(assertWhole(data, "back").index.fingerprint, first.index.fingerprint)
        const forth = yield* withRuntime(data, large, built)
        assert.deepStrictEqual([forth.fingerprint.equal, forth.embeddings.computed], [true, 0])
        const last = assertWhole(data, "forth")
        assert.strictEqual(last.index.fingerprint, second.index.fingerprint)
        assert.strictEqual(sum(last.ledger), paid, "only missing vectors are computed")

        yield* other.until(({ generation }) => generation === forth.generation.to)
        assert.deepStrictEqual(other.failures, [])
        for (const { hits } of other.seen) assert.sameMembers([...hits], [...before.hits])
      }),
    180_000
  )

  it.scopedLive(
    "is built to its end also where every vector it needs was recorded before",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const data = yield* temporaryDirectory
        const file = join(root, "note.md")
        const text = "# Tides\n\nThe tide comes twice a day.\n"
        writeFileSync(file, text)
        yield* withRuntime(data, small, addRoot(root))
        yield* withRuntime(data, large, built)
        writeFileSync(file, "# Tides\n\nSomebody has doubts.\n")
        yield* withRuntime(data, large, addRoot(root))
        writeFileSync(file, text)
        yield* withRuntime(data, large, addRoot(root))
        // A version that the first model has not seen, of a text whose vectors it made long ago.
        const back = yield* withRuntime(data, small, built).pipe(
          Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error("It did not end.") })
        )
        assert.deepStrictEqual([back.fingerprint.equal, back.embeddings.computed], [true, 0])
        assertWhole(data, "back")
      }),
    60_000
  )
})
