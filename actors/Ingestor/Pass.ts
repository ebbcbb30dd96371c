/**
 * The heart of a sync: compare a scan with what is known, look at what differs, find what moved, remove what is gone.
 *
 * Decisions come in the order of the scan, so that commits do. What is carried out is given by `Acts`: a dry run takes
 * the same decisions and changes nothing.
 */
import { Chunk, Deferred, Effect, Option, type Scope, Stream } from "effect"
import type { DocumentId } from "../../events/Ids.ts"
import type { FailpointsService } from "../../src/faults/Failpoints.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { ReadModelsService, RememberedFile } from "../../src/log/ReadModels.ts"
import { type Difference, differences } from "../../src/sources/Difference.ts"
import { type RawPath, toBytes } from "../../src/sources/RawPath.ts"
import type { SourceUnreadable } from "../../src/sources/SourceReader.ts"
import type { Acts, Submission } from "./Acts.ts"
import { flow, type Held, pageLimits } from "./Flow.ts"
import { isHeld, isSettled, isThere, judge } from "./judge.ts"
import { idOf, type LookInput, look, type Step, sizeOf, type Work } from "./Look.ts"
import { LookAhead } from "./LookAhead.ts"
import { Missing } from "./Missing.ts"
import type { SyncOptions, SyncSettings } from "./SyncOptions.ts"

export interface PassInput<E> extends LookInput<E> {
  /** The memory of files may be incomplete: documents without it are looked for too. */
  readonly sweep: boolean
  readonly readModels: ReadModelsService
  readonly failpoints: FailpointsService
  readonly settings: SyncSettings
  readonly options: SyncOptions
  readonly acts: Acts<E>
  /** Run once the scan is under way, before anything else is done: what takes others time meanwhile is begun. */
  readonly whileScanning: Effect.Effect<void>
}

export type PassEnd =
  /** `complete`: nothing that the source has was out of sight. */
  | { readonly _tag: "Complete"; readonly complete: boolean; readonly held: ReadonlyArray<DocumentId> }
  /** The medium failed while it was scanned: what was not met may be there. */
  | { readonly _tag: "Broken" }
  /** Nothing is there at all, where documents were. */
  | { readonly _tag: "Empty" }
  | { readonly _tag: "Stopped" }

