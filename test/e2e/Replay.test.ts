import { rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { addRoot, replayed, withRuntime } from "../support/embeddedRuntime.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { type SecondProcess, searchingProcess } from "../support/secondProcess.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

const hashing = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const

/** No search failed, each found the same, and positions never fell. */
const assertUnbroken = ({ failures, seen }: SecondProcess) => {
  assert.deepStrictEqual(failures, [])
  assert.isNotEmpty(seen)
  let last = 0
  for (const { hits, indexedPosition } of seen) {
    assert.deepStrictEqual(hits, seen[0]?.hits)
    assert.isAtLeast(indexedPosition, last)
    last = indexedPosition
  }
}

describe("a deleted index", () => {
  it.scopedLive(
    "is replayed from the log while another process searches: none fails, the fingerprint is equal, nothing is embedded",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const data = yield* temporaryDirectory
        writeMixedTree(root)
        yield* withRuntime(data, hashing, addRoot(root))
        const before = assertWhole(data, "added")
        const other = yield* searchingProcess(data, hashing, "hybrid", "the keeper of the lighthouse")
        const whole = yield* other.until(({ degraded }) => !degraded)
        assert.isNotEmpty(whole.hits)
        rmSync(join(data, "index"), { recursive: true })
        rmSync(root, { recursive: true })
        yield* other.until(({ degraded, generation }) => degraded && generation === null)
        const result = yield* withRuntime(data, hashing, replayed)
        assert.isTrue(result.fingerprint.equal)
        assert.strictEqual(result.fingerprint.actual, before.index.fingerprint)
        assert.strictEqual(result.embeddings.computed, 0)
        const after = yield* other.until(({ degraded }) => !degraded)
        assert.strictEqual(after.generation, result.generation.to)
        assertUnbroken(other)
        const { index, ledger } = assertWhole(data, "replayed")
        assert.strictEqual(index.fingerprint, before.index.fingerprint)
        assert.deepStrictEqual(ledger, before.ledger)
      }),
    120_000
  )

  it.scopedLive(
    "with its state, its source and its provider gone is replayed all the same",
    () =>
      Effect.gen(function* () {
        const root = yield* temporaryDirectory
        const data = yield* temporaryDirectory
        writeMixedTree(root)
        const { before, settings } = yield* Effect.scoped(
          Effect.gen(function* () {
            const provider = yield* makeProviderServer()
            const settings = {
              files: { jobs: 1 },
              embedding: {
                provider: "openai",
                url: provider.url,
                model: "test-model",
                patience: "1s",
                attempts: 2
              }
            } as const
            const first = yield* withRuntime(data, settings, addRoot(root))
            assert.strictEqual(first.parked + first.failed, 0, JSON.stringify(first.failures))
            const asked = provider.connections().opened
            assert.isAbove(provider.embedded(), 0)
            const again = yield* withRuntime(data, settings, addRoot(root))
            assert.strictEqual(again.unchanged, again.requested - again.skipped)
            assert.strictEqual(provider.connections().opened, asked, "an unchanged add reached the provider")
            return { before: assertWhole(data, "added"), settings }
          })
        )
        const other = yield* searchingProcess(data, settings, "sparse", "the keeper of the lighthouse")
        yield* other.until(({ degraded }) => !degraded)
        for (const name of ["index", "state"]) rmSync(join(data, name), { recursive: true })
        rmSync(root, { recursive: true })
        yield* other.until(({ degraded }) => degraded)
        const result = yield* withRuntime(data, settings, replayed)
        assert.isTrue(result.fingerprint.equal)
        assert.strictEqual(result.embeddings.computed, 0)
        yield* other.until(({ degraded }) => !degraded)
        assertUnbroken(other)
        const { index, ledger } = assertWhole(data, "replayed")
        assert.strictEqual(index.fingerprint, before.index.fingerprint)
        assert.deepStrictEqual(ledger, before.ledger)
      }),
    120_000
  )
})
