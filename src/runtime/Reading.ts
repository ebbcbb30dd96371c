/**
 * Opens a data directory for reading: no lock, beside a writer or without one.
 */
import { statSync } from "node:fs"
import { join } from "node:path"
import { Clock, Context, Duration, Effect, Layer, Option, Stream } from "effect"
import type { Descriptor, Manifest } from "../../events/Document.ts"
import type { EmbeddingModel } from "../embedding/EmbeddingModel.ts"
import { Failpoints } from "../faults/Failpoints.ts"
import { GenerationState } from "../index/GenerationState.ts"
import { EngineMismatch } from "../index/Index.ts"
import { identityOf, openForReading, refOf } from "../index/Projection.ts"
import { recompute } from "../index/Recompute.ts"
import { damagedState } from "../index/StateFile.ts"
import { verify } from "../index/Verify.ts"
import { isClean } from "../index/VerifyReport.ts"
import { Content } from "../log/Content.ts"
import { LogReader } from "../log/Log.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"
import { type DocumentRow, type GenerationRow, ReadModels } from "../log/ReadModels.ts"
import * as HybridSearch from "../search/HybridSearch.ts"
import { Search, SearchFailed } from "../search/Search.ts"
import { type IndexContext, type IndexOptions, indexContext } from "./IndexContext.ts"
import { descriptorOf, findDocument, settingsOf, sourceNamed } from "./Names.ts"
import {
  type DocumentDetail,
  type DocumentSummary,
  Reader,
  type RepriseReader,
  type Status
} from "./Reprise.ts"
import type { Settings } from "./Settings.ts"
import { upon } from "./Upon.ts"

export interface ReadingOptions {
  readonly index: IndexOptions
  readonly denseWeight: number | undefined
  /** What is configured; readers do not use it. */
  readonly bus: Settings["bus"]
}

/** Points up to which `verify` reads every byte unless told otherwise; above it, a sample. */
export const fullVerifyUpTo = 1_000_000

const decoder = new TextDecoder()

export const summaryOf = (row: DocumentRow, descriptor: Descriptor | undefined): DocumentSummary => {
  const reason = row.parked?.reason.message ?? row.removed
  return {
    documentId: row.documentId,
    uri: descriptor?.uri ?? "",
    title: descriptor?.title ?? descriptor?.externalId ?? row.documentId,
    source: row.sourceId,
    version: row.live?.version ?? 0,
    chunks: row.live?.chunks ?? 0,
    state:
      row.parked !== undefined
        ? "parked"
        : row.open !== undefined
          ? "preparing"
          : row.live !== undefined
            ? "live"
            : "removed",
    ...(reason !== undefined && { reason })
  }
}

/** Nothing was ever added to this data directory. */
export const noGeneration = new EngineMismatch({
  engine: "embedded",
  reason: "absent",
  detail: "nothing was added yet. Begin with: reprise add <directory>"
})

/** How old the news may be that the log is behind its witnesses. */
const witnessesEvery = Duration.seconds(1)

/** An index that lags for longer than this, with nothing applied meanwhile, is a problem. */
const stalledMs = 30_000

const storedStates = { live: "live", preparing: "open", parked: "parked", removed: "removed" } as const

export const layer = (
  options: ReadingOptions,
  snapshot: LogSnapshot
): Layer.Layer<Reader | Search, never, LogReader | ReadModels | Content | EmbeddingModel> => {
  const { bus, denseWeight, index } = options
  return Layer.scopedContext(
    Effect.gen(function* () {
      const given = yield* Effect.context<LogReader | ReadModels | Content | EmbeddingModel>()
      const context = yield* indexContext(index, snapshot, yield* Failpoints)
      const searching = yield* upon(given, HybridSearch.layer(context, { keptChunks: 20_000, denseWeight }))
      const reader = yield* Effect.provide(makeReader(index.directory, bus, context), searching)
      return Context.make(Reader, reader).pipe(Context.add(Search, Context.get(searching, Search)))
    })
  )
}