/** Nothing after the last ones. */
type NextWorks<E> = Effect.Effect<ReadonlyArray<Work> | undefined, E | LogFailed | SourceUnreadable>

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
    const { settings, source } = this.input
    return Effect.scoped(
      Effect.gen(this, function* () {
        const ahead = new LookAhead<Work, Step, E | LogFailed>({
          limits: pageLimits(settings),
          sizeOf: (work) => sizeOf(source, work),
          look: (works) => look(this.input, works, this.readmits)
        })
        const next = yield* this.works(stop, ahead)
        yield* flow<Work, Step, E | LogFailed | SourceUnreadable>({
          settings,
          stop,
          next,
          sizeOf: (work) => sizeOf(source, work),
          look: (works) => ahead.steps(works),
          carryOut: (steps, held) =>
            this.carryOut(
              steps.map((step) => this.withMove(step)),
              held
            )
        })
      })
    )
  }

  /**
   * What there is to do, once all of it is known, so that a move is recognised whichever end comes first; as it comes
   * where nothing can have moved, or where there is too much to remember.
   */
  private works(stop: Deferred.Deferred<void>, ahead: LookAhead<Work, Step, E | LogFailed>) {
    const { settings } = this.input
    return Effect.gen(this, function* () {
      const next = yield* this.compared()
      if (this.early) return next
      const pending: Array<Work> = []
      let ended = false
      while (!ended && pending.length < settings.pending) {
        const batch = yield* next
        ended = batch === undefined || (yield* Deferred.isDone(stop))
        if (batch === undefined) break
        if (!ended) yield* ahead.begin(batch)
        for (const work of batch) pending.push(work)
      }
      if (!ended) this.early = true
      let given = false
      return Effect.suspend(() => {
        if (given) return ended ? Effect.succeed(undefined) : next
        given = true
        return Effect.succeed(pending)
      })
    })
  }

  /** Begins the scan; answers how to get what is to be done, some at a time. */
  private compared(): Effect.Effect<NextWorks<E>, never, Scope.Scope> {
    const { acts, failpoints, options, readModels, source, sourceId, whileScanning } = this.input
    const remembered = (after: RawPath | undefined, page: number) =>
      after === undefined
        ? Effect.zipRight(whileScanning, readModels.fileStates(sourceId, undefined, page))
        : readModels.fileStates(sourceId, toBytes(after), page)
    // One by one where each is to be read, or to be known as met.
    const countsSettled = options.full !== true && this.seen === undefined
    return Effect.gen(this, function* () {
      const pages = yield* Stream.toPull(source.scan(options.only))
      const scanned = Effect.matchEffect(pages, {
        onSuccess: (chunk) =>
          Effect.sync(() => {
            failpoints.hit("sync.scan")
            this.met += chunk.length
            return Chunk.toReadonlyArray(chunk)
          }),
        onFailure: Option.match({ onNone: () => Effect.succeed(undefined), onSome: (e) => Effect.fail(e) })
      })
      const found = yield* differences(scanned, remembered, { page: statesPage, countsSettled })
      return Effect.flatMap(found, (some) => {
        if (some === undefined) return Effect.succeed(undefined)
        const works: Array<Work> = []
        const forgotten: Array<DocumentId> = []
        for (const difference of some) {
          const work = this.note(difference, forgotten)
          if (work !== undefined) works.push(work)
        }
        return forgotten.length === 0
          ? Effect.succeed(works)
          : Effect.as(Effect.forEach(forgotten, acts.forget, { discard: true }), works)
      })
    })
  }

  /** What is to be done about it. Most files are the same: nothing is asked of anybody for them. */
  private note(difference: Difference<RememberedFile>, forgotten: Array<DocumentId>): Work | undefined {
    const { source, tally } = this.input
    switch (difference._tag) {
      case "Settled":
        tally.count("unchanged", difference.count)
        this.live += difference.count
        return undefined
      case "Same":
        return this.noteSame(difference)
      case "Look": {
        const { known, path, stamp } = difference
        this.remember(path, known)
        return { _tag: "Look", path, stamp, state: known }
      }
      case "Unreadable": {
        const { broken, path, reason } = difference.scanned
        this.complete = false
        this.broken ||= broken
        tally.fail("failed", { uri: source.uri(path), reason: reason.message })
        return undefined
      }
      case "Kept":
        this.remember(difference.known.path, difference.known)
        return undefined
      case "Missing":
      case "Excluded": {
        const state = difference.known
        if (!this.isWanted(state.path)) return undefined
        this.remember(state.path, state)
        if (!state.settled && !isThere(state.document)) {
          forgotten.push(state.documentId)
          return undefined
        }
        this.missing.add({
          documentId: state.documentId,
          why: difference._tag === "Missing" ? "missing" : "excluded",
          inode: state.inode,
          raw: state.settled
            ? state.raw
            : state.document !== undefined && isSettled(state.document)
              ? state.document.raw
              : undefined
        })
        return undefined
      }
    }
  }

  private noteSame({
    descriptor: scanned,
    known,
    path,
    stamp
  }: Extract<Difference<RememberedFile>, { _tag: "Same" }>): Work | undefined {
    const { options, tally } = this.input
    const { descriptor: was, document, raw, settled } = known
    this.remember(path, known)
    const look: Work = { _tag: "Look", path, stamp, state: known }
    if (options.full === true) return look
    if (settled && (scanned ?? this.input.source.descriptor(path)) === was) {
      tally.count("unchanged")
      return undefined
    }
    if (document === undefined) return look
    const descriptor = this.input.source.descriptor(path)
    const verdict = judge(document, { raw, descriptor }, this.readmits)
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

  private remember(path: RawPath, state: RememberedFile | undefined): void {
    if (state?.settled === true || state?.document?.live !== undefined) this.live += 1
    this.seen?.add(state?.documentId ?? idOf(this.input, path))
  }

  private get readmits(): boolean {
    return this.input.options.only !== undefined
  }

  private isWanted(path: RawPath): boolean {
    const { only } = this.input.options
    return only === undefined || only.some((one) => path === one || path.startsWith(`${one}/`))
  }

  /** In the order of the scan, so that two runs find the same moves. */
  private withMove(step: Step): Step {
    if (step._tag !== "Submit" || step.submission.becomes !== "added" || this.early) return step
    // Empty files are all alike.
    if (this.broken || step.submission.item.bytes.length === 0) return step
    const { item } = step.submission
    const movedFrom = this.missing.take(item.raw, item.stamp.inode)
    if (movedFrom === undefined) return step
    return { ...step, submission: { ...step.submission, movedFrom, becomes: "moved" } }
  }

  private carryOut(steps: ReadonlyArray<Step>, held: Held): Effect.Effect<void, E> {
    const submissions: Array<Submission> = []
    const others: Array<Effect.Effect<void, E>> = []
    for (const step of steps) {
      if (step._tag === "Submit") submissions.push(step.submission)
      else if (step._tag !== "Settled") others.push(Effect.zipRight(this.settle(step), held.over(1)))
    }
    const submitted = this.submit(submissions, held)
    return Effect.zipRight(
      held.over(steps.length - submissions.length - others.length),
      others.length === 0
        ? submitted
        : Effect.all([submitted, ...others], { concurrency: "unbounded", discard: true })
    )
  }

  private settle(step: Extract<Step, { readonly _tag: "Retire" | "Wait" }>): Effect.Effect<void, E> {
    const { acts, source } = this.input
    // A limit that is too low leaves out as much as a glob that is too narrow: held as that is.
    if (step._tag === "Retire") {
      const { documentId } = step
      return Effect.sync(() =>
        this.missing.add({ documentId, why: "excluded", inode: undefined, raw: undefined })
      )
    }
    const { document, path, version } = step
    const becomes = document.live === undefined ? "added" : "updated"
    return acts.wait({ documentId: document.documentId, version, uri: source.uri(path) }, becomes)
  }

  private submit(submissions: ReadonlyArray<Submission>, held: Held): Effect.Effect<void, E> {
    const { acts } = this.input
    if (submissions.length === 0) return held.stored
    return Effect.gen(this, function* () {
      const ends = yield* acts.submit(submissions, held)
      for (const [at, { movedFrom }] of submissions.entries()) {
        if (movedFrom === undefined) continue
        if (ends[at] === "committed") yield* acts.forget(movedFrom.documentId)
        else this.missing.add(movedFrom)
      }
    })
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
      yield* Effect.forEach(rest, ({ documentId: id, why }) => acts.remove(id, why), {
        concurrency: settings.window,
        discard: true
      })
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
