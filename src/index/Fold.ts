/**
 * The fold: from the events after a checkpoint to the points that an engine must hold and the state that expects them.
 *
 * Pure with regard to what it reads: the state at its checkpoint P, and the log. It computes one batch (P, Q], where Q
 * is always the end of an append, and writes nothing; whoever applies it writes the engine first, its marker second and
 * the state last. Computing a batch twice gives the same points.
 *
 * A version that comes and goes within one batch leaves no point: no query can be made at a position inside a batch.
 */
import { Either } from "effect"
import type { Event } from "../../events/Catalogue.ts"
import { invisibleEvents } from "../../events/Catalogue.ts"
import type { DocumentBuilt, DocumentCommitted, DocumentRemoved } from "../../events/Document.ts"
import type { StoredEvent } from "../../events/Envelope.ts"
import { type Spec, samePair } from "../../events/Generation.ts"
import { type GenerationId, ProjectName, type ProjectScope, pointId, TeamName } from "../../events/Ids.ts"
import { decodeEvent, type UnknownEvent } from "../../events/Upcasters.ts"
import type { Analyzer } from "../documents/Analyzer.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"
import { uuidBytes, uuidText } from "./Fingerprint.ts"
import type { GenerationState } from "./GenerationState.ts"
import { forever, type Point } from "./Index.ts"
import type { VersionsAhead } from "./ReadAhead.ts"
import type { FoldedDocument, LedgerRow, ScopeChange, StateChange, StateWord } from "./StateSchema.ts"
import { openVersion, skipping } from "./VersionPoints.ts"
import type { WordCounts } from "./WordCounts.ts"

/** What the fold of a generation needs to know. */
export interface FoldContext {
  readonly generation: GenerationId
  readonly spec: Spec
  readonly analyzer: Analyzer
  readonly snapshot: LogSnapshot
  readonly state: GenerationState
  /** Leaves out a document whose content cannot be taken, with a record. */
  readonly skips?: boolean
}

/** Points to insert and to end, and the state after them. */
export interface FoldedBatch {
  readonly from: number
  readonly change: StateChange
  readonly inserts: ReadonlyArray<Point>
  readonly ends: ReadonlyArray<{
    readonly scope: ProjectScope
    readonly id: Point["id"]
    readonly until: number
  }>
  readonly events: number
  /** Documents of which a version was folded as empty because its content is gone: their windows are not the first ones. */
  readonly collected: ReadonlySet<Point["documentId"]>
}

/** Bounds of a batch. A single append beyond them is still taken whole. */
export interface FoldLimits {
  readonly points: number
  readonly events: number
}

export const defaultLimits: FoldLimits = { points: 10_000, events: 4_000 }

export type Folded = Either.Either<FoldedBatch | undefined, UnknownEvent>

/** The next batch after the state's checkpoint; `undefined` where there is nothing to fold, or the fold has ended. */
export const foldNext = (context: FoldContext, upTo: number, limits?: FoldLimits): Folded => {
  const steps = foldSteps(context, upTo, limits)
  let step = steps.next()
  while (step.done !== true) step = steps.next()
  return step.value
}

/** Events that are read at a time: those whose positions follow a multiple of it. */
export const pageEvents = 200

/** As {@link foldNext}, a page of events at a time: what was opened ahead of it is asked for by the position before it. */
export function* foldSteps(
  context: FoldContext,
  upTo: number,
  limits: FoldLimits = defaultLimits
): Generator<number, Folded, VersionsAhead | undefined> {
  const { state, snapshot } = context
  if (state.replacedAt > 0) return Either.right(undefined)
  const batch = new Batch(context)
  let seen = state.checkpoint
  let appendEnd = seen
  while (seen < upTo) {
    const pageEnd = Math.min(upTo, seen - (seen % pageEvents) + pageEvents)
    batch.ahead = yield seen
    const events = snapshot.events(seen, pageEnd, pageEvents)
    seen = pageEnd
    for (const event of events) {
      const folded = batch.fold(event)
      if (Either.isLeft(folded)) return Either.left(folded.left)
      appendEnd = event.metadata.appendEnd
      const isEnd = event.position === appendEnd
      if (isEnd && (batch.isFull(limits) || batch.replacedAt !== undefined))
        return Either.right(batch.close(event))
      if (isEnd) batch.last = event
    }
  }
  return Either.right(batch.last === undefined ? undefined : batch.close(batch.last))
}

/** A chunk that lives, as far as this batch has come. */
type Living =
  | { readonly _tag: "Stored"; readonly row: LedgerRow }
  | {
      readonly _tag: "Pending"
      readonly key: string
      readonly row: PendingPoint["ledger"]
    }

