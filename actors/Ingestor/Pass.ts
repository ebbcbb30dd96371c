/**
 * The heart of a sync: compare a scan with what is known, look at what differs, find what moved, remove what is gone.
 *
 * Decisions come in the order of the scan, so that commits do. What is carried out is given by `Acts`: a dry run takes
 * the same decisions and changes nothing.
 */
import { Chunk, Clock, Deferred, Effect, Option, Ref, Stream } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import {
  type Digest,
  type DocumentId,
  documentId,
  type ProjectScope,
  type SourceId,
  sha256
} from "../../events/Ids.ts"
import type { FailpointsService } from "../../src/faults/Failpoints.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { DocumentRow, FileState, ReadModelsService } from "../../src/log/ReadModels.ts"
import { type Difference, differences, type Remembered, sameStamp } from "../../src/sources/Difference.ts"
import { ofBytes, type RawPath, toBytes } from "../../src/sources/RawPath.ts"
import type { OpenSource, SourceUnreadable, Stamp } from "../../src/sources/SourceReader.ts"
import type { Acts, Submission } from "./Acts.ts"
import { isHeld, isSettled, isTakenOut, isThere, judge, trusted } from "./judge.ts"
import { Missing } from "./Missing.ts"
import type { SyncOptions, SyncSettings } from "./SyncOptions.ts"
import type { Tally } from "./Tally.ts"

export interface PassInput<E> {
  readonly scope: ProjectScope
  readonly sourceId: SourceId
  readonly source: OpenSource
  /** Nothing is known of the source's documents: it is the first pass. */
  readonly fresh: boolean
  /** The memory of files may be incomplete: documents without it are looked for too. */
  readonly sweep: boolean
  readonly readModels: ReadModelsService
  readonly failpoints: FailpointsService
  readonly settings: SyncSettings
  readonly options: SyncOptions
  readonly tally: Tally
  readonly acts: Acts<E>
}

export type PassEnd =
  /** `complete`: nothing that the source has was out of sight. */
  | { readonly _tag: "Complete"; readonly complete: boolean; readonly held: ReadonlyArray<DocumentId> }
  /** The medium failed while it was scanned: what was not met may be there. */
  | { readonly _tag: "Broken" }
  /** Nothing is there at all, where documents were. */
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Stopped" }

interface KnownFile extends Remembered {
  readonly state: FileState & { readonly document: DocumentRow | undefined }
}

type Work =
  | {
      readonly _tag: "Look"
      readonly path: RawPath
      readonly stamp: Stamp
      /** What is remembered of it, and its document if it was read with that. */
      readonly state: FileState | undefined
      readonly document: DocumentRow | undefined
    }
  | {
      readonly _tag: "Wait"
      readonly path: RawPath
      readonly document: DocumentRow
      readonly version: number
    }

type Step =
  | { readonly _tag: "Settled" }
  | Extract<Work, { readonly _tag: "Wait" }>
  | { readonly _tag: "Retire"; readonly documentId: DocumentId }
  | { readonly _tag: "Submit"; readonly submission: Submission; readonly stored: Effect.Effect<void> }

const statesPage = 500
const documentsPage = 500

export const runPass = <E>(input: PassInput<E>): Effect.Effect<PassEnd, E | LogFailed | SourceUnreadable> =>
  Effect.suspend(() => new Pass(input).run())

class Pass<E> {
  private readonly input: PassInput<E>
  private readonly missing = new Missing()
  private readonly seen: Set<DocumentId> | undefined
  /** What the scan met, documents or not. */
  private met = 0
  private live = 0
  private complete = true
  private broken = false
  /** Files to look at are taken as they come: what is missing is not known yet. */
  private early: boolean

  constructor(input: PassInput<E>) {
    this.input = input
    this.early = input.fresh
    this.seen = input.sweep ? new Set() : undefined
  }

  run(): Effect.Effect<PassEnd, E | LogFailed | SourceUnreadable> {
    const { acts, options } = this.input
    return Effect.gen(this, function* () {
      const stop = options.stop ?? (yield* Deferred.make<void>())
      yield* this.lookAtAll(stop)
      yield* acts.flush
      if (yield* Deferred.isDone(stop)) return { _tag: "Stopped" } as const
      if (this.broken) return { _tag: "Broken" } as const
      return yield* this.removeRest()
    })
  }

