import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { documentTerms } from "../../src/documents/SparseVector.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const root = join(import.meta.dirname, "..", "..")
const file = join(root, "test", "golden", "sparse-vectors.json")
const golden: ReadonlyArray<{
  readonly language: string
  readonly text: string
  readonly vector: ReadonlyArray<{ readonly stem: string; readonly id: number; readonly weight: number }>
}> = JSON.parse(readFileSync(file, "utf8"))

describe("golden sparse vectors", () => {
  for (const { language, text, vector } of golden)
    it(`${language}: ${text}`, () => {
      const analyzer = makeAnalyzer({ language, unicodeVersion: "15.1" })
      assert.sameMembers(
        [...analyzer.analyze(text).terms.keys()],
        vector.map(({ stem }) => stem)
      )
      const { ids, weights } = documentTerms(analyzer.spelt(text)).sparse
      assert.deepStrictEqual(
        [...ids],
        vector.map(({ id }) => id)
      )
      assert.strictEqual(weights.length, vector.length)
      for (const [at, { stem, weight }] of vector.entries())
        assert.approximately(weights[at] ?? Number.NaN, weight, 1e-6, stem)
    })

  it.scoped("are what scripts/golden-sparse.js computes", () =>
    Effect.gen(function* () {
      const again = join(yield* temporaryDirectory, "again.json")
      execFileSync(process.execPath, [join(root, "scripts", "golden-sparse.js"), again])
      assert.strictEqual(readFileSync(again, "utf8"), readFileSync(file, "utf8"))
    })
  )
})
