/**
 * The one place where the log is written: a synchronous class that runs in a worker, or in its caller's thread.
 *
 * A group of requests costs one fsync of the content and one of the log. Within it each append is atomic for itself:
 * whether it is refused is decided before its first insert, against the log as the group's earlier members leave it, so a
 * refused one leaves no gap. An append whose cause left its events before answers where they stand.
 *
 * What is answered as written is on disk. After a failed COMMIT or an I/O error nothing of the group was kept, as far as
 * the caller is concerned, and the files are opened again before the next write.
 */
import type { Database } from "better-sqlite3"
import { Digest, type EventId, eventId, Position, scopeKey } from "../../events/Ids.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { type CollectionAsk, type CollectionStep, ContentCollection } from "./ContentCollection.ts"
import { ContentStore } from "./ContentStore.ts"
import { dataColumns, metadataText } from "./EventRow.ts"
import { writeContent } from "./GroupContent.ts"
import { type ChainedRow, chainHash } from "./HashChain.ts"
import { overwriteHeadFile, writeHeadFile } from "./HeadFile.ts"
import type { Head } from "./Log.ts"
import { type LogConnection, openLog, type Tip } from "./LogConnection.ts"
import { assertSameFiles, identitiesOf } from "./LogDatabase.ts"
import { BrokenWrites, type GroupWriter, type Joining, nobody, writeRequests } from "./LogGroup.ts"
import { purge } from "./Purge.ts"
import { refusalOf } from "./Refusals.ts"
import { WalUpkeep } from "./WalUpkeep.ts"
import { failure } from "./WriteFailure.ts"
import {
  type AppendAnswer,
  type EncodedAppend,
  type GroupResult,
  scopeOf,
  type WriteOutcome,
  type WriteRequest
} from "./WriteGroup.ts"

export interface CoreOptions {
  readonly paths: {
    readonly log: string
    readonly content: string
    readonly head: string
    readonly lock: string
  }
  readonly failpoints: FailpointsService
  /** Called before a migration changes an existing database. */
  readonly snapshot: (database: "log" | "content", from: number) => void
  /** Pages in the WAL from which on they are moved into the database after a write. */
  readonly checkpointPages: number
}