  /** Scans, compares, and carries out what is to be done about each file that is there. */
  private lookAtAll(stop: Deferred.Deferred<void>): Effect.Effect<void, E | LogFailed | SourceUnreadable> {
    const { settings } = this.input
    return Effect.scoped(
      Effect.gen(this, function* () {
        const bytes = yield* Effect.makeSemaphore(settings.inFlightBytes)
        const works = yield* this.works(stop)
        yield* works.pipe(
          // One after the other, so that the first in line always has its share.
          Stream.mapEffect((work) => this.admit(work, bytes)),
          Stream.haltWhenDeferred(stop),
          Stream.mapEffect(({ stored, work }) => this.look(work, stored), { concurrency: settings.readers }),
          Stream.map((step) => this.withMove(step)),
          Stream.mapEffect((step) => this.carryOut(step), { concurrency: settings.window, unordered: true }),
          Stream.runDrain
        )
      })
    )
  }

  /**
   * What there is to do, once all of it is known, so that a move is recognised whichever end comes first; as it comes
   * where nothing can have moved, or where there is too much to remember.
   */
  private works(stop: Deferred.Deferred<void>) {
    const { settings } = this.input
    return Effect.gen(this, function* () {
      const found = this.compared()
      if (this.early) return found
      const pull = yield* Stream.toPull(found)
      const pending: Array<Work> = []
      while (pending.length < settings.pending) {
        const batch = yield* Effect.matchEffect(pull, {
          onSuccess: (chunk) => Effect.succeed(Option.some(chunk)),
          onFailure: Option.match({
            onNone: () => Effect.succeed(Option.none()),
            onSome: (e) => Effect.fail(e)
          })
        })
        if (Option.isNone(batch) || (yield* Deferred.isDone(stop))) return Stream.fromIterable(pending)
        for (const work of batch.value) pending.push(work)
      }
      this.early = true
      return Stream.concat(Stream.fromIterable(pending), Stream.repeatEffectChunkOption(pull))
    })
  }

  private compared(): Stream.Stream<Work, E | LogFailed | SourceUnreadable> {
    const { failpoints, options, readModels, source, sourceId } = this.input
    const scan = source.scan(options.only).pipe(
      Stream.mapChunks((chunk) => {
        failpoints.hit("sync.scan")
        this.met += chunk.length
        return chunk
      })
    )
    const remembered = (after: RawPath | undefined) =>
      Effect.map(
        readModels.fileStates(sourceId, after === undefined ? undefined : toBytes(after), statesPage),
        (states) => states.map((state): KnownFile => ({ ...state, path: ofBytes(state.path), state }))
      )
    return differences(scan, remembered).pipe(
      Stream.mapChunksEffect((chunk) =>
        Effect.gen(this, function* () {
          const works: Array<Work> = []
          for (const difference of chunk) {
            const work = yield* this.note(difference)
            if (work !== undefined) works.push(work)
          }
          return Chunk.unsafeFromArray(works)
        })
      )
    )
  }

  private note(difference: Difference<KnownFile>): Effect.Effect<Work | undefined, E> {
    const { acts, source, tally } = this.input
    switch (difference._tag) {
      case "Same":
        return Effect.succeed(this.noteSame(difference))
      case "Look": {
        const { known, path, stamp } = difference
        const document = known?.state.document
        this.remember(path, document)
        return Effect.succeed({ _tag: "Look", path, stamp, state: known?.state, document })
      }
      case "Unreadable": {
        const { broken, path, reason } = difference.scanned
        this.complete = false
        this.broken ||= broken
        tally.fail("failed", { uri: source.uri(path), reason: reason.message })
        return Effect.succeed(undefined)
      }
      case "Kept":
        this.remember(difference.known.path, difference.known.state.document)
        return Effect.succeed(undefined)
      case "Missing":
      case "Excluded": {
        const { document } = difference.known.state
        if (!this.isWanted(difference.known.path)) return Effect.succeed(undefined)
        this.remember(difference.known.path, document)
        if (!isThere(document)) {
          return Effect.as(acts.forget(difference.known.state.documentId), undefined)
        }
        this.missing.add({
          documentId: document.documentId,
          why: difference._tag === "Missing" ? "missing" : "excluded",
          inode: difference.known.inode,
          raw: isSettled(document) ? document.raw : undefined
        })
        return Effect.succeed(undefined)
      }
    }
  }

