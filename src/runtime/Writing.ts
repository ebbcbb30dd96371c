/**
 * What the one writer of a data directory can be asked, on top of the actors.
 */
import { Clock, Effect, Layer, Random, Schedule, Stream } from "effect"
import { CommandRefused, Coordinator } from "../../actors/Coordinator.ts"
import { Promotion, type PromotionOptions } from "../../actors/Indexer/Promotion.ts"
import { Indexer } from "../../actors/Indexer.ts"
import { Roots } from "../../actors/Ingestor/Roots.ts"
import { Sync } from "../../actors/Ingestor/Sync.ts"
import { DocumentRemove, JobCancel, JobRetry, LanePause, SourceRemove } from "../../events/Commands.ts"
import type { Spec } from "../../events/Generation.ts"
import { CommandId, type JobId } from "../../events/Ids.ts"
import type { JobState } from "../../events/Job.ts"
import { emptyReceipt, mergeReceipts, type Receipt } from "../../events/Receipt.ts"
import { stopwatch } from "../clock/Monotonic.ts"
import { EmbeddingModel } from "../embedding/EmbeddingModel.ts"
import { Providers } from "../embedding/Providers.ts"
import { Projections } from "../index/Projections.ts"
import { isClean } from "../index/VerifyReport.ts"
import { Content } from "../log/Content.ts"
import { Log, LogReader } from "../log/Log.ts"
import { ReadModels } from "../log/ReadModels.ts"
import { AnalyzerUnknown, analyzerFor, analyzerOf } from "./Analyzers.ts"
import { configuredSpec } from "./ConfiguredSpec.ts"
import { erasing } from "./Erasing.ts"
import { findSource } from "./Names.ts"
import { outage } from "./Outage.ts"
import { fullVerifyUpTo, noGeneration } from "./Reading.ts"
import { keyAfterAll, type Removal, receiptOf, removalOf, removingAfterAll } from "./Removals.ts"
import { type Replayed, type RepriseWriter, SourceUnknown, Writer } from "./Reprise.ts"
import type { Settings } from "./Settings.ts"
import { collecting } from "./Storage.ts"

type Needs =
  | Log
  | LogReader
  | ReadModels
  | Content
  | Coordinator
  | Indexer
  | Promotion
  | Projections
  | Sync
  | Roots
  | EmbeddingModel
  | Providers

export const layer = (settings: Settings): Layer.Layer<Writer, never, Needs> =>
  Layer.effect(Writer, make(settings))

