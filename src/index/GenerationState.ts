/**
 * What a generation is expected to hold: a pure fold of the log in one SQLite file, committed in one transaction with
 * the checkpoint. The same for every engine.
 *
 * It keeps the ledger (leaf and window of every point), each project's document frequencies and vocabulary, the sums of
 * the fingerprint, and the documents that it had to fold as empty because their contents were not there.
 *
 * Invariants: `checkpoint` is the end of an append and never falls; a ledger row's `until` only ever goes from living to
 * ended; the sums equal those of the rows that live at the checkpoint.
 */
import { existsSync, mkdirSync, rmSync } from "node:fs"
import { dirname } from "node:path"
import type Database from "better-sqlite3"
import { scopeKey } from "../../events/Ids.ts"
import type { FailpointsService } from "../faults/Failpoints.ts"
import { sync } from "../log/Folders.ts"
import { rewritten } from "../log/Rewriting.ts"
import { Bucket, Buckets, overallFingerprint } from "./Fingerprint.ts"
import { frequencyIn, perBlock } from "./Frequencies.ts"
import { forever } from "./Index.ts"
import { decodePassed, type Passed, withPassed } from "./Passed.ts"
import { type ProjectWords, stateWords } from "./ProjectWords.ts"
import { connect, inodeOf } from "./StateFile.ts"
import {
  type ExpectedPoint,
  expectedInOrder,
  expectedOfFew,
  type FoldedDocument,
  type LedgerRow,
  ledgerColumns,
  type ScopeRow,
  type StateChange,
  type StateIdentity,
  StateUnusable,
  schema,
  schemaVersion
} from "./StateSchema.ts"
import { forgetAll, forgetEnded, forgetPassed, StateChanges } from "./StateWriting.ts"
import { skippedPrefix } from "./VersionPoints.ts"
import { decodeIds } from "./WordIds.ts"

export class GenerationState {
  readonly db: Database.Database
  readonly path: string
  readonly #inode: string
  readonly #statements = new Map<string, Database.Statement<Array<unknown>, unknown>>()
  readonly changes: StateChanges

