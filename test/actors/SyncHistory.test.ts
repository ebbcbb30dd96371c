/** Syncs on the real log, with everything behind them: whatever happened to the files, what is found is what is there. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Runtime } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Sync, layer as syncLayer } from "../../actors/Ingestor/Sync.ts"
import { SourceAdd } from "../../events/Commands.ts"
import type { Descriptor } from "../../events/Document.ts"
import { CommandId, ProjectName, type ProjectScope, sourceId, TeamName } from "../../events/Ids.ts"
import { requestedOf } from "../../events/Receipt.ts"
import { Content } from "../../src/log/Content.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import { layer as filesReader } from "../../src/sources/FilesReader.ts"
import { layer as nodeFileTree } from "../../src/sources/NodeFileTree.ts"
import {
  applyToTree,
  findable,
  type HistoryProject,
  historyOf,
  historyProjects,
  rootOf,
  treesAfter
} from "../model/History.ts"
import { settingsOf, temporaryRoot } from "../sources/Trees.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { writeSide } from "../support/writeSide.ts"

const everything = (directory: string) =>
  syncLayer().pipe(
    Layer.provide(filesReader().pipe(Layer.provide(nodeFileTree))),
    Layer.provideMerge(writeSide({ directory }))
  )

const scopeOf = (project: HistoryProject): ProjectScope => ({
  team: TeamName.make("default"),
  project: ProjectName.make(project)
})

/** What is live, by external id: the bytes of its newest version. */
const found = (scope: ProjectScope) =>
  Effect.gen(function* () {
    const readModels = yield* ReadModels
    const content = yield* Content
    const { rows } = yield* readModels.documents({ scope, state: "live", limit: 1000 })
    const texts: Record<string, string> = {}
    for (const row of rows) {
      assert.strictEqual(row.live?.version, row.submittedVersion)
      const descriptor = yield* content.blob(scope, row.descriptor)
      const raw = yield* content.blob(scope, row.raw)
      const { externalId } = JSON.parse(Buffer.from(descriptor ?? []).toString()) as typeof Descriptor.Type
      texts[externalId] = Buffer.from(raw ?? []).toString()
    }
    return texts
  })

describe("whatever happened to the files, a sync", () => {
  for (const seed of [1, 2, 3, 4, 5, 6]) {
    it.scopedLive(
      `makes found what is there (history ${seed})`,
      () =>
        Effect.gen(function* () {
          const history = historyOf(seed, 40)
          const root = yield* temporaryRoot
          const directory = yield* temporaryDirectory
          yield* Effect.gen(function* () {
            const coordinator = yield* Coordinator
            const syncs = yield* Sync
            const sourceOf = (project: HistoryProject) =>
              sourceId(scopeOf(project), "files", rootOf(root, project))
            for (const project of historyProjects) {
              yield* coordinator.ask(
                SourceAdd.make({
                  commandId: CommandId.make(`add-${project}`),
                  scope: scopeOf(project),
                  sourceId: sourceOf(project),
                  settings: settingsOf(rootOf(root, project))
                })
              )
            }
            const runtime = yield* Effect.runtime<Sync | ReadModels | Content>()
            const syncSteps = history.flatMap(({ operation }, at) => (operation.kind === "sync" ? [at] : []))
            let done = 0
            const check = (project: HistoryProject) =>
              Effect.gen(function* () {
                const receipt = yield* syncs.sync(sourceOf(project))
                assert.strictEqual(receipt.requested, requestedOf(receipt))
                assert.strictEqual(receipt.failed + receipt.parked + receipt.held, 0)
                const tree = treesAfter(history.slice(0, syncSteps[done])).get(project)
                done += 1
                assert.deepStrictEqual(
                  yield* found(scopeOf(project)),
                  Object.fromEntries(tree === undefined ? [] : findable(tree))
                )
              })
            yield* Effect.promise(() =>
              applyToTree(history, root, (project) => Runtime.runPromise(runtime)(check(project)))
            )
            for (const project of historyProjects) {
              const again = yield* syncs.sync(sourceOf(project))
              assert.strictEqual(again.requested, again.unchanged + again.skipped)
              assert.strictEqual(again.embeddings.computed, 0)
            }
          }).pipe(Effect.provide(everything(directory)))
        }),
      60_000
    )
  }
})