const make = Effect.fnUntraced(function* (settings: Settings) {
  const log = yield* Log
  const reader = yield* LogReader
  const readModels = yield* ReadModels
  const content = yield* Content
  const coordinator = yield* Coordinator
  const indexer = yield* Indexer
  const promotion = yield* Promotion
  const projections = yield* Projections
  const { recorded, sync: syncOne, syncAll } = yield* Sync
  const roots = yield* Roots
  const model = yield* EmbeddingModel

  /** Writes answer when searches see them. */
  const visible = Effect.flatMap(log.head, ({ position }) => indexer.untilVisible(position))
  const thenVisible = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.zipLeft(effect, visible)

  const commandId = Effect.map(Effect.all([Clock.currentTimeMillis, Random.nextInt]), ([now, random]) =>
    CommandId.make(`cli-${now.toString(36)}-${Math.abs(random).toString(36)}`)
  )

  const sync: RepriseWriter["sync"] = Effect.fn("Writer.sync")(function* (names, options) {
    const { approveRemovals, full, scope, stop } = options
    const asked = { approveRemovals, full, ...(stop && { stop }) }
    if (names.length === 0) return yield* thenVisible(syncAll(scope, asked))
    const sources = yield* Effect.forEach(names, (name) => findSource(readModels, content, scope, name))
    const receipts = yield* Effect.forEach(sources, ({ sourceId }) =>
      syncOne(sourceId, asked).pipe(
        Effect.catchTags({
          SyncSkipped: () => Effect.succeed<Receipt>({ ...emptyReceipt, skippedSources: [sourceId] }),
          SourceUnknown: () => new SourceUnknown({ name: sourceId, scope })
        })
      )
    )
    return yield* thenVisible(Effect.succeed(mergeReceipts(receipts)))
  })

  const removeOne = Effect.fnUntraced(function* (removal: Removal) {
    const receipt = receiptOf(removal)
    if (removal._tag === "Gone" || removal._tag === "Unknown") return receipt
    const removed =
      removal._tag === "Source"
        ? Effect.flatMap(commandId, (id) => {
            const { scope, sourceId } = removal.source
            return coordinator.ask(new SourceRemove({ commandId: id, scope, sourceId }))
          })
        : removingAfterAll(readModels, removal.row, (row) =>
            Effect.flatMap(commandId, (id) => {
              const { documentId, scope } = row
              const orderKey = keyAfterAll(row)
              return coordinator.ask(
                new DocumentRemove({ commandId: id, scope, documentId, reason: "requested", orderKey })
              )
            })
          )
    return { ...receipt, position: (yield* removed).sequence }
  })

  const remove: RepriseWriter["remove"] = Effect.fn("Writer.remove")(function* (names, { scope }) {
    const elapsed = yield* stopwatch
    const receipts = yield* Effect.forEach(names, (name) =>
      Effect.flatMap(removalOf(readModels, content, scope, name), removeOne)
    )
    yield* visible
    return { ...mergeReceipts(receipts), elapsedMs: yield* elapsed }
  })

  /** What was paid for since a position: counted from the log's own ledger. */
  const computedSince = (position: number, spec: Spec) =>
    reader.read(position, { types: ["VectorsRecorded"] }).pipe(
      Stream.runFold(0, (total, { data }) => {
        const { count, model } = data as { readonly count: number; readonly model: string }
        return model === spec.model ? total + count : total
      })
    )

  const promote = Effect.fnUntraced(function* (options: PromotionOptions) {
    const elapsed = yield* stopwatch
    const before = yield* log.head
    const promoted = yield* promotion.run(options)
    const computed = yield* computedSince(before.position, options.spec)
    const { chunks, documents, fingerprint } = promoted.report
    const result: Replayed = {
      generation: { from: promoted.from ?? null, to: promoted.to },
      events: promoted.events,
      documents,
      chunks,
      embeddings: { computed, reused: Math.max(0, chunks - computed) },
      fingerprint,
      elapsedMs: yield* elapsed
    }
    return result
  })

  const replay: RepriseWriter["replay"] = Effect.fn("Writer.replay")(function* (onProgress, engine) {
    const live = yield* readModels.live
    if (live === undefined) return yield* noGeneration
    if (engine === "qdrant" && settings.qdrant.url === undefined) return yield* noServer
    return yield* promote({
      spec: { ...replayable(live.spec, settings), ...(engine && { engine }) },
      reason: "replay",
      excluded: live.excluded,
      onProgress
    })
  })

  const build: RepriseWriter["build"] = Effect.fn("Writer.build")(({ excluded, onProgress }) =>
    promote({ spec: configuredSpec(settings, model), reason: "build", excluded, onProgress })
  )

  const repair: RepriseWriter["repair"] = Effect.fn("Writer.repair")(function* (ask) {
    const live = yield* readModels.live
    if (live === undefined) return yield* noGeneration
    yield* visible
    const { generation } = live
    const { chunks } = yield* projections.status(generation)
    const level = ask.level ?? (chunks <= fullVerifyUpTo ? "full" : "sample")
    const found = yield* projections.verify(generation, { level, repair: true })
    const after =
      found.repaired === 0 ? found : yield* projections.verify(generation, { level, repair: false })
    const recomputed = ask.recompute ? yield* projections.recompute(generation) : undefined
    return {
      report: { ...found, fingerprint: after.fingerprint },
      clean: isClean(after) && (recomputed?.equal ?? true),
      recomputed
    }
  })

  /** A retried job belongs to a mutation that is open again, or to a build, which has no other trace than the job's state. */
  const overJob = Effect.fnUntraced(function* (jobId: JobId) {
    const job = yield* readModels.job(jobId)
    if (job === undefined) return
    yield* coordinator.ended(job.documentId, job.version)
    yield* Effect.repeat(readModels.job(jobId), {
      while: (now) => now !== undefined && openStates.has(now.state),
      schedule: Schedule.spaced("100 millis")
    })
  })

  return Writer.of({
    add: (paths, { stop, ...options }) =>
      thenVisible(roots.add(paths, { ...options, ...(stop && { stop }) })),
    sync,
    remove,
    replay,
    build,
    repair,
    collect: yield* collecting(settings.storage),
    erase: yield* erasing(settings),
    retry: (scope, jobId) =>
      Effect.flatMap(commandId, (id) => coordinator.ask(new JobRetry({ commandId: id, scope, jobId }))),
    ended: (job) => Effect.zipRight(Effect.raceFirst(overJob(job), coordinator.idle), visible),
    cancel: (scope, jobId) =>
      Effect.flatMap(commandId, (id) => coordinator.ask(new JobCancel({ commandId: id, scope, jobId }))),
    pause: (lane, paused) =>
      Effect.zipRight(
        coordinator.operate(new LanePause({ lane, paused })),
        lane === "index" && !paused ? indexer.resume : Effect.void
      ),
    settled: Effect.zipRight(Effect.zipRight(recorded, coordinator.idle), visible).pipe(Effect.orDie),
    progress: coordinator.progress,
    outage: outage(yield* Providers, coordinator, indexer, settings.embedding.patience)
  })
})

const openStates: ReadonlySet<JobState> = new Set(["queued", "processing", "failed"])

/** Refused before a generation is opened that nothing could fill. */
const noServer = new CommandRefused({
  command: "replay",
  code: "engine-not-configured",
  detail: "there is no address of a Qdrant server. Set qdrant.url (REPRISE_QDRANT_URL); nothing was changed."
})

/** The live spec; under the present analyzer where this program no longer has the one it was made with. */
const replayable = (spec: Spec, settings: Settings): Spec => {
  try {
    analyzerOf(spec)
    return spec
  } catch (cause) {
    if (cause instanceof AnalyzerUnknown)
      return { ...spec, analyzer: analyzerFor(settings.language).fingerprint }
    throw cause
  }
}