const makeReader = Effect.fnUntraced(function* (
  directory: string,
  bus: Settings["bus"],
  context: IndexContext
) {
  const found = yield* Search
  const log = yield* LogReader
  const readModels = yield* ReadModels
  const content = yield* Content

  // Looking at the witnesses opens the state of every generation: too much for each of a thousand searches a second.
  const behindLately = yield* Effect.cachedWithTTL(log.behindWitness, witnessesEvery)

  /** An answer from a log that lost events says so itself: whoever reads it may never look at the status. */
  const search: RepriseReader["search"] = Effect.fn("Reader.search")(function* (request) {
    const answer = yield* found.search(request)
    const behind = yield* Effect.mapError(
      behindLately,
      (cause) => new SearchFailed({ detail: cause.message, cause })
    )
    return behind === undefined ? answer : { ...answer, notes: [behind.message, ...answer.notes] }
  })

  const documents: RepriseReader["documents"] = Effect.fn("Reader.documents")(function* (query) {
    const page = yield* readModels.documents({
      scope: query.scope,
      ...(query.source && { source: query.source }),
      ...(query.state && { state: storedStates[query.state] }),
      ...(query.cursor && { after: query.cursor }),
      limit: query.limit
    })
    const live = yield* readModels.live
    const listed = yield* Effect.forEach(page.rows, (row) =>
      Effect.map(resolvedDescriptor(row, live), (descriptor) => summaryOf(row, descriptor))
    )
    return { documents: listed, ...(page.next !== undefined && { nextCursor: page.next }) }
  })

  /** With the title that the text gave, where a version was chunked; as it was submitted before. */
  const resolvedDescriptor = Effect.fnUntraced(function* (row: DocumentRow, live: GenerationRow | undefined) {
    const chunking =
      live && (yield* readModels.chunking(row.documentId, row.submittedVersion, live.spec.chunker))
    return yield* descriptorOf(content, chunking ? { ...row, descriptor: chunking.descriptor } : row)
  })

  const get: RepriseReader["get"] = Effect.fn("Reader.get")(function* (scope, name) {
    const row = yield* findDocument(readModels, content, scope, name)
    const submitted = yield* descriptorOf(content, row)
    const live = yield* readModels.live
    const contents =
      row.live === undefined || live === undefined
        ? undefined
        : yield* readModels.contents(row.documentId, row.live.version, live.spec.chunker, live.spec.model)
    const text = contents && (yield* content.blob(scope, contents.textBlob))
    const manifestBytes = contents && (yield* content.blob(scope, contents.manifestBlob))
    const resolvedBytes = contents && (yield* content.blob(scope, contents.descriptor))
    const manifest: Manifest | undefined = manifestBytes && JSON.parse(decoder.decode(manifestBytes))
    const descriptor: Descriptor | undefined = resolvedBytes
      ? JSON.parse(decoder.decode(resolvedBytes))
      : submitted
    const detail: DocumentDetail = {
      ...summaryOf(row, descriptor),
      mediaType: descriptor?.mediaType ?? "application/octet-stream",
      metadata: descriptor?.metadata ?? {},
      text: text === undefined ? "" : decoder.decode(text),
      manifest: (manifest?.entries ?? []).map(({ chunkId, start, end, headings }) => ({
        chunkId,
        start,
        end,
        headings
      }))
    }
    return detail
  })

  const knows: RepriseReader["knows"] = Effect.fn("Reader.knows")(function* (scope, name) {
    if ((yield* sourceNamed(content, yield* readModels.sources(scope), name)) !== undefined) return true
    return yield* findDocument(readModels, content, scope, name).pipe(
      Effect.as(true),
      Effect.catchTag("DocumentUnknown", () => Effect.succeed(false))
    )
  })

  const status: RepriseReader["status"] = Effect.fn("Reader.status")(function* (scope) {
    const now = yield* Clock.currentTimeMillis
    const head = yield* log.head
    const counts = yield* readModels.counts(scope)
    const lanes = yield* readModels.lanes
    const paused = yield* readModels.indexPaused
    const generations = yield* readModels.generations
    const sources = yield* readModels.sources(scope)
    const behind = yield* log.behindWitness
    const listed = yield* Effect.forEach(
      sources.filter(({ removed }) => !removed),
      (source) =>
        Effect.map(settingsOf(content, source.scope, source.settings), (settings) => ({
          source,
          root: settings === undefined ? "" : settings.kind === "files" ? settings.root : settings.name
        }))
    )
    const states = yield* Effect.forEach(
      generations.filter(({ state }) => state !== "retired"),
      (row) => withEngine(context, row, head, generationStatus(context, row, head))
    )
    const live = states.find(({ state }) => state === "live")
    const held = listed.flatMap(({ source, root }) =>
      source.held === undefined ? [] : [{ source: source.sourceId, root, count: source.held.count }]
    )
    const waiting = live === undefined || live.lag === 0 ? undefined : yield* waitingMs(live.checkpoint, now)
    const problems = [
      ...(waiting === undefined || waiting < stalledMs
        ? []
        : [
            paused
              ? `The index is paused and behind the log by ${live?.lag} events. Go on with: reprise lanes resume index`
              : `The index is behind the log by ${live?.lag} events and has not moved for ${Math.round(waiting / 1000)} s. Any writing command catches up; reprise replay builds it anew.`
          ]),
      ...(behind === undefined ? [] : [behind.message]),
      ...states.flatMap(({ id, problem }) => (problem === undefined ? [] : [`${id}: ${problem}`])),
      ...states.flatMap(({ id, skipped }) =>
        skipped === 0
          ? []
          : [
              `${id}: ${skipped} document(s) are left out, because their stored content is damaged. reprise log verify names it; restore it, then: reprise replay`
            ]
      ),
      ...(counts.parked === 0
        ? []
        : [`${counts.parked} document(s) are parked. See: reprise jobs list --state parked`]),
      ...held.map(
        ({ count, root }) => `${count} removal(s) in ${root} wait for: reprise sync --approve-removals`
      ),
      ...listed.flatMap(({ root, source }) =>
        source.syncState === "failed"
          ? [`The last sync of ${root} failed: ${source.lastFailure?.message ?? ""}`]
          : []
      )
    ]
    const result: Status = {
      runtime: "reading",
      dataDirectory: directory,
      log: { headPosition: head.position, events: counts.events, bytes: bytesOf(directory) },
      documents: counts.documents,
      chunks: counts.chunks,
      parked: counts.parked,
      held,
      sources: listed.map(({ root, source }) => ({
        source: source.sourceId,
        root,
        sync: source.sync,
        state: source.syncState,
        ...(source.lastFailure && source.syncState === "failed" && { failure: source.lastFailure.message })
      })),
      actors: [],
      generations: states,
      indexing: { paused },
      lanes: lanes.map(({ oldestQueuedAt, ...lane }) => ({
        ...lane,
        oldestAgeMs: oldestQueuedAt === undefined ? null : Math.max(0, now - oldestQueuedAt)
      })),
      bus: bus === "memory" ? { kind: bus, connected: true } : { kind: bus },
      providers: [],
      workers: [],
      ready: behind === undefined,
      healthy: problems.length === 0,
      problems
    }
    return result
  })

  /** How long the first event that is not applied yet has been waiting: health is progress, not a ping. */
  const waitingMs = Effect.fnUntraced(function* (checkpoint: number, now: number) {
    const next = yield* Stream.runHead(Stream.take(log.read(checkpoint), 1))
    return Option.match(next, { onNone: () => 0, onSome: ({ recordedAt }) => Math.max(0, now - recordedAt) })
  })

  const verified: RepriseReader["verify"] = Effect.fn("Reader.verify")(
    function* (ask) {
      const row = yield* readModels.live
      if (row === undefined) return yield* noGeneration
      const open = yield* openForReading(context, row)
      const chunks = open.state.counts.chunks
      const level = ask.level ?? (chunks <= fullVerifyUpTo ? "full" : "sample")
      const report = yield* verify(open, { level, repair: false })
      const recomputed = ask.recompute ? yield* recompute(context, open) : undefined
      return { report, clean: isClean(report) && (recomputed?.equal ?? true), recomputed }
    },
    Effect.catchSomeDefect(damagedState),
    Effect.scoped
  )

  return Reader.of({
    search,
    documents,
    get,
    knows,
    status,
    verify: verified,
    sources: (scope) => readModels.sources(scope),
    events: (after, filter, follow) => (follow ? log.subscribe(after, filter) : log.read(after, filter)),
    jobs: (query) => readModels.jobs(query),
    job: (id) => readModels.job(id),
    behindWitness: log.behindWitness
  })
})

