/**
 * Erasing documents for good: an event in the log says so, then content, vectors, points and what is remembered of them go
 * from every store, and the files are written anew.
 *
 * Every step may be repeated: killed anywhere, it is run again with the same names (a document's id, once its title and
 * path are gone) and ends as if nothing had happened. The log's chain stays whole: events hold ids, digests, sizes and
 * times, and those stay.
 */
import { Clock, Duration, Effect, Stream } from "effect"
import type { CommandError } from "../../actors/Coordinator.ts"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Indexer } from "../../actors/Indexer.ts"
import { DocumentRemove, SourceRemove } from "../../events/Commands.ts"
import {
  CommandId,
  type DocumentId,
  type GenerationId,
  type ProjectScope,
  type SourceId
} from "../../events/Ids.ts"
import { stopwatch } from "../clock/Monotonic.ts"
import { Projections, type ProjectionsError } from "../index/Projections.ts"
import { Content } from "../log/Content.ts"
import { Log, type LogFailed } from "../log/Log.ts"
import {
  type DocumentRow,
  everyDocument,
  type GenerationRow,
  ReadModels,
  type SourceRow
} from "../log/ReadModels.ts"
import { findDocument, sourceNamed } from "./Names.ts"
import { keyAfterAll, removingAfterAll } from "./Removals.ts"
import type { DocumentUnknown } from "./Reprise.ts"
import type { Settings } from "./Settings.ts"
import { collectionRules } from "./Storage.ts"
import type { Certificate, EraseOptions } from "./StorageReports.ts"

export type EraseError = ProjectionsError | CommandError | LogFailed | DocumentUnknown

interface Selected {
  readonly documents: Map<DocumentId, DocumentRow>
  /**
   * Documents that stand where one of them stood before it moved: what ended of them goes, for it may be of that one. What is
   * there now stays.
   */
  readonly places: Set<DocumentId>
  readonly sources: Map<SourceId, SourceRow>
}

/** Commands that are under way at a time. */
const commandsAtOnce = 64

/** What an erasure cannot reach: said each time, because nobody else would. */
const beyond = [
  "backups, exports and other copies of the data directory: they are yours to delete",
  "the log's events: ids, SHA-256 digests of bytes and text, sizes, times, why something failed (where a sync of an earlier version did, the path of its source), and whatever senders wrote into ids and order keys of commands",
  "what processes that were killed left in the system's temporary folder (reprise-*)",
  "messages that were published over NATS before: nats.eventsMaxAge bounds how long they stay",
  "blocks of the disk that the file system has freed"
]