  private noteSame({
    known,
    path,
    stamp
  }: Extract<Difference<KnownFile>, { _tag: "Same" }>): Work | undefined {
    const { options, tally } = this.input
    const { document, raw } = known.state
    this.remember(path, document)
    const look: Work = { _tag: "Look", path, stamp, state: known.state, document }
    if (options.full === true || document === undefined) return look
    const verdict = judge(document, { raw, descriptor: this.descriptorOf(path) }, this.readmits)
    switch (verdict._tag) {
      case "Submit":
        return look
      case "Wait":
        return { _tag: "Wait", path, document, version: verdict.version }
      case "Unchanged":
      case "Skipped":
        tally.count(verdict._tag === "Unchanged" ? "unchanged" : "skipped")
        return undefined
    }
  }

  private remember(path: RawPath, document: DocumentRow | undefined): void {
    if (document?.live !== undefined) this.live += 1
    this.seen?.add(document?.documentId ?? this.idOf(path))
  }

  private get readmits(): boolean {
    return this.input.options.only !== undefined
  }

  private isWanted(path: RawPath): boolean {
    const { only } = this.input.options
    return only === undefined || only.some((one) => path === one || path.startsWith(`${one}/`))
  }

  private idOf(path: RawPath): DocumentId {
    return documentId(this.input.scope, this.input.sourceId, toBytes(path))
  }

  private descriptorOf(path: RawPath): Digest {
    return sha256(canonicalJson({ ...this.input.source.describe(path) }))
  }

  /** Waits until its bytes may be held in memory. */
  private admit(work: Work, bytes: Effect.Semaphore) {
    const { settings, source } = this.input
    const size = work._tag === "Look" && work.stamp.size <= source.maxItemBytes ? work.stamp.size : 0
    const share = Math.min(size, settings.inFlightBytes)
    return Effect.gen(function* () {
      if (share > 0) yield* bytes.take(share)
      const held = yield* Ref.make(share)
      const stored = Effect.flatMap(Ref.getAndSet(held, 0), (left) =>
        left > 0 ? bytes.release(left) : Effect.void
      )
      return { work, stored: Effect.asVoid(stored) }
    })
  }

  private look(work: Work, stored: Effect.Effect<void>): Effect.Effect<Step, E | LogFailed> {
    if (work._tag === "Wait") return Effect.succeed(work)
    const { acts, fresh, readModels, source, tally } = this.input
    const { path, stamp } = work
    const settled = Effect.as(stored, { _tag: "Settled" } as const)
    return Effect.gen(this, function* () {
      const id = this.idOf(path)
      const row = work.document ?? (fresh ? undefined : yield* readModels.document(id))
      if (isTakenOut(row) && !this.readmits) {
        tally.count("skipped")
        return yield* settled
      }
      const retired = isThere(row) ? ({ _tag: "Retire", documentId: id } as const) : undefined
      const skip = Effect.gen(function* () {
        yield* stored
        if (retired !== undefined) return retired
        tally.count("skipped")
        return { _tag: "Settled" } as const
      })
      if (stamp.size > source.maxItemBytes) return yield* skip
      const now = yield* Clock.currentTimeMillis
      const read = yield* Effect.either(source.read(path))
      if (read._tag === "Left") {
        if (read.left.code === "FileTooLarge") return yield* skip
        // Given up on with a reason, and tried again by every sync: its document stays as it is.
        tally.fail("parked", { uri: source.uri(path), reason: read.left.message })
        return yield* settled
      }
      const item = { ...read.right, stamp: trusted(read.right.stamp, now) }
      const content = { raw: sha256(item.bytes), descriptor: this.descriptorOf(path) }
      const verdict = judge(row, content, this.readmits)
      if (verdict._tag !== "Submit") {
        yield* stored
        if (!remembers(work.state, item.stamp, content)) {
          yield* acts.refresh(id, path, item.stamp, content)
        }
        if (verdict._tag === "Wait" && row !== undefined) {
          return { _tag: "Wait", path, document: row, version: verdict.version } as const
        }
        tally.count(verdict._tag === "Unchanged" ? "unchanged" : "skipped")
        return yield* settled
      }
      const submission: Submission = {
        path,
        documentId: id,
        uri: source.uri(path),
        item,
        raw: content.raw,
        movedFrom: undefined,
        becomes: row?.live === undefined ? "added" : "updated",
        readmit: this.readmits
      }
      return { _tag: "Submit", submission, stored } as const
    })
  }