export class WriterCore {
  readonly #options: CoreOptions
  readonly #wal: WalUpkeep
  #log: LogConnection
  #content: ContentStore
  #head: Tip
  #headFileAt = -1
  #writer: number
  #identities: ReadonlyMap<string, string>
  /** Set from a failure until the files are open again. */
  #stopped = false
  #collection: ContentCollection | undefined
  readonly #broken = new BrokenWrites()
  readonly #group: GroupWriter = {
    broken: this.#broken,
    write: (request) => this.#write(request),
    mark: () => {
      const head = this.#head
      return () => {
        this.#head = head
      }
    }
  }

  /** Opens and migrates both databases. `logId` is taken by a log that is created by this. */
  constructor(options: CoreOptions, logId: string) {
    this.#options = options
    this.#wal = new WalUpkeep(options.checkpointPages, options.failpoints)
    this.#log = this.#openLog()
    this.#content = this.#openContent()
    this.#log.db
      .prepare(
        "INSERT INTO meta VALUES ('log_id', ?), ('epoch', '1'), ('writer', '0') ON CONFLICT DO NOTHING"
      )
      .run(logId)
    this.#content.db
      .prepare("INSERT INTO meta VALUES ('log_id', ?) ON CONFLICT DO NOTHING")
      .run(this.#log.meta("log_id"))
    this.#head = this.#log.tip()
    this.#writer = Number(this.#log.meta("writer"))
    this.#identities = identitiesOf([options.paths.log, options.paths.content, options.paths.lock])
    this.#wal.assertThere([this.#log.db, this.#content.db])
  }

  get head(): Head {
    const { hash, ...head } = this.#head
    return { ...head, hash: Digest.make(hash.toString("hex"), { disableValidation: true }) }
  }

  /** The log that the content belongs to. */
  get contentLogId(): string {
    return (
      this.#content.db.prepare<[], { value: string }>("SELECT value FROM meta WHERE key = 'log_id'").get()
        ?.value ?? ""
    )
  }

  hashAt(position: number): string | undefined {
    return this.#log.statements.hashAt.get(position)?.hash.toString("hex")
  }

  /** Raises the writer's number, and opens a new epoch where one is given. From here on the core may write. */
  begin(epoch: number): void {
    const { failpoints, paths } = this.#options
    failpoints.hit("epoch.write.before")
    this.#log.db.transaction(() => {
      this.#log.statements.setMeta.run("writer", String(this.#writer + 1))
      this.#log.statements.setMeta.run("epoch", String(epoch))
    })()
    failpoints.hit("epoch.write.after")
    this.#writer += 1
    this.#head = this.#log.tip()
    writeHeadFile(paths.head, this.head)
    this.#headFileAt = this.#head.position
  }

  /** The epoch up to which an accepted rollback's losses are recorded in the log. */
  get reconciledEpoch(): number {
    return Number(this.#log.meta("reconciled"))
  }

  set reconciledEpoch(epoch: number) {
    this.#log.statements.setMeta.run("reconciled", String(epoch))
  }

  /** Writes a group, and whatever joins it: answers when all of it is on disk. Never throws. */
  writeGroup(first: ReadonlyArray<WriteRequest>, joining: Joining = nobody): GroupResult {
    const requests = [...first]
    const result = this.#writeGroup(requests, joining)
    for (const [at, request] of requests.entries()) this.#broken.note(request, result.outcomes[at])
    return result
  }

  #writeGroup(requests: Array<WriteRequest>, joining: Joining): GroupResult {
    const before = this.#head
    try {
      this.#ready()
    } catch (cause) {
      return this.#failed(requests, "open its files", cause)
    }
    const content = writeContent(this.#content, requests, () => {
      this.#stopped = true
    })
    let outcomes: ReadonlyArray<WriteOutcome>
    try {
      outcomes = this.#writeLog(requests, content, joining)
    } catch (cause) {
      this.#log.abandon()
      this.#stopped = true
      this.#head = before
      return this.#failed(requests, "append", cause)
    }
    let warning: string | undefined
    try {
      this.#options.failpoints.hit("log.commit.after")
      if (this.#head.position !== this.#headFileAt) warning = this.#witness()
      this.#options.failpoints.hit("log.append.after")
    } catch (cause) {
      // All of it is on disk, its answer is lost: a retry finds the events by their cause.
      return this.#failed(requests, "answer", cause)
    }
    return { outcomes, head: this.head, warning }
  }

  /**
   * Keeps the write-ahead logs short: for after a group's answers, since nobody who wrote has to wait for it. Says what could not
   * be done. Never throws.
   */
  upkeep(): string | undefined {
    return this.#stopped ? undefined : this.#wal.afterWrite([this.#log.db, this.#content.db])
  }

  /** A collection's beginning, one of its steps between two groups, its end. Throws. */
  collect(ask: CollectionAsk): CollectionStep | undefined {
    if (ask._tag !== "Step") {
      this.#collection?.end()
      this.#collection = undefined
    }
    if (ask._tag === "End") return undefined
    this.#ready()
    const { failpoints } = this.#options
    try {
      const { db } = this.#log
      if (ask._tag === "Purge")
        return { _tag: "Purged", purged: purge(db, this.#content.db, ask.documents, failpoints) }
      if (ask._tag === "Begin")
        this.#collection = new ContentCollection(db, this.#content, ask.rules, failpoints)
      if (this.#collection === undefined) throw new Error("The files were opened again. Run it again.")
      const step = this.#collection.step()
      this.#wal.afterWrite([db, this.#content.db])
      return step
    } catch (cause) {
      this.#stopped = true
      throw cause
    }
  }

  /** Runs `use` on the writing connections between two groups (backup, verification). */
  withDatabases<A>(use: (log: Database, content: Database) => A): A {
    this.#ready()
    return use(this.#log.db, this.#content.db)
  }

  close(): void {
    this.#log.close()
    this.#content.db.close()
  }

  #failed(requests: ReadonlyArray<WriteRequest>, operation: string, cause: unknown): GroupResult {
    return { outcomes: requests.map(() => failure(operation, cause)), head: this.head, warning: undefined }
  }

  /** One transaction; throws with nothing of it kept where it cannot be committed. */
  #writeLog(
    requests: Array<WriteRequest>,
    content: ReadonlyArray<WriteOutcome | undefined>,
    joining: Joining
  ): ReadonlyArray<WriteOutcome> {
    const { statements } = this.#log
    if (requests.every((request) => request.appends.length + request.operational.length === 0)) {
      return content.map((failed) => failed ?? { _tag: "Written", answers: [] })
    }
    statements.begin.run()
    this.#options.failpoints.hit("log.begin")
    const outcomes = writeRequests(this.#log, this.#group, requests, content, joining)
    this.#log.readModels.write()
    this.#log.readModels.tallies.flush()
    this.#options.failpoints.hit("log.commit.before")
    statements.commit.run()
    this.#log.versions.clear()
    return outcomes
  }

  #write(request: WriteRequest): WriteOutcome {
    if (this.#broken.has(request)) return failure("append", "What was to be written before it was not.")
    const answers = request.appends.map((append) => this.#append(append, request))
    for (const change of request.operational) this.#log.operate(change)
    return { _tag: "Written", answers }
  }

  /**
   * Nobody is asked whether the cause was here before, or whether a stream that is to be new is: the first row that is
   * written finds its id or its place taken then. Only after that, or where the append is refused, somebody looks.
   */
  #append(append: EncodedAppend, request: WriteRequest): AppendAnswer {
    const { epoch, position } = this.#head
    const { recordedAt } = request
    const areMade = request.epoch === epoch
    const ids = append.events.map(
      ({ id }, n) => (areMade ? id : undefined) ?? eventId(epoch, scopeOf(append), append.cause, n)
    )
    const assumed = epoch === 1 ? this.#log.assumeNew(append) : undefined
    const isWritten =
      (epoch === 1 || this.#log.causedBy(append, epoch, ids[0]) === undefined) &&
      refusalOf(append, this.#head.position, this.#log, this.#content) === undefined &&
      this.#insertAll(append, ids, recordedAt)
    if (!isWritten) {
      if (assumed !== undefined) this.#log.versions.delete(assumed)
      return this.#notAppended(append, ids[0])
    }
    for (const change of append.operational ?? []) this.#log.operate(change)
    return {
      _tag: "Appended",
      appended: {
        firstPosition: append.events.length === 0 ? position : position + 1,
        lastPosition: this.#head.position,
        lastSequence: this.#log.sequence(append.team, append.project),
        repeated: false
      }
    }
  }

  #notAppended(append: EncodedAppend, first: EventId | undefined): AppendAnswer {
    const repeated = this.#log.causedBy(append, this.#head.epoch, first)
    if (repeated !== undefined) return { _tag: "Appended", appended: { ...repeated, repeated: true } }
    const refusal = refusalOf(append, this.#head.position, this.#log, this.#content)
    if (refusal !== undefined) return { _tag: "Refused", refusal }
    throw new Error(`The place of an event that ${append.cause} caused is taken.`)
  }

  /** Answers whether the place of the first one was free; of the others it is then, too, or this is no log of ours. */
  #insertAll(append: EncodedAppend, ids: ReadonlyArray<EventId>, recordedAt: number): boolean {
    const { epoch, position } = this.#head
    const { events, project, team } = append
    const appendEnd = position + events.length
    const metadata = metadataText(append, { epoch, writer: this.#writer, appendEnd })
    const sequence = this.#log.sequence(team, project)
    for (let n = 0; n < events.length; n++) {
      const event = events[n]
      const id = ids[n]
      if (event === undefined || id === undefined) continue
      const at = { id, sequence: sequence + n + 1, metadata, recordedAt }
      if (this.#insert(append, event, at)) continue
      if (n === 0) return false
      throw new Error(`The place of event ${n} that ${append.cause} caused is taken.`)
    }
    this.#log.sequences.set(scopeKey(append), sequence + events.length)
    return true
  }

  #insert(
    { project, team }: EncodedAppend,
    one: EncodedAppend["events"][number],
    {
      id,
      metadata,
      recordedAt,
      sequence
    }: Pick<ChainedRow, "metadata" | "recordedAt" | "sequence"> & { id: EventId }
  ): boolean {
    const { failpoints } = this.#options
    const { event, stream } = one
    failpoints.hit("log.insert")
    if (!stream.isWellFormed() || stream.includes("\0")) throw new Error("A stream's name is not plain text.")
    const { epoch, hash: previous, logId } = this.#head
    const position = this.#head.position + 1
    const version = this.#log.version(stream) + 1
    const { data, schemaVersion, type } = dataColumns(one)
    const row = {
      position,
      id,
      stream,
      version,
      type,
      schemaVersion,
      team,
      project,
      sequence,
      data,
      metadata,
      recordedAt
    }
    const hash = chainHash(previous, row)
    if (!this.#log.insert(row, hash)) return false
    this.#log.versions.set(stream, version)
    this.#head = { logId, epoch, position: Position.make(position, { disableValidation: true }), hash }
    failpoints.hit("log.readmodel")
    this.#log.readModels.fold({ position, stream, version, team, project, epoch, recordedAt, event })
    return true
  }

  /** The head file, after its commit. Failing to write it loses a witness, not the group. */
  #witness(): string | undefined {
    const { failpoints, paths } = this.#options
    failpoints.hit("head.write.before")
    try {
      overwriteHeadFile(paths.head, this.head)
      this.#headFileAt = this.#head.position
    } catch (cause) {
      return `The head file could not be written: ${String(cause)}`
    }
    failpoints.hit("head.write.after")
    return undefined
  }

  #openLog(): LogConnection {
    const { failpoints, paths, snapshot } = this.#options
    return openLog(paths.log, failpoints, (from) => snapshot("log", from))
  }

  #openContent(): ContentStore {
    const { failpoints, paths, snapshot } = this.#options
    return new ContentStore(paths.content, failpoints, (from) => snapshot("content", from))
  }

  /** Before each group: the files are the ones that were opened, and open. */
  #ready(): void {
    assertSameFiles(this.#identities)
    this.#wal.assertThere([this.#log.db, this.#content.db])
    if (!this.#stopped) return
    const acknowledged = this.head
    this.#collection = undefined
    this.#log.close()
    this.#content.db.close()
    this.#log = this.#openLog()
    this.#content = this.#openContent()
    const head = this.#log.tip()
    if (acknowledged.position > 0 && this.hashAt(acknowledged.position) !== acknowledged.hash) {
      throw new Error(
        `The log ends at ${head.position}, but ${acknowledged.position} was acknowledged: the disk lost it. Stop this process and run: reprise log verify`
      )
    }
    this.#head = head
    this.#stopped = false
  }
}
