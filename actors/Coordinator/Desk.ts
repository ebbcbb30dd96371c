/**
 * What the Coordinator has before it: its ports, and everything that it holds in memory. The memory is a copy of what
 * the log says; after a crash it is read again (see recover.ts).
 */
import { Duration, Effect } from "effect"
import type { MutationEnd } from "../../events/Commands.ts"
import { samePair } from "../../events/Generation.ts"
import type { DocumentId, JobId, ProjectScope, SourceId } from "../../events/Ids.ts"
import type { Lane } from "../../events/Job.ts"
import type { BusService } from "../../src/bus/Bus.ts"
import type { FailpointsService } from "../../src/faults/Failpoints.ts"
import type { ContentService } from "../../src/log/Content.ts"
import type { LogFailed, LogService, NewEvent, OperationalChange } from "../../src/log/Log.ts"
import type {
  DocumentRow,
  GenerationRow,
  NamedDocument,
  ReadModelsService,
  SourceRow
} from "../../src/log/ReadModels.ts"
import type { Reply } from "../Actor.ts"
import type { CoordinatorProgress } from "../Coordinator.ts"
import { AtHand } from "./AtHand.ts"
import { Builds } from "./Builds.ts"
import type { Known } from "./decide.ts"
import { evolve, isDocumentEvent } from "./evolve.ts"
import { Inputs } from "./Inputs.ts"
import { type Job, Jobs } from "./Jobs.ts"
import { Lines } from "./Line.ts"
import { Outages } from "./Outages.ts"
import type { CoordinatorSettings } from "./Settings.ts"
import type { Turn } from "./Turn.ts"
import { embedJobOf, type Pair, prepareJobOf, type Work, workKey } from "./Work.ts"

export interface Ports {
  readonly log: LogService
  readonly readModels: ReadModelsService
  readonly content: ContentService
  readonly bus: BusService
  readonly failpoints: FailpointsService
}

/** A mutation that is open: the document's row as of its last append, and the work on it. */
export interface OpenDocument {
  row: DocumentRow
  readonly work: Work
}

/** Who waits for a mutation's end. */
export interface Waiter {
  readonly hear: (end: MutationEnd) => void
  /** Fails where the memory is read anew before all that it waits for has ended. */
  readonly reply: Reply<void, LogFailed>
}

/** Attempts that this process began, by job: they go on when the Coordinator alone is restarted. */
export type Begun = Map<JobId, number>

const rememberedSources = 1024
/** Open moves that hang together, as far as they are followed. */
const longestChain = 16

/** What a turn touches when it decides about a document. */
export const documentKey = (id: DocumentId): string => `document/${id}`

export class Desk {
  readonly ports: Ports
  readonly settings: CoordinatorSettings
  readonly epoch: number
  readonly begun: Begun
  readonly open = new Map<DocumentId, OpenDocument>()
  readonly builds: Builds
  readonly jobs: Jobs
  readonly inputs = new Inputs()
  readonly atHand = new AtHand()
  readonly lines: Lines
  readonly outages: Outages
  readonly #sources = new Map<SourceId, SourceRow>()
  /** Syncs that this process started and that are not over. */
  readonly syncing = new Set<SourceId>()
  /** Sources whose documents are being removed. */
  readonly removing = new Set<SourceId>()
  /** How far the removal of a source's documents has come, by command. */
  readonly removalCursors = new Map<string, string>()
  readonly #waiters = new Map<string, Array<Waiter>>()
  readonly #ends = new Map<string, MutationEnd>()
  live: GenerationRow | undefined
  building: ReadonlyArray<GenerationRow> = []
  /** How many were ever opened. */
  generations = 0
  /** Jobs that were in flight when the process died, with how often it died while they ran alone. */
  readonly interrupted = new Map<JobId, number>()
  /** Documents whose parked job was retried: they are taken up after the write. */
  readonly reopened = new Set<DocumentId>()
  /** Position up to which open mutations were taken up; undefined when all are. */
  recovered: number | undefined = 0
  /** When leases were last looked at; monotonic milliseconds. */
  lookedAt: number | undefined
  /** A lane of which an order was sent again, because nobody had claimed it. */
  unclaimed: Lane | undefined
  progress: CoordinatorProgress

  constructor(
    ports: Ports,
    settings: CoordinatorSettings,
    epoch: number,
    begun: Begun,
    progress: CoordinatorProgress
  ) {
    this.ports = ports
    this.settings = settings
    this.epoch = epoch
    this.begun = begun
    this.progress = progress
    this.jobs = new Jobs({
      lanes: settings.lanes,
      unclaimedMs: this.unclaimedMs,
      leaseMs: Duration.toMillis(settings.lease)
    })
    this.builds = new Builds(settings.builds)
    this.outages = new Outages({
      firstPause: Duration.toMillis(settings.firstRetry),
      longestPause: Duration.toMillis(settings.longestRetry)
    })
    this.lines = new Lines({
      places: settings.line.places,
      patienceMs: Duration.toMillis(settings.line.patience)
    })
  }