const generationStatus = (
  context: IndexContext,
  row: GenerationRow,
  head: { readonly logId: string; readonly epoch: number; readonly position: number }
): Status["generations"][number] => {
  const ref = refOf(row, head)
  const described = {
    id: row.generation,
    engine: row.spec.engine,
    model: row.spec.modelName,
    state: row.state
  }
  try {
    const state = GenerationState.openReadOnly(context.statePath(ref), identityOf(ref))
    try {
      const checkpoint = state.checkpoint
      const rebuilding = state.target > checkpoint
      return {
        ...described,
        checkpoint,
        lag:
          context.snapshot.sameUntil(checkpoint, head.position) === head.position
            ? 0
            : head.position - checkpoint,
        ...state.counts,
        skipped: state.skippedCount,
        ...(rebuilding && { problem: "it is being rebuilt; searches are answered from the log" })
      }
    } finally {
      state.close()
    }
  } catch (cause) {
    const problem = `its state cannot be used (${cause instanceof Error ? cause.message : String(cause)}); searches are answered from the log. Run: reprise replay`
    return { ...described, checkpoint: 0, lag: head.position, documents: 0, chunks: 0, skipped: 0, problem }
  }
}

/** A server can be away, emptied or restored while the state beside the log is as it was: the live one's is asked. */
const withEngine = (
  context: IndexContext,
  row: GenerationRow,
  head: { readonly logId: string; readonly epoch: number },
  status: Status["generations"][number]
): Effect.Effect<Status["generations"][number]> =>
  row.state !== "live" || row.spec.engine !== "qdrant" || status.problem !== undefined
    ? Effect.succeed(status)
    : context.engine.openReadOnly(refOf(row, head)).pipe(
        Effect.flatMap(({ marker }) => marker),
        Effect.scoped,
        Effect.map((marker) => {
          if (marker !== undefined && marker.checkpoint >= status.checkpoint) return status
          const problem = `its collection is ${marker === undefined ? "empty" : "older than its state"}; searches are answered from the log. Any writing command fills it again`
          return { ...status, problem }
        }),
        Effect.catchAll(({ message }) =>
          Effect.succeed({ ...status, problem: `${message} Searches are answered from the log.` })
        )
      )

/** Size of the log and its content on disk. A writer that closes takes its write-ahead logs away. */
const bytesOf = (directory: string): number =>
  ["log.sqlite", "log.sqlite-wal", "content.sqlite", "content.sqlite-wal"]
    .map((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.size ?? 0)
    .reduce((total, size) => total + size, 0)