export const erasing = Effect.fnUntraced(function* ({ qdrant, storage }: Settings) {
  const sinceOpened = yield* stopwatch
  const log = yield* Log
  const readModels = yield* ReadModels
  const content = yield* Content
  const projections = yield* Projections
  const coordinator = yield* Coordinator
  const indexer = yield* Indexer
  const one = yield* Effect.makeSemaphore(1)

  const documentsOf = (
    selected: Selected,
    query: { readonly scope: ProjectScope; readonly source?: SourceId },
    isMeant: (row: DocumentRow) => boolean = () => true
  ) =>
    Stream.runForEach(everyDocument(readModels, query), (row) =>
      Effect.sync(() => {
        if (isMeant(row)) selected.documents.set(row.documentId, row)
      })
    )

  /** What came to sources until they were gone left with them. Nothing of what has added one again since. */
  const lateOf = Effect.fnUntraced(function* (selected: Selected) {
    const known = new Set(selected.documents.keys())
    const isLate = ({ documentId, removed }: DocumentRow) => removed === "source" && !known.has(documentId)
    for (const { scope, sourceId } of selected.sources.values())
      yield* documentsOf(selected, { scope, source: sourceId }, isLate)
    return [...selected.documents.values()].filter(({ documentId }) => !known.has(documentId))
  })

  /** A document that moved has its former versions under its former ids, whoever has these by now. */
  const formerOf = Effect.fnUntraced(function* ({ documents, places }: Selected, row: DocumentRow) {
    const waiting = [{ next: row, isWhole: true }]
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      const { isWhole, next } = one
      if (isWhole) documents.set(next.documentId, next)
      else places.add(next.documentId)
      for (let version = 1; version <= next.submittedVersion; version++) {
        const submission = yield* readModels.submission(next.documentId, version)
        const { movedFrom } = submission ?? {}
        if (movedFrom === undefined || documents.has(movedFrom)) continue
        const former = yield* readModels.document(movedFrom)
        if (former === undefined) continue
        const isNoOther = isWhole && former.removed === "moved"
        if (isNoOther || !places.has(movedFrom)) waiting.push({ next: former, isWhole: isNoOther })
      }
    }
  })

  const select = Effect.fnUntraced(function* ({ names, scope }: EraseOptions) {
    const selected: Selected = { documents: new Map(), places: new Set(), sources: new Map() }
    if (names === "everything") {
      for (const source of yield* readModels.sources(scope)) selected.sources.set(source.sourceId, source)
      yield* documentsOf(selected, { scope })
      return selected
    }
    for (const name of names) {
      const source = yield* sourceNamed(content, yield* readModels.sources(scope), name)
      if (source === undefined) {
        const row = yield* findDocument(readModels, content, scope, name)
        selected.documents.set(row.documentId, row)
      } else {
        selected.sources.set(source.sourceId, source)
        yield* documentsOf(selected, { scope, source: source.sourceId })
      }
    }
    for (const row of [...selected.documents.values()]) yield* formerOf(selected, row)
    return selected
  })

  /** A write that a dead process sent to a server could bring back what it put in: it is let land first. */
  const untilLanded = Effect.gen(function* () {
    yield* Effect.sleep(Math.max(0, Duration.toMillis(qdrant.timeout) - (yield* sinceOpened)))
  })

  /** The id says what is erased, so that a run which is repeated appends nothing twice. */
  const say = (selected: DocumentRow) =>
    removingAfterAll(readModels, selected, (row, times) => {
      const { documentId, scope, submittedVersion } = row
      const again = times === 0 ? "" : `-${times}`
      return coordinator.ask(
        new DocumentRemove({
          commandId: CommandId.make(`erase-${documentId}-${submittedVersion}${again}`),
          scope,
          documentId,
          reason: "requested",
          orderKey: keyAfterAll(row),
          arrivalOrder: true,
          erase: true
        })
      )
    })

  const removeSource = ({ scope, sourceId, streamVersion }: SourceRow) =>
    coordinator.ask(
      new SourceRemove({ commandId: CommandId.make(`erase-${sourceId}-${streamVersion}`), scope, sourceId })
    )

  const erase = Effect.fn("Erasing.erase")(function* (
    options: EraseOptions
  ): Effect.fn.Return<Certificate, EraseError> {
    const started = yield* Clock.currentTimeMillis
    const elapsed = yield* stopwatch
    const selected = yield* select(options)
    const sources = [...selected.sources.values()]
    if (!options.dryRun) {
      const said = [...selected.documents.values()]
      yield* Effect.forEach(said, say, { concurrency: commandsAtOnce })
      // Removed with its destination, where a move was still under way: it is the same document.
      yield* Effect.forEach(said, (row) => formerOf(selected, row), { discard: true })
      const known = new Set(said.map(({ documentId }) => documentId))
      const former = [...selected.documents.values()].filter(({ documentId }) => !known.has(documentId))
      yield* Effect.forEach(former, say, { concurrency: commandsAtOnce })
      yield* Effect.forEach(
        sources.filter(({ removed }) => !removed),
        removeSource
      )
      yield* Effect.forEach(yield* lateOf(selected), say, { concurrency: commandsAtOnce })
    }
    const documents = [...selected.documents.keys()]
    const places = [...selected.places].filter((id) => !selected.documents.has(id))
    const { position } = yield* log.head
    const stores: Array<Certificate["stores"][number]> = []
    const ended = [...documents, ...places]
    const done = new Set<GenerationId>()
    /** Of the live generation; what is half built is begun anew. */
    const eraseFrom = Effect.fnUntraced(function* ({ generation, spec, state }: GenerationRow) {
      if (spec.engine === "qdrant") yield* untilLanded
      const removed = state === "live" ? yield* projections.eraseDocuments(generation, ended) : 0
      if (state === "building") yield* projections.reset(generation)
      done.add(generation)
      stores.push({
        store: `generation ${generation}`,
        what: "points, with their ledger and words",
        removed
      })
    })
    if (!options.dryRun) {
      yield* indexer.untilVisible(position)
      yield* projections.clear
      const live = yield* readModels.live
      if (live !== undefined) yield* eraseFrom(live)
    }
    const collected = yield* log.collect({
      ...collectionRules(storage, started),
      horizon: 0,
      erased: new Set(documents),
      ended: new Set(places),
      erasedSources: new Set(sources.map(({ sourceId }) => sourceId)),
      dryRun: options.dryRun
    })
    // What was built meanwhile has folded contents while they were there, and may have taken over since.
    if (!options.dryRun)
      yield* Effect.forEach(
        (yield* readModels.generations).filter(
          ({ generation, state }) => state === "building" || (state === "live" && !done.has(generation))
        ),
        eraseFrom
      )
    stores.push(
      { store: "content.sqlite", what: "bodies", removed: collected.blobs },
      { store: "content.sqlite", what: "vectors", removed: collected.vectors }
    )
    if (!options.dryRun) {
      const { copies, remembered } = yield* log.purge(documents)
      stores.push(
        { store: "log.sqlite", what: "remembered paths and attempts", removed: remembered },
        { store: "before-migration, restore.part, import.part", what: "copies of databases", removed: copies }
      )
    }
    const shared =
      collected.shared === 0
        ? []
        : [`${collected.shared} bodies that other documents, or a version that is there again, have as well`]
    return {
      scope: options.scope,
      dryRun: options.dryRun,
      documents,
      sources: sources.map(({ sourceId }) => sourceId),
      position,
      stores,
      remains: [...shared, ...beyond],
      elapsedMs: yield* elapsed
    }
  })
  return (options: EraseOptions) => one.withPermits(1)(erase(options))
})
