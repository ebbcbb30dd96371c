/**
 * Histories of files: what is performed on disk is what is performed in memory, and the model brings every history to
 * the fingerprint of a fresh ingest of its end.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect"
import type { DocumentName } from "./Contents.ts"
import { execute, openGeneration, settle } from "./Coordinator.ts"
import {
  applyToMemory,
  applyToTree,
  expectedFiles,
  filesOnDisk,
  findable,
  type History,
  type HistoryProject,
  historyArbitrary,
  historyOf,
  historyProjects,
  initialTree,
  rootOf,
  treesAfter
} from "./History.ts"
import { apply } from "./Indexer.ts"
import { finish, Model } from "./Model.ts"
import { fingerprintOf } from "./Verification.ts"

describe("a history of files", () => {
  it("leaves on disk what it leaves in memory, at its end and at every sync", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const history = historyOf(seed, 40)
      const directory = mkdtempSync(join(tmpdir(), "reprise-history-"))
      try {
        let syncs = 0
        await applyToTree(history, directory, () => {
          syncs += 1
        })
        assert.strictEqual(syncs, history.filter(({ operation }) => operation.kind === "sync").length)
        for (const [project, { files }] of treesAfter(history)) {
          assert.deepStrictEqual(sorted(filesOnDisk(rootOf(directory, project))), sorted(files))
        }
      } finally {
        rmSync(directory, { recursive: true })
      }
    }
  })

  it("is the same for the same seed", () => {
    assert.deepStrictEqual(historyOf(11), historyOf(11))
    assert.notDeepEqual(historyOf(11), historyOf(12))
  })

  it("meets every kind of operation, and ends with files to find, empty ones and ignored ones", () => {
    const histories = Array.from({ length: 200 }, (_, seed) => historyOf(seed, 40))
    const kinds = new Set(histories.flatMap((history) => history.map(({ operation }) => operation.kind)))
    assert.strictEqual(kinds.size, 10)
    const trees = histories.flatMap((history) => [...treesAfter(history).values()])
    assert.isTrue(trees.some(({ files }) => [...files.values()].includes("")))
    assert.isTrue(trees.some(({ files, ignored }) => [...files.keys()].some((path) => ignored.has(path))))
    assert.isTrue(histories.some((history) => (expectedFiles(history).get("one")?.size ?? 0) >= 4))
  })

  it("shrinks to the operation that matters", () => {
    const result = fc.check(
      fc.property(historyArbitrary(20), (history) =>
        history.every(({ operation }) => operation.kind !== "swap")
      ),
      { seed: 3, numRuns: 500 }
    )
    assert.isTrue(result.failed)
    const [smallest] = result.counterexample ?? []
    assert.deepStrictEqual(
      smallest?.map(({ operation }) => operation.kind),
      ["swap", "sync", "sync"]
    )
  })

  it("is brought by the model to the fingerprint of a fresh ingest of its end", () => {
    fc.assert(
      fc.property(historyArbitrary(30), (history) => {
        const incremental = new Model()
        const generation = openGeneration(incremental, "S1")
        synced(incremental, history, () => finish(apply(incremental, generation)))
        const fresh = new Model()
        for (const [key, vector] of incremental.content.vectors) fresh.content.vectors.set(key, vector)
        const anew = openGeneration(fresh, "S1")
        synced(fresh, endOf(history), () => {})
        finish(apply(fresh, anew))
        assert.strictEqual(printOf(fresh, anew), printOf(incremental, generation))
        assert.strictEqual(fresh.content.embedded, 0)
      }),
      { seed: 20, numRuns: 60 }
    )
  })
})

/** Syncs the model as a files source would: what changed since the last sync, moves by equal content. */
function synced(model: Model, history: History, afterSync: () => void): void {
  const trees = new Map(historyProjects.map((project) => [project, initialTree()]))
  const seen = new Map(historyProjects.map((project) => [project, new Map<string, string>()]))
  let key = 0
  for (const { project, operation } of history) {
    const tree = trees.get(project)
    const before = seen.get(project)
    if (tree === undefined || before === undefined) continue
    applyToMemory(tree, operation)
    if (operation.kind !== "sync") continue
    const now = findable(tree)
    const gone = [...before].filter(([path]) => !now.has(path))
    for (const [path, text] of now) {
      if (before.get(path) === text) continue
      const from = before.has(path) ? undefined : gone.find(([, former]) => former === text)?.[0]
      key += 1
      const id = `c${key}`
      const submission = { kind: "submit", id, document: nameOf(project, path), text, tag: "", key } as const
      execute(model, from === undefined ? submission : { ...submission, movedFrom: nameOf(project, from) })
    }
    for (const [path] of gone) {
      key += 1
      execute(model, { kind: "remove", id: `c${key}`, document: nameOf(project, path), key })
    }
    settle(model)
    seen.set(project, new Map(now))
    afterSync()
  }
}

/** The end of a history as a history: written once, synced once. */
function endOf(history: History): History {
  return [...expectedFiles(history)].flatMap(([project, files]) => [
    ...[...files].map(([path, text]) => ({ project, operation: { kind: "write", path, text } as const })),
    { project, operation: { kind: "sync" } as const }
  ])
}

function nameOf(project: HistoryProject, path: string): DocumentName {
  return `t/${project}:${path}`
}

function printOf(model: Model, generation: string): string {
  const state = model.stateOf(generation)
  return state === undefined ? "none" : fingerprintOf(state)
}

function sorted(files: ReadonlyMap<string, string>): ReadonlyArray<readonly [string, string]> {
  return [...files].sort(([one], [other]) => (one < other ? -1 : 1))
}