interface OpenDocument {
  readonly id: Buffer
  readonly scope: FoldedScope
  folded: FoldedDocument
  readonly living: Map<string, Living>
}

interface PendingPoint {
  readonly point: Point
  readonly ledger: Omit<LedgerRow, "row" | "until">
}

type FoldedScope = ScopeChange & { readonly counts: WordCounts; readonly named: ProjectScope }

const nothing: FoldedDocument = { version: 0, position: 0, missing: undefined }

class Batch {
  readonly #context: FoldContext
  readonly #scopes = new Map<string, FoldedScope>()
  readonly #documents = new Map<string, OpenDocument>()
  readonly #pending = new Map<string, PendingPoint>()
  readonly #ended: Array<{ readonly row: number; readonly until: number }> = []
  readonly #ends: Array<{ readonly scope: ProjectScope; readonly id: Point["id"]; readonly until: number }> =
    []
  readonly #next: { scope: number; word: number }
  readonly #collected = new Set<Point["documentId"]>()
  #events = 0
  #promoted: boolean
  replacedAt: number | undefined
  last: StoredEvent | undefined
  ahead: VersionsAhead | undefined

  constructor(context: FoldContext) {
    context.state.changes.begin()
    this.#context = context
    this.#next = { ...context.state.nextIds() }
    this.#promoted = context.state.promoted
  }

  isFull(limits: FoldLimits): boolean {
    return this.#pending.size + this.#ended.length >= limits.points || this.#events >= limits.events
  }

  fold(stored: StoredEvent): Either.Either<void, UnknownEvent> {
    this.#events += 1
    // Only what changes visibility or generations is decoded; all other known events leave an index as it is.
    if (invisibleEvents.has(stored.type)) return Either.void
    const decoded = decodeEvent(stored.type, stored.schemaVersion, stored.data)
    if (Either.isLeft(decoded)) {
      if (decoded.left._tag === "UnknownEvent") return Either.left(decoded.left)
      throw decoded.left
    }
    this.#evolve(stored, decoded.right)
    return Either.void
  }

