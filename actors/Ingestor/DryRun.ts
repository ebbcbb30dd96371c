/**
 * What `add` or `sync` would do, and cost: the same scan, the same decisions, no command.
 */
import { Context, Effect, Layer } from "effect"
import type { ProjectScope, SourceId } from "../../events/Ids.ts"
import type { Quote } from "../../events/Quote.ts"
import type { FilesSettings } from "../../events/Source.ts"
import { stopwatch } from "../../src/clock/Monotonic.ts"
import { EmbeddingModel } from "../../src/embedding/EmbeddingModel.ts"
import { inert } from "../../src/faults/Failpoints.ts"
import { Content } from "../../src/log/Content.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import { ReadModels, type SourceRow } from "../../src/log/ReadModels.ts"
import { FileTree } from "../../src/sources/FileTree.ts"
import { fileUri, ofText } from "../../src/sources/RawPath.ts"
import { type OpenSource, SourceReader, type SourceUnreadable } from "../../src/sources/SourceReader.ts"
import { Estimate } from "./Estimate.ts"
import { knownOf, mustSweep, openSource } from "./KnownSource.ts"
import { runPass } from "./Pass.ts"
import { Preparer } from "./Preparer.ts"
import { type RootOptions, rootTask } from "./RootTask.ts"
import { SourceUnknown } from "./Sync.ts"
import { defaultSyncSettings, type SyncOptions, type SyncSettings } from "./SyncOptions.ts"
import { Tally } from "./Tally.ts"

export interface DryRunService {
  readonly add: (
    paths: ReadonlyArray<string>,
    options: RootOptions & Pick<SyncOptions, "full">
  ) => Effect.Effect<Quote, LogFailed>
  readonly sync: (
    sources: ReadonlyArray<SourceId>,
    options?: SyncOptions
  ) => Effect.Effect<Quote, LogFailed | SourceUnknown>
  readonly syncAll: (scope: ProjectScope, options?: SyncOptions) => Effect.Effect<Quote, LogFailed>
}

export class DryRun extends Context.Tag("reprise/actors/DryRun")<DryRun, DryRunService>() {}

type Needs = SourceReader | FileTree | ReadModels | Content | Preparer | EmbeddingModel

/** One source of which a dry run is made; there may be no such source yet. */
interface Subject {
  readonly scope: ProjectScope
  readonly sourceId: SourceId
  readonly row: SourceRow | undefined
  readonly uri: string
  readonly source: OpenSource
  readonly options: SyncOptions
}

export const layer = (settings: Partial<SyncSettings> = {}): Layer.Layer<DryRun, never, Needs> =>
  Layer.effect(DryRun, make({ ...defaultSyncSettings, ...settings }))

const make = (settings: SyncSettings): Effect.Effect<DryRunService, never, Needs> =>
  Effect.gen(function* () {
    const reader = yield* SourceReader
    const model = yield* EmbeddingModel
    const ports = {
      tree: yield* FileTree,
      readModels: yield* ReadModels,
      content: yield* Content,
      preparer: yield* Preparer
    }
    const { content, preparer, readModels } = ports

    const begin = Effect.gen(function* () {
      const live = yield* readModels.live
      const [chunker] = preparer.chunkers.keys()
      if (chunker === undefined) return yield* Effect.dieMessage("The preparer has no chunker.")
      const pair = live?.spec ?? { chunker, model: model.fingerprint }
      const elapsed = yield* stopwatch
      return { estimate: new Estimate(ports, pair), tally: new Tally(), rejected: 0, elapsed }
    })
    type Run = Effect.Effect.Success<typeof begin>

    const end = ({ elapsed, estimate, rejected, tally }: Run) =>
      Effect.map(elapsed, (elapsedMs): Quote => {
        const { embeddings: _, position: __, ...receipt } = tally.receipt(0, elapsedMs)
        const { chunks, compute, documents, reuse, tokens } = estimate
        return {
          ...receipt,
          documents,
          chunks,
          vectors: { compute, reuse },
          tokens,
          ...(rejected > 0 ? { rejected } : {})
        }
      })

    /** What makes a sync fail is a failure of the quote too. */
    const orFailed = (
      { tally }: Run,
      uri: string,
      effect: Effect.Effect<void, LogFailed | SourceUnreadable>
    ) =>
      Effect.catchTag(effect, "SourceUnreadable", (error) =>
        Effect.sync(() => tally.fail("failed", { uri, reason: error.message }))
      )

    const pass = Effect.fnUntraced(function* (run: Run, subject: Subject) {
      const { estimate, tally } = run
      const { options, row, scope, source, sourceId } = subject
      const known = yield* knownOf(readModels, { scope, sourceId })
      const ended = yield* runPass({
        scope,
        sourceId,
        source,
        fresh: known === "none",
        sweep: mustSweep(known, row?.syncState ?? "none", options),
        readModels,
        failpoints: inert,
        settings,
        options,
        whileScanning: Effect.void,
        tally,
        acts: estimate.acts(scope, source, tally)
      })
      if (ended._tag === "Empty") {
        tally.fail("failed", { uri: subject.uri, reason: "The root is empty, where documents were." })
      }
      if (ended._tag !== "Complete") return
      for (const id of ended.held) {
        estimate.plan({
          act: options.approveRemovals === true ? "remove" : "hold",
          uri: yield* estimate.uriOf(id)
        })
      }
      if (options.approveRemovals === true) {
        tally.count("held", -ended.held.length)
        tally.count("removed", ended.held.length)
      }
    })

    const syncOne = (run: Run, row: SourceRow, options: SyncOptions) => {
      const { scope, sourceId } = row
      const passed = Effect.flatMap(openSource({ content, reader }, row), ({ source, uri }) =>
        pass(run, { scope, sourceId, row, uri, source, options })
      )
      return orFailed(run, sourceId, passed)
    }

    const rootUri = ({ root }: FilesSettings) => fileUri(ofText(root))

    return {
      add: Effect.fn("DryRun.add")(function* (paths, options) {
        const run = yield* begin
        for (const path of paths) {
          const task = yield* Effect.either(rootTask(ports, path, options))
          if (task._tag === "Left") {
            if (task.left._tag === "LogFailed") return yield* task.left
            run.tally.fail("failed", { uri: path, reason: task.left.message })
            run.rejected += 1
            continue
          }
          const { only, row, settings: sourceSettings, sourceId } = task.right
          const uri = rootUri(sourceSettings)
          const passOptions: SyncOptions = {
            ...(options.full === undefined ? {} : { full: options.full }),
            ...(only === undefined ? {} : { only: [only] })
          }
          const passed = Effect.flatMap(reader.open(sourceSettings), (source) =>
            pass(run, { scope: options.scope, sourceId, row, uri, source, options: passOptions })
          )
          yield* orFailed(run, uri, passed)
        }
        return yield* end(run)
      }),
      sync: Effect.fn("DryRun.sync")(function* (sources, options = {}) {
        const run = yield* begin
        for (const sourceId of sources) {
          const row = yield* readModels.source(sourceId)
          if (row === undefined || row.removed) return yield* new SourceUnknown({ sourceId })
          yield* syncOne(run, row, options)
        }
        return yield* end(run)
      }),
      syncAll: Effect.fn("DryRun.syncAll")(function* (scope, options = {}) {
        const run = yield* begin
        for (const row of yield* readModels.sources(scope)) {
          if (row.kind === "files" && !row.removed) yield* syncOne(run, row, options)
        }
        return yield* end(run)
      })
    }
  })