  /** In the order of the scan, so that two runs find the same moves. */
  private withMove(step: Step): Step {
    if (step._tag !== "Submit" || step.submission.becomes !== "added" || this.early) return step
    // Empty files are all alike.
    if (this.broken || step.submission.item.bytes.length === 0) return step
    const { item, raw } = step.submission
    const movedFrom = this.missing.take(raw, item.stamp.inode)
    if (movedFrom === undefined) return step
    return { ...step, submission: { ...step.submission, movedFrom, becomes: "moved" } }
  }

  private carryOut(step: Step): Effect.Effect<void, E> {
    const { acts, source } = this.input
    switch (step._tag) {
      case "Settled":
        return Effect.void
      case "Retire":
        return acts.remove(step.documentId, "skipped")
      case "Wait": {
        const { document, path, version } = step
        const becomes = document.live === undefined ? "added" : "updated"
        return acts.wait({ documentId: document.documentId, version, uri: source.uri(path) }, becomes)
      }
      case "Submit": {
        const { movedFrom } = step.submission
        return acts.submit(step.submission, step.stored).pipe(
          Effect.tap((ended) => {
            if (movedFrom === undefined) return Effect.void
            if (ended === "committed") return acts.forget(movedFrom.documentId)
            return Effect.sync(() => this.missing.add(movedFrom))
          }),
          Effect.ensuring(step.stored),
          Effect.asVoid
        )
      }
    }
  }

  private removeRest(): Effect.Effect<PassEnd, E | LogFailed> {
    const { acts, failpoints, options, settings, tally } = this.input
    return Effect.gen(this, function* () {
      if (options.only === undefined && this.met === 0 && (yield* this.hasDocuments()))
        return { _tag: "Empty" } as const
      failpoints.hit("sync.diff.before")
      if (this.seen !== undefined && this.complete) yield* this.sweepInto(this.seen)
      const rest = [...this.missing.rest]
      const complete = this.complete && options.only === undefined
      if (isHeld(rest.length, this.live, settings)) {
        tally.count("held", rest.length)
        return { _tag: "Complete", complete, held: rest.map((one) => one.documentId) } as const
      }
      yield* Effect.forEach(
        rest,
        ({ documentId: id, why }) => acts.remove(id, why === "missing" ? "missing" : "skipped"),
        { concurrency: settings.window, discard: true }
      )
      failpoints.hit("sync.diff.after")
      return { _tag: "Complete", complete, held: [] } as const
    })
  }

  private hasDocuments(): Effect.Effect<boolean, LogFailed> {
    const { readModels, scope, sourceId } = this.input
    if (this.live > 0) return Effect.succeed(true)
    return Effect.map(
      readModels.documents({ scope, source: sourceId, state: "live", limit: 1 }),
      ({ rows }) => rows.length > 0
    )
  }

  /** Documents of which no memory of a file is left are missing as well, if the scan did not meet them. */
  private sweepInto(seen: ReadonlySet<DocumentId>): Effect.Effect<void, LogFailed> {
    const { readModels, scope, sourceId } = this.input
    return Effect.gen(this, function* () {
      let after: string | undefined
      // Counted anew: the memory of files did not name all of them.
      this.live = 0
      do {
        const page = yield* readModels.documents({
          scope,
          source: sourceId,
          limit: documentsPage,
          ...(after === undefined ? {} : { after })
        })
        for (const row of page.rows) {
          if (row.live !== undefined) this.live += 1
          if (!isThere(row) || seen.has(row.documentId)) continue
          this.missing.add({ documentId: row.documentId, why: "missing", inode: undefined, raw: undefined })
        }
        after = page.next
      } while (after !== undefined)
    })
  }
}

/** Nothing about it would be remembered otherwise. */
const remembers = (
  state: FileState | undefined,
  stamp: Stamp,
  content: { readonly raw: Digest; readonly descriptor: Digest }
): boolean =>
  state !== undefined &&
  sameStamp(state, stamp) &&
  state.raw === content.raw &&
  state.descriptor === content.descriptor
