/**
 * What writes would do and cost: by the same scan, the same preparation and the same decisions, without the lock.
 */
import { Duration, Effect, Layer } from "effect"
import * as DryRun from "../../actors/Ingestor/DryRun.ts"
import { Estimate } from "../../actors/Ingestor/Estimate.ts"
import * as Preparer from "../../actors/Ingestor/Preparer.ts"
import type { DocumentId } from "../../events/Ids.ts"
import { type Failure, maxFailures, mergeReceipts } from "../../events/Receipt.ts"
import { stopwatch } from "../clock/Monotonic.ts"
import { EmbeddingModel, type ProviderError } from "../embedding/EmbeddingModel.ts"
import { Content } from "../log/Content.ts"
import type { DirectoryInvalid, DirectoryNewer } from "../log/DirectoryFormat.ts"
import type { LogFailed } from "../log/Log.ts"
import { type DocumentRow, ReadModels } from "../log/ReadModels.ts"
import * as FilesReader from "../sources/FilesReader.ts"
import * as NodeFileTree from "../sources/NodeFileTree.ts"
import type { Configuration } from "./Config.ts"
import type { ConfigInvalid } from "./ConfigInvalid.ts"
import { comparedModel } from "./ConfiguredModel.ts"
import { configuredSpec } from "./ConfiguredSpec.ts"
import { descriptorOf, findSource } from "./Names.ts"
import { readLog } from "./OpenReading.ts"
import { receiptOf, removalOf } from "./Removals.ts"
import { type BuildQuote, Quotes, type RepriseQuotes } from "./Reprise.ts"
import type { Settings } from "./Settings.ts"

export const layer = ({
  directory,
  settings
}: Pick<Configuration, "settings" | "directory">): Layer.Layer<
  Quotes,
  LogFailed | DirectoryNewer | DirectoryInvalid | ProviderError | ConfigInvalid
> => {
  const { chunking, files } = settings
  const preparer = Preparer.layerInWorkers({
    chunkers: [chunking],
    limits: { maxBytes: files.maxBytes, maxChunks: 50_000 },
    threads: files.jobs,
    timeout: Duration.minutes(2)
  })
  const reader = Layer.provideMerge(FilesReader.layer({ maxFileBytes: files.maxBytes }), NodeFileTree.layer)
  const dryRun = DryRun.layer({ heldShare: files.removalThreshold })
  return Layer.effect(Quotes, make(settings)).pipe(
    Layer.provide(dryRun),
    Layer.provide(preparer),
    Layer.provide(reader),
    Layer.provide(comparedModel(settings)),
    Layer.provide(readLog(directory.path))
  )
}

/** Documents looked at in one read. */
const page = 200

const make = Effect.fnUntraced(function* (settings: Settings) {
  const dryRun = yield* DryRun.DryRun
  const readModels = yield* ReadModels
  const content = yield* Content
  const preparer = yield* Preparer.Preparer
  const model = yield* EmbeddingModel

  const sync: RepriseQuotes["sync"] = Effect.fn("Quotes.sync")(function* (names, options) {
    const { approveRemovals, full, scope } = options
    const asked = { approveRemovals, full }
    if (names.length === 0) return yield* dryRun.syncAll(scope, asked)
    const sources = yield* Effect.forEach(names, (name) => findSource(readModels, content, scope, name))
    return yield* Effect.catchTag(
      dryRun.sync(
        sources.map(({ sourceId }) => sourceId),
        asked
      ),
      "SourceUnknown",
      (unknown) => Effect.die(unknown)
    )
  })

  const build: RepriseQuotes["build"] = Effect.gen(function* () {
    const elapsed = yield* stopwatch
    const spec = configuredSpec(settings, model)
    const estimate = new Estimate({ content, readModels, preparer }, spec)
    const failures: Array<Failure> = []
    let documents = 0
    let after: DocumentId | undefined
    do {
      const rows: ReadonlyArray<DocumentRow> = yield* readModels.unbuilt(spec, after, page)
      for (const row of rows) {
        const failed = yield* prepared(row, estimate)
        if (failed === undefined) documents += 1
        else if (failures.length < maxFailures) failures.push(failed)
      }
      after = rows.at(-1)?.documentId
    } while (after !== undefined)
    const { chunks, compute, reuse, tokens } = estimate
    const quote: BuildQuote = {
      engine: spec.engine,
      model: spec.modelName,
      chunker: spec.chunker,
      documents,
      chunks,
      vectors: { compute, reuse },
      tokens,
      elapsedMs: yield* elapsed,
      failures
    }
    return quote
  })

  /** Prepares one document under the configured chunker and counts it; answers what kept it from that. */
  const prepared = Effect.fnUntraced(function* (row: DocumentRow, estimate: Estimate) {
    const descriptor = yield* descriptorOf(content, row)
    const raw = yield* content.blob(row.scope, row.raw)
    if (descriptor === undefined || raw === undefined)
      return { uri: row.documentId, reason: "Its content is not stored any more." }
    const request = { documentId: row.documentId, raw, descriptor, chunker: settings.chunking }
    const answer = yield* Effect.either(preparer.prepare(request))
    if (answer._tag === "Left") return { uri: descriptor.uri, reason: answer.left.message }
    if (answer.right._tag === "Unparseable") return { uri: descriptor.uri, reason: answer.right.message }
    if (answer.right._tag === "Prepared") yield* estimate.countVectors(row.scope, answer.right)
    return undefined
  })

  const remove: RepriseQuotes["remove"] = Effect.fn("Quotes.remove")(function* (names, { scope }) {
    const elapsed = yield* stopwatch
    const receipts = yield* Effect.forEach(names, (name) =>
      Effect.map(removalOf(readModels, content, scope, name), receiptOf)
    )
    return { ...mergeReceipts(receipts), elapsedMs: yield* elapsed }
  })

  return Quotes.of({ add: dryRun.add, sync, remove, build })
})