  private constructor(path: string, db: Database.Database) {
    this.path = path
    this.db = db
    this.changes = new StateChanges(db, (sql) => this.#prepare(sql))
    this.#inode = inodeOf(path)
  }

  /** Opens for writing; creates an empty state where there is none, throws `StateUnusable` where it is another's. */
  static open(path: string, identity: StateIdentity): GenerationState {
    mkdirSync(dirname(path), { recursive: true })
    const isNew = !existsSync(path)
    const db = connect(path, false)
    db.pragma("journal_mode = WAL")
    db.pragma("synchronous = FULL")
    db.pragma("wal_autocheckpoint = 4000")
    if (isNew) {
      db.transaction(() => {
        db.exec(schema)
        const put = db.prepare("INSERT INTO meta (key, value) VALUES (?, ?)")
        put.run("schema", schemaVersion)
        put.run("generation", identity.generation)
        put.run("logId", identity.logId)
        put.run("epoch", identity.epoch)
        put.run("spec", identity.spec)
        for (const key of ["checkpoint", "horizon", "target", "replacedAt", "promoted", "tokens"])
          put.run(key, 0)
        put.run("witness", "")
      }).immediate()
    }
    const state = new GenerationState(path, db)
    state.#check(identity)
    return state
  }

  /** Opens for reading beside a writer in this or another process. */
  static openReadOnly(path: string, identity: StateIdentity): GenerationState {
    if (!existsSync(path)) throw new StateUnusable("absent", `${path} does not exist.`)
    const state = new GenerationState(path, connect(path, true))
    state.#check(identity)
    return state
  }

  /** Removes the file and its side files, for good: a power cut brings none back. */
  static delete(path: string): void {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true })
    if (existsSync(dirname(path))) sync(dirname(path))
  }

  #check(identity: StateIdentity): void {
    try {
      const found = [this.#meta("schema"), this.#meta("logId"), this.#meta("epoch"), this.#meta("spec")]
      const expected = [schemaVersion, identity.logId, identity.epoch, identity.spec]
      if (found.some((value, index) => value !== expected[index])) {
        throw new StateUnusable("foreign", `${this.path} is the state of another log, epoch or spec.`)
      }
    } catch (cause) {
      this.db.close()
      if (cause instanceof StateUnusable) throw cause
      throw new StateUnusable("damaged", `${this.path} cannot be read: ${String(cause)}`)
    }
  }

  /** False once the file was deleted or replaced under the open handle. */
  get isCurrent(): boolean {
    return inodeOf(this.path) === this.#inode
  }

  close(): void {
    this.changes.close()
    this.db.close()
  }

  /** Statements are prepared once: the fold asks for tens of thousands of words an apply. */
  #prepare<Parameters extends Array<unknown>, Row = unknown>(
    sql: string
  ): Database.Statement<Parameters, Row> {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known as Database.Statement<Parameters, Row>
    const statement = this.db.prepare<Parameters, Row>(sql)
    this.#statements.set(sql, statement as Database.Statement<Array<unknown>, unknown>)
    return statement
  }

  #meta(key: string): unknown {
    return this.#prepare("SELECT value FROM meta WHERE key = ?").pluck().get(key)
  }

  #number(key: string): number {
    const value = this.#meta(key)
    return typeof value === "number" ? value : 0
  }

  setNumber(key: "horizon" | "target", value: number): void {
    this.#prepare("UPDATE meta SET value = ? WHERE key = ?").run(value, key)
  }

  /** The position up to which the log is folded: the visible position V of this generation. */
  get checkpoint(): number {
    return this.#number("checkpoint")
  }

  /** Ended points at or below it are swept. */
  get horizon(): number {
    return this.#number("horizon")
  }

  /** The checkpoint that a rebuild must reach before anybody is served from here. */
  get target(): number {
    return this.#number("target")
  }

  /** Position of the promotion that replaced this generation: its fold ends there. 0 while there is none. */
  get replacedAt(): number {
    return this.#number("replacedAt")
  }

  get promoted(): boolean {
    return this.#number("promoted") > 0
  }

  /** Hash of the event at the checkpoint: with it, this file is a witness of the log's head. */
  get witness(): string {
    return String(this.#meta("witness") ?? "")
  }

  scope(team: string, project: string): ScopeRow | undefined {
    return this.#prepare<[string, string], ScopeRow>(
      "SELECT * FROM scopes WHERE team = ? AND project = ?"
    ).get(team, project)
  }

  scopes(): ReadonlyArray<ScopeRow> {
    return this.db.prepare<[], ScopeRow>("SELECT * FROM scopes ORDER BY team, project").all()
  }

  buckets(scope: number): Buckets {
    const buckets = Array.from({ length: 256 }, () => new Bucket())
    const rows = this.#prepare<[number], { bucket: number; sum: Buffer; count: number }>(
      "SELECT bucket, sum, count FROM buckets WHERE scope = ?"
    ).all(scope)
    for (const { bucket, sum, count } of rows) buckets[bucket] = Bucket.from(sum, count)
    return new Buckets(buckets)
  }

  get fingerprint(): string {
    return overallFingerprint(
      this.scopes().map((scope) => ({ key: scopeKey(scope), buckets: this.buckets(scope.id) }))
    )
  }

  /** Documents with at least one living chunk, and living chunks. */
  get counts(): { readonly documents: number; readonly chunks: number } {
    const chunks = this.#prepare("SELECT coalesce(sum(total), 0) FROM scopes").pluck().get()
    const documents = this.#prepare("SELECT count(*) FROM documents WHERE version > 0 AND missing IS NULL")
      .pluck()
      .get()
    return { documents: Number(documents), chunks: Number(chunks) }
  }

  document(id: Buffer): FoldedDocument | undefined {
    const row = this.#prepare<[Buffer], { version: number; position: number; missing: string | null }>(
      "SELECT version, position, missing FROM documents WHERE document = ?"
    ).get(id)
    return row && { version: row.version, position: row.position, missing: row.missing ?? undefined }
  }

  /** Documents folded as empty for want of contents, by id. */
  missing(limit: number): ReadonlyArray<{ readonly document: Buffer; readonly missing: string }> {
    return this.#prepare<[number], { document: Buffer; missing: string }>(
      "SELECT document, missing FROM documents WHERE missing IS NOT NULL ORDER BY document LIMIT ?"
    ).all(limit)
  }

  /** Documents folded as empty for want of contents, which a build would bring. */
  get missingCount(): number {
    const count = `SELECT count(*) FROM documents WHERE missing IS NOT NULL AND missing NOT LIKE '${skippedPrefix}%'`
    return Number(this.#prepare(count).pluck().get())
  }

  get skippedCount(): number {
    const count = `SELECT count(*) FROM documents WHERE missing IS NOT NULL AND missing LIKE '${skippedPrefix}%'`
    return Number(this.#prepare(count).pluck().get())
  }

  /** Documents that were left out because their content cannot be taken, by id. */
  skipped(limit: number): ReadonlyArray<{ readonly document: Buffer; readonly missing: string }> {
    return this.#prepare<[number], { document: Buffer; missing: string }>(
      `SELECT document, missing FROM documents WHERE missing IS NOT NULL AND missing LIKE '${skippedPrefix}%' ORDER BY document LIMIT ?`
    ).all(limit)
  }

  living(document: Buffer): ReadonlyArray<LedgerRow> {
    return this.#prepare<[Buffer], LedgerRow>(
      `${ledgerColumns} WHERE document = ? AND until_position = ${forever}`
    ).all(document)
  }

  /** Rows that are visible at `at`, by chunk id, after `after`. */
  visible(scope: number, at: number, after: Buffer, limit: number): ReadonlyArray<LedgerRow> {
    return this.#prepare<[number, Buffer, number, number, number], LedgerRow>(
      `${ledgerColumns} WHERE scope = ? AND chunk > ? AND from_position <= ? AND until_position > ? ORDER BY chunk LIMIT ?`
    ).all(scope, after, at, at, limit)
  }

  /** Rows that are visible at `at`, in the order of insertion, after row `after`. */
  visibleInOrder(
    { id, total }: ScopeRow,
    at: number,
    after: number,
    limit: number
  ): ReadonlyArray<ExpectedPoint> {
    const last = Number(this.#prepare("SELECT max(row) FROM ledger").pluck().get() ?? 0)
    // Each page sorts all of them: a few times the price of a row that is passed.
    const sql = 6 * total * (1 + total / limit) < last ? expectedOfFew : expectedInOrder
    const rows = this.#prepare<[number, number, number, number, number], ExpectedPoint>(sql)
    return rows.all(after, id, at, at, limit)
  }

  rowOf(id: Buffer): LedgerRow | undefined {
    return this.#prepare<[Buffer], LedgerRow>(`${ledgerColumns} WHERE id = ?`).get(id)
  }

  /** Every row that is not swept, in the order of insertion: what an emptied engine is refilled from. */
  rows(after: number, limit: number): ReadonlyArray<LedgerRow> {
    return this.#prepare<[number, number], LedgerRow>(
      `${ledgerColumns} WHERE row > ? ORDER BY row LIMIT ?`
    ).all(after, limit)
  }

  word(id: number): { readonly word: string; readonly stem: string; readonly token: number } | undefined {
    return this.#prepare<[number], { word: string; stem: string; token: number }>(
      "SELECT word, stem, token FROM words WHERE id = ?"
    ).get(id)
  }

  wordId(scope: number, word: string): number | undefined {
    const id = this.#prepare("SELECT id FROM words WHERE scope = ? AND word = ?").pluck().get(scope, word)
    return typeof id === "number" ? id : undefined
  }

  /** In how many of a project's living chunks a token occurs. */
  frequency(scope: number, token: number): number {
    const found = this.#prepare<[number, number], { id: number; frequencies: Buffer }>(
      `SELECT id, frequencies FROM tokens JOIN token_frequencies ON block = id / ${perBlock} WHERE scope = ? AND token = ?`
    ).get(scope, token)
    return found === undefined ? 0 : frequencyIn(found.frequencies, found.id)
  }

  /** Visible chunks whose text holds one of the tokens, as raw ids in hexadecimal. */
  chunksWith(scope: number, tokens: ReadonlySet<number>, at: number): ReadonlySet<string> {
    const wanted = new Set<number>()
    const words = this.#prepare<[number], { id: number; token: number }>(
      "SELECT id, token FROM words WHERE scope = ?"
    )
    for (const { id, token } of words.iterate(scope)) if (tokens.has(token)) wanted.add(id)
    const found = new Set<string>()
    if (wanted.size === 0) return found
    const rows = this.#prepare<[number, number, number], { chunk: Buffer; words: Buffer }>(
      "SELECT chunk, words FROM ledger WHERE scope = ? AND from_position <= ? AND until_position > ?"
    )
    for (const { chunk, words } of rows.iterate(scope, at, at)) {
      if (decodeIds(words).some((id) => wanted.has(id))) found.add(chunk.toString("hex"))
    }
    return found
  }

  words(scope: number): ProjectWords {
    return stateWords((sql) => this.#prepare(sql), scope)
  }

  /** How often words were forgotten, so that others may have their ids. */
  get forgotten(): number {
    return this.#number("forgotten")
  }

  /** One read transaction: every answer within it is of the same checkpoint. */
  consistently<A>(read: () => A): A {
    return this.db.transaction(read).deferred()
  }

  /** How many rows {@link sweep} would forget. */
  endedUpTo(horizon: number): number {
    return Number(this.#prepare("SELECT count(*) FROM ledger WHERE until_position <= ?").pluck().get(horizon))
  }

  /** When the checkpoint was where: what a sweep's grace counts from. */
  get passed(): Passed {
    return decodePassed(this.#meta("passed"))
  }

  notePassed(nowMs: number): void {
    const passed = withPassed(this.passed, nowMs, this.checkpoint)
    this.#prepare(
      "INSERT INTO meta (key, value) VALUES ('passed', ?) ON CONFLICT DO UPDATE SET value = excluded.value"
    ).run(JSON.stringify(passed))
  }

  /**
   * Forgets rows that ended at or below the horizon, and words that no row has any more. First step of a sweep: the engine's
   * rows follow later.
   */
  sweep(horizon: number): void {
    this.changes.settle()
    const forgotten = this.db.transaction(() => {
      this.setNumber("horizon", horizon)
      return forgetPassed(this.db, horizon)
    })
    if (forgotten.immediate()) this.changes.counted.clear()
  }

  /** Rows of a document that have ended, whatever still sees them. */
  ended(document: Buffer): ReadonlyArray<LedgerRow> {
    return this.#prepare<[Buffer], LedgerRow>(
      `${ledgerColumns} WHERE document = ? AND until_position < ${forever}`
    ).all(document)
  }

  /** Forgets what ended of these documents, and words that no row has any more. The file is written anew. */
  erase(documents: ReadonlyArray<Buffer>): void {
    this.changes.settle()
    this.changes.counted.clear()
    this.db.transaction(() => forgetEnded(this.db, documents)).immediate()
    if (!rewritten(this.db))
      throw new Error(`${this.path}: a reader holds back what was deleted. Run it again when that is over.`)
  }

  /** Forgets everything that was folded: the fold begins again at 0, and nobody is served before `target`. */
  reset(target: number): void {
    this.changes.abandon()
    this.db
      .transaction(() => {
        forgetAll(this.db)
        this.setNumber("target", target)
      })
      .immediate()
  }

  /** As {@link StateChanges.commit}, with the time of the wall clock for {@link passed}. */
  commit(change: StateChange, failpoints: FailpointsService, nowMs: number, holds = false): void {
    failpoints.hit("state.commit.before")
    this.changes.commit(change, () => this.notePassed(nowMs), holds)
    failpoints.hit("state.commit.after")
  }

  nextIds(): { readonly scope: number; readonly word: number } {
    const scope = this.#prepare("SELECT coalesce(max(id), 0) + 1 FROM scopes").pluck().get()
    const word = this.#prepare("SELECT coalesce(max(id), 0) + 1 FROM words").pluck().get()
    return { scope: Number(scope), word: Math.max(Number(word), this.changes.counted.highestHeld + 1) }
  }
}