  #evolve(stored: StoredEvent, event: Event): void {
    switch (event._tag) {
      case "DocumentCommitted":
        return this.#committed(stored, event)
      case "DocumentBuilt":
        return this.#built(stored, event)
      case "DocumentRemoved":
        return this.#removed(stored, event)
      case "GenerationPromoted":
        if (event.generation === this.#context.generation) this.#promoted = true
        else if (this.#promoted) this.replacedAt ??= stored.position
    }
  }

  #committed(stored: StoredEvent, event: DocumentCommitted): void {
    const document = this.#open(stored, event.documentId)
    document.folded = { version: event.version, position: stored.position, missing: undefined }
    if (samePair(event, this.#context.spec)) this.#take(stored, document, event)
    else this.#empty(stored, document, "build")
  }

  /** Counts for every generation of its pair, and only while its version is still the committed one. */
  #built(stored: StoredEvent, event: DocumentBuilt): void {
    if (!samePair(event, this.#context.spec)) return
    const document = this.#open(stored, event.documentId)
    if (document.folded.version !== event.version || document.folded.missing === undefined) return
    document.folded = { version: event.version, position: stored.position, missing: undefined }
    this.#take(stored, document, event)
  }

  #removed(stored: StoredEvent, event: DocumentRemoved): void {
    const document = this.#open(stored, event.documentId)
    if (document.folded.version === 0) return
    this.#endAll(stored, document)
    document.folded = { ...nothing, position: stored.position }
  }

  #empty(stored: StoredEvent, document: OpenDocument, missing: string): void {
    this.#endAll(stored, document)
    document.folded = { ...document.folded, missing }
  }

  /** Makes a version's chunks the living ones; a chunk that survives with its payload is not touched. */
  #take(stored: StoredEvent, document: OpenDocument, event: DocumentCommitted | DocumentBuilt): void {
    const opened = this.ahead?.get(stored.position) ?? this.#openVersion(stored, event)
    if (opened._tag === "Missing") {
      this.#collected.add(event.documentId)
      return this.#empty(stored, document, opened.what)
    }
    const wanted = new Map(opened.entries.map((entry, index) => [entry.chunkId.replaceAll("-", ""), index]))
    for (const [chunk, living] of document.living) {
      if (wanted.has(chunk) && living.row.payloadDigest.equals(opened.payloadDigest)) wanted.delete(chunk)
      else this.#end(stored, document, chunk, living)
    }
    for (const [chunk, index] of wanted) {
      const point = opened.point(index)
      const id = pointId(point.chunkId, stored.position)
      this.#sum(document.scope, point.chunk, point.leaf, 1)
      const ledger = {
        scope: document.scope.id,
        id: uuidBytes(id),
        chunk: point.chunk,
        document: document.id,
        payloadDigest: opened.payloadDigest,
        leaf: point.leaf,
        words: document.scope.counts.add(point.words),
        from: stored.position
      }
      this.#pending.set(id, {
        point: {
          id,
          scope: document.scope.named,
          documentId: event.documentId,
          chunkId: point.chunkId,
          payload: opened.payload,
          dense: point.dense,
          sparse: point.sparse,
          from: stored.position,
          until: forever
        },
        ledger
      })
      document.living.set(chunk, { _tag: "Pending", key: id, row: ledger })
    }
  }

  #openVersion(stored: StoredEvent, event: DocumentCommitted | DocumentBuilt) {
    const { snapshot, analyzer, skips, spec } = this.#context
    const version = snapshot.versionAt(event.documentId, stored.position)
    if (version === undefined)
      throw new Error(`No version of ${event.documentId} at position ${stored.position}.`)
    const scope = { team: stored.team, project: stored.project }
    const open = () => openVersion(snapshot, analyzer, spec, scope, version.sourceId, event.documentId, event)
    return skips ? skipping(open) : open()
  }

  #endAll(stored: StoredEvent, document: OpenDocument): void {
    for (const [chunk, living] of document.living) this.#end(stored, document, chunk, living)
  }

  #end(stored: StoredEvent, document: OpenDocument, chunk: string, living: Living): void {
    document.living.delete(chunk)
    const { row } = living
    this.#sum(document.scope, row.chunk, row.leaf, -1)
    document.scope.counts.remove(row.words, (id) => this.#word(id))
    if (living._tag === "Pending") {
      this.#pending.delete(living.key)
      return
    }
    this.#ended.push({ row: living.row.row, until: stored.position })
    this.#ends.push({
      scope: document.scope.named,
      id: pointId(asChunkId(row.chunk), row.from),
      until: stored.position
    })
  }

  /** Adds a chunk to its project's sums, or takes it out. */
  #sum(scope: FoldedScope, chunk: Buffer, leaf: Buffer, sign: 1 | -1): void {
    const bucket = scope.buckets.of(chunk)
    if (sign === 1) bucket.add(leaf)
    else bucket.subtract(leaf)
    scope.touched.add(chunk[0] ?? 0)
    scope.total += sign
  }

  #word(id: number): StateWord {
    const word = this.#context.state.word(id)
    if (word === undefined)
      throw new Error(`The ledger names word ${id}, which the vocabulary does not know.`)
    return word
  }

  #open(stored: StoredEvent, id: Point["documentId"]): OpenDocument {
    const known = this.#documents.get(id)
    if (known !== undefined) return known
    const raw = uuidBytes(id)
    const folded = this.#context.state.document(raw)
    const living = new Map<string, Living>()
    if (folded !== undefined) {
      for (const row of this.#context.state.living(raw)) {
        living.set(row.chunk.toString("hex"), { _tag: "Stored", row })
      }
    }
    const document: OpenDocument = { id: raw, scope: this.#scope(stored), folded: folded ?? nothing, living }
    this.#documents.set(id, document)
    return document
  }

  #scope({ team, project }: StoredEvent): FoldedScope {
    const key = `${team}/${project}`
    const known = this.#scopes.get(key)
    if (known !== undefined) return known
    const stored = this.#context.state.scope(team, project)
    const id = stored?.id ?? this.#next.scope++
    const scope: FoldedScope = {
      id,
      team,
      project,
      named: { team: TeamName.make(team), project: ProjectName.make(project) },
      total: stored?.total ?? 0,
      buckets: this.#context.state.buckets(id),
      touched: new Set(),
      counts: this.#context.state.changes.counted.of(id, stored === undefined, {
        known: (word) => this.#context.state.wordId(id, word),
        next: () => this.#next.word++
      })
    }
    this.#scopes.set(key, scope)
    return scope
  }

  close(last: StoredEvent): FoldedBatch {
    const pending = [...this.#pending.values()]
    return {
      from: this.#context.state.checkpoint,
      events: this.#events,
      collected: this.#collected,
      inserts: pending.map(({ point }) => point),
      ends: this.#ends,
      change: {
        checkpoint: last.position,
        witness: last.hash,
        promoted: this.#promoted,
        replacedAt: this.replacedAt,
        scopes: this.#scopes,
        documents: Array.from(this.#documents.values(), ({ id, scope, folded }) => ({
          id,
          scope: scope.id,
          folded
        })),
        ended: this.#ended,
        inserted: pending.map(({ ledger }) => ledger)
      }
    }
  }
}

const asChunkId = (bytes: Buffer): Point["chunkId"] => uuidText(bytes) as Point["chunkId"]
