/** What the command line does with a model of this machine, and without the package that computes with it. */
import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { json, run } from "../support/CommandLine.ts"
import { type CliProcess, CliProcesses } from "../support/cliProcess.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { goesWithoutPeers, peersPath, writeTinyModel } from "../support/tinyModel.ts"

const texts = {
  "fruit.md": "apple and pear",
  "road.md": "bus and station and timetable",
  "long.md": "tree ".repeat(200)
}

const place = Effect.map(temporaryDirectory, (cwd) => {
  mkdirSync(join(cwd, "docs"))
  for (const [name, text] of Object.entries(texts)) writeFileSync(join(cwd, "docs", name), text)
  writeTinyModel(join(cwd, "model"))
  return {
    cwd,
    environment: {
      REPRISE_DATA_DIR: join(cwd, "data"),
      REPRISE_EMBEDDING_PROVIDER: "local",
      REPRISE_EMBEDDING_MODEL: join(cwd, "model")
    }
  }
})

describe("a model of this machine", { timeout: 120_000 }, () => {
  it.scopedLive("is refused where its package is not installed, with the command that installs it", () =>
    Effect.gen(function* () {
      const at = yield* place
      const refused = yield* run(["add", "docs"], at)
      assert.strictEqual(refused.code, 2)
      assert.include(refused.err, "the package @huggingface/transformers is not installed")
      assert.include(refused.err, "npm install --ignore-scripts @huggingface/transformers@4")
      const doctor = yield* json(["doctor"], at)
      assert.deepInclude(
        doctor.value.checks.find(({ check }: { readonly check: string }) => check === "provider"),
        { state: "failed" }
      )
    })
  )

  it.scopedLive("is not missed by a search that asks for words alone, whoever says so", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { REPRISE_DATA_DIR } = at.environment
      yield* run(["add", "docs"], { ...at, environment: { REPRISE_DATA_DIR } })
      assert.strictEqual((yield* run(["search", "apple"], at)).code, 2)
      const sparse = { ...at, environment: { ...at.environment, REPRISE_SEARCH_MODE: "sparse" } }
      for (const [words, outside] of [
        [["search", "apple", "--mode", "sparse"], at],
        [["search", "apple"], sparse]
      ] as const)
        assert.strictEqual((yield* json(words, outside)).value.hits.length, 1, words.join(" "))
    })
  )

  it.scopedLive.skipIf(goesWithoutPeers)("embeds what is added, and the words of a search", () =>
    Effect.gen(function* () {
      const { cwd, environment } = yield* place
      const processes = yield* Effect.acquireRelease(
        Effect.sync(() => new CliProcesses()),
        (all) => Effect.sync(() => all.killAll())
      )
      const ended = (started: CliProcess) => Effect.promise(() => started.ended)
      const reprise = (words: ReadonlyArray<string>, more = {}) =>
        Effect.map(
          ended(
            processes.start(["--json", ...words], {
              folder: cwd,
              environment: { ...environment, ...peersPath, ...more }
            })
          ),
          ({ code, err, out }) => {
            assert.strictEqual(err, "")
            return { code, value: JSON.parse(out) }
          }
        )
      const added = yield* reprise(["add", "docs"])
      assert.deepInclude(added, { code: 0 })
      assert.deepInclude(added.value, { added: 3, parked: 0, failed: 0 })
      const found = yield* reprise(["search", "timetable of a bus", "--mode", "dense", "--limit", "1"])
      assert.deepStrictEqual(
        found.value.hits.map(({ title }: { readonly title: string }) => title),
        ["road.md"]
      )
      // No model is needed for what is computed already, not even the one that computed it.
      const replayed = yield* reprise(["replay"], { REPRISE_EMBEDDING_PROVIDER: "hashing" })
      assert.deepInclude(replayed.value, { embeddings: { computed: 0, reused: 3 } })
      assert.isTrue(replayed.value.fingerprint.equal)
    })
  )
})