  /** The pair that commits are made under. */
  get pair(): Pair {
    return (this.live ?? this.settings).spec
  }

  get unclaimedMs(): number {
    return Duration.toMillis(this.settings.unclaimed)
  }

  /** What is configured cannot make commits under the live spec. */
  get differs(): boolean {
    const { live, settings } = this
    return (
      live !== undefined &&
      (!samePair(live.spec, settings.spec) || live.spec.analyzer !== settings.spec.analyzer)
    )
  }

  /** Where it is open, or was read ahead. */
  #atHandOf(id: DocumentId): NamedDocument | undefined {
    return this.open.get(id) ?? this.atHand.documents.get(id)
  }

  row(id: DocumentId): Effect.Effect<DocumentRow | undefined, LogFailed> {
    const known = this.#atHandOf(id)
    return known === undefined ? this.ports.readModels.document(id) : Effect.succeed(known.row)
  }

  /** A document with what its open or parked move would take along. A chain of such moves is followed up to a limit. */
  known(id: DocumentId, depth = 0): Effect.Effect<Known, LogFailed> {
    const named = this.#atHandOf(id)
    return named === undefined
      ? Effect.flatMap(this.ports.readModels.named([id]), (found) =>
          this.#withMove(id, found.get(id) ?? {}, depth)
        )
      : this.#withMove(id, named, depth)
  }

  #withMove(
    id: DocumentId,
    { orderKey, row }: NamedDocument,
    depth: number
  ): Effect.Effect<Known, LogFailed> {
    const known = { id, row, lastKey: row === undefined ? orderKey : row.orderKey }
    const move = row === undefined || depth >= longestChain ? undefined : this.#moveOf(row)
    if (move === undefined) return Effect.succeed({ ...known, takes: undefined })
    return Effect.flatMap(move, (found): Effect.Effect<Known, LogFailed> => {
      if (found === undefined) return Effect.succeed({ ...known, takes: undefined })
      return Effect.map(this.known(found.movedFrom, depth + 1), (from) => ({
        ...known,
        takes: { from, orderKey: found.moveKey }
      }))
    })
  }

  /** What its open or parked version was to take the place of, with the order key of that move. */
  #moveOf(
    row: DocumentRow
  ):
    | Effect.Effect<{ readonly movedFrom: DocumentId; readonly moveKey: string } | undefined, LogFailed>
    | undefined {
    const { documentId, open, parked } = row
    const version = open?.version ?? parked?.version
    if (version === undefined || (open !== undefined && open.movedFrom === undefined)) return undefined
    const work = this.open.get(documentId)?.work
    if (open?.movedFrom !== undefined && work?.version === version) {
      return Effect.succeed({ movedFrom: open.movedFrom, moveKey: work.moveKey })
    }
    return Effect.map(this.ports.readModels.submission(documentId, version), (submission) =>
      submission?.movedFrom === undefined
        ? undefined
        : { movedFrom: submission.movedFrom, moveKey: submission.moveKey ?? submission.orderKey }
    )
  }

  /** The keys of a document and of what leaves with it, as far as it is in memory. */
  keysOf(id: DocumentId | undefined): ReadonlyArray<string> {
    const keys: Array<string> = []
    for (let one = id; one !== undefined && keys.length <= longestChain; ) {
      keys.push(documentKey(one))
      one = this.open.get(one)?.row.open?.movedFrom
    }
    return keys
  }

  source(id: SourceId): Effect.Effect<SourceRow | undefined, LogFailed> {
    const kept = this.#sources.get(id)
    if (kept !== undefined) return Effect.succeed(kept)
    return Effect.tap(this.ports.readModels.source(id), (row) => {
      if (row === undefined) return
      if (this.#sources.size >= rememberedSources) this.#sources.clear()
      this.#sources.set(id, row)
    })
  }

  forgetSource(id: SourceId): void {
    this.#sources.delete(id)
  }

  /**
   * Follows what was appended to documents; `first` is the position of the first event. A removal ends what is open; its
   * order key is raised.
   */
  follow(turn: Turn, events: ReadonlyArray<NewEvent>, scope: ProjectScope, first: number): void {
    for (const [at, { event }] of events.entries()) {
      if (!isDocumentEvent(event)) continue
      const open = this.open.get(event.documentId)
      if (open !== undefined) open.row = evolve(open.row, event, scope, first + at) ?? open.row
      if (event._tag !== "DocumentRemoved" || event.reason === "skipped") continue
      this.builds.removed(event.documentId)
      if (open !== undefined)
        this.end(open.work, turn, { ...unfinished(open.work), outcome: "removed", position: first + at })
    }
  }

  raiseKey(id: DocumentId, orderKey: string): void {
    const open = this.open.get(id)
    if (open !== undefined) open.row = { ...open.row, orderKey }
  }

  waitFor(document: DocumentId, version: number, waiter: Waiter): void {
    const key = `${document}/${version}`
    const waiters = this.#waiters.get(key)
    if (waiters === undefined) this.#waiters.set(key, [waiter])
    else waiters.push(waiter)
  }

  endOf(document: DocumentId, version: number): MutationEnd | undefined {
    return this.#ends.get(`${document}/${version}`)
  }

  /** It is open again. */
  forgetEnd(document: DocumentId, version: number): void {
    this.#ends.delete(`${document}/${version}`)
  }

  /** The mutation is over: whoever waits for it hears how. */
  end(work: Work, turn: Turn, end: MutationEnd): void {
    this.abandon(work, turn)
    if (this.open.get(work.documentId)?.work === work) this.open.delete(work.documentId)
    const key = `${work.documentId}/${work.version}`
    this.#ends.set(key, end)
    if (this.#ends.size > this.settings.remembered) {
      for (const oldest of this.#ends.keys()) {
        this.#ends.delete(oldest)
        break
      }
    }
    const waiters = this.#waiters.get(key)
    if (waiters === undefined) return
    this.#waiters.delete(key)
    turn.replies.push(() => {
      for (const { hear } of waiters) hear(end)
    })
  }

  /** Everybody who waits is told to ask again: the memory is about to be read anew. */
  dismiss(): ReadonlySet<Waiter["reply"]> {
    const waiting = new Set([...this.#waiters.values()].flatMap((all) => all.map(({ reply }) => reply)))
    this.#waiters.clear()
    return waiting
  }

  /** Takes a work's jobs back: it is over, or starts anew. */
  abandon(work: Work, turn: Turn): void {
    work.ready = false
    this.lines.leave(work)
    this.wake(this.inputs.forget(work))
    for (const job of this.jobsOf(work)) {
      this.jobs.remove(job)
      this.#forgetBegun(job, turn)
      if (job.attempt > 0) turn.sends.push(Effect.ignore(this.ports.bus.withdraw(job.lane, job.id)))
    }
  }

  jobsOf(work: Work): ReadonlyArray<Job> {
    const ids = [prepareJobOf(this.epoch, work)]
    if (work.chunking !== undefined) ids.push(embedJobOf(this.epoch, work, work.chunking))
    return ids.flatMap((id) => {
      const job = this.jobs.get(id)
      return job !== undefined && workKey(job.work) === workKey(work) && job.work.version === work.version
        ? [job]
        : []
    })
  }

  /** Those who waited for what somebody else had asked for ask for themselves. */
  wake(works: Iterable<Work>): void {
    for (const work of works) for (const job of this.jobsOf(work)) this.jobs.wake(job)
  }

  openJob(work: Work, lane: Lane, options: { readonly known: boolean; readonly solo: boolean }): Job {
    const id =
      lane === "prepare" || work.chunking === undefined
        ? prepareJobOf(this.epoch, work)
        : embedJobOf(this.epoch, work, work.chunking)
    const code = lane === "prepare" ? work.pair.chunker : work.pair.model
    return this.jobs.add({ id, lane, work, code, ...options })
  }

  /** The job's running attempt is over. */
  attemptEnded(
    job: Job,
    turn: Turn,
    outcome: Extract<OperationalChange, { readonly kind: "attemptEnded" }>["outcome"],
    error?: string
  ): void {
    if (job.attempt === 0) return
    this.#forgetBegun(job, turn)
    turn.operational({
      kind: "attemptEnded",
      jobId: job.id,
      attempt: job.attempt,
      endedAt: turn.wallClock,
      outcome,
      ...(job.worker === undefined ? {} : { worker: job.worker }),
      ...(error === undefined ? {} : { error: error.slice(0, 2000) })
    })
  }

  #forgetBegun({ attempt, id }: Job, turn: Turn): void {
    turn.after.push(() => {
      if (this.begun.get(id) === attempt) this.begun.delete(id)
    })
  }

  count(change: Partial<CoordinatorProgress>): void {
    const next = this.progress
    this.progress = {
      ...next,
      prepared: next.prepared + (change.prepared ?? 0),
      committed: next.committed + (change.committed ?? 0),
      parked: next.parked + (change.parked ?? 0),
      vectorsComputed: next.vectorsComputed + (change.vectorsComputed ?? 0),
      vectorsReused: next.vectorsReused + (change.vectorsReused ?? 0)
    }
  }

  /** Something is to be looked at when time has passed. */
  get hasTimers(): boolean {
    return (
      this.jobs.hasTimers ||
      this.open.size > 0 ||
      this.outages.current !== undefined ||
      this.builds.unfinished().open > 0
    )
  }

  /** Nothing is left that could be done here: mutations that another configuration waits for are not. */
  isIdle(): boolean {
    return (
      (this.recovered === undefined || this.differs) &&
      (this.open.size === 0 || this.differs) &&
      this.removing.size === 0 &&
      this.builds.unfinished().open === 0
    )
  }
}

/** The vectors of a mutation that was not committed. */
export const unfinished = (work: Work) => ({ embeddings: { computed: work.computed, reused: 0 } })
