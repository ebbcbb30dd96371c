import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Runtime } from "effect"
import { ProjectName, type ProjectScope, TeamName } from "../../events/Ids.ts"
import { Reader, type Writer } from "../../src/runtime/Reprise.ts"
import {
  applyToTree,
  expectedFiles,
  type History,
  type HistoryProject,
  historyOf,
  historyProjects,
  rootOf
} from "../model/History.ts"
import { addRoot, replayed, withRuntime } from "../support/embeddedRuntime.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

/** `REPRISE_HISTORIES=1000`, and `REPRISE_SEED` for the first of them. */
const histories = Number(process.env["REPRISE_HISTORIES"] ?? 12)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 1)

/** Nothing is held: that a sync may remove much is what `Sync.test.ts` is about. */
const settings = { files: { jobs: 1, removalThreshold: 1 }, embedding: { dimensions: 32 } } as const

const scopeOf = (project: HistoryProject): ProjectScope => ({
  team: TeamName.make("history"),
  project: ProjectName.make(project)
})

/** Performs the history under one open runtime: each `sync` is an `add` of the project's root. */
const perform = (history: History, directory: string) =>
  Effect.gen(function* () {
    const run = Runtime.runPromise(yield* Effect.runtime<Reader | Writer>())
    yield* Effect.promise(() =>
      applyToTree(history, directory, async (project) => {
        const receipt = await run(addRoot(rootOf(directory, project), scopeOf(project)))
        assert.deepStrictEqual([receipt.failed, receipt.parked, receipt.held], [0, 0, 0])
      })
    )
  })

/** Path and stored text of every document that searches find. */
const findableIn = (directory: string, project: HistoryProject) =>
  Effect.gen(function* () {
    const { documents, get } = yield* Reader
    const scope = scopeOf(project)
    const root = rootOf(directory, project)
    const page = yield* documents({ scope, state: "live", limit: 100 })
    return yield* Effect.forEach(page.documents, ({ documentId, uri }) =>
      Effect.map(
        get(scope, documentId),
        ({ text }) => [fileURLToPath(uri).slice(root.length + 1), text] as const
      )
    )
  })

const byPath = ([one]: readonly [string, string], [other]: readonly [string, string]) =>
  one < other ? -1 : 1

describe("a random history of files", () => {
  for (let seed = firstSeed; seed < firstSeed + histories; seed++) {
    it.scopedLive(
      `of seed ${seed}: incremental, replayed and fresh have one fingerprint, and what is there is found`,
      () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const incremental = join(directory, "incremental")
          const fresh = join(directory, "fresh")
          const history = historyOf(seed)
          yield* withRuntime(
            incremental,
            settings,
            Effect.gen(function* () {
              yield* perform(history, directory)
              for (const [project, files] of expectedFiles(history)) {
                const found = yield* findableIn(directory, project)
                assert.deepStrictEqual(found.toSorted(byPath), [...files].toSorted(byPath), project)
              }
            })
          )
          yield* withRuntime(
            fresh,
            settings,
            Effect.forEach(historyProjects, (project) =>
              addRoot(rootOf(directory, project), scopeOf(project))
            )
          )
          const grown = assertWhole(incremental, "incremental")
          const direct = assertWhole(fresh, "fresh")
          assert.strictEqual(grown.index.fingerprint, direct.index.fingerprint)
          if (seed % 4 === 0) {
            const result = yield* withRuntime(incremental, settings, replayed)
            assert.deepStrictEqual([result.fingerprint.equal, result.embeddings.computed], [true, 0])
            assert.strictEqual(result.fingerprint.actual, direct.index.fingerprint)
          }
        }),
      60_000
    )
  }
})
