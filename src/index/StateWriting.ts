/**
 * What is written into a state's tables, and how changes are committed. What is forgotten is deleted within the caller's transaction.
 */
import type { Database, Statement } from "better-sqlite3"
import { FrequencyChanges, frequencyIn, perBlock } from "./Frequencies.ts"
import { forever } from "./Index.ts"
import type { ScopeChange, StateChange } from "./StateSchema.ts"
import { CountedWords } from "./WordCounts.ts"
import { decodeIds } from "./WordIds.ts"

/**
 * How changes are committed: one by one, or several in one transaction where they follow each other at once. Nobody but this
 * connection sees what is held, and a crash takes it back as a whole. What each change would count anew, the words, is then
 * written once.
 */
export class StateChanges {
  readonly counted = new CountedWords()
  readonly #db: Database
  readonly #prepare: Prepare
  #held = 0

  constructor(db: Database, prepare: Prepare) {
    this.#db = db
    this.#prepare = prepare
  }

  /** Rows of the ledger that are held. */
  get held(): number {
    return this.#held
  }

  /** Changes are held, be it such as have no row. */
  get areHeld(): boolean {
    return this.#db.inTransaction
  }

  /** A batch begins. One before it that came to no commit takes back what is held: its counts are mixed with theirs. */
  begin(): void {
    if (this.counted.isOpen) this.abandon()
    this.counted.begin()
  }

  /** `note` writes what else belongs to the commit. `holds`: more follows at once. */
  commit(change: StateChange, note: () => void, holds: boolean): void {
    try {
      if (!this.#db.inTransaction) this.#db.exec("BEGIN IMMEDIATE")
      writeChange(this.#prepare, change)
      note()
      this.#held += change.inserted.length + change.ended.length
      this.counted.hold(Array.from(change.scopes.values(), ({ id }) => id))
      if (!holds) this.settle()
    } catch (cause) {
      this.abandon()
      throw cause
    }
  }

  /** Commits what is held. */
  settle(): void {
    if (!this.#db.inTransaction) return
    for (const [scope, counts] of this.counted.held) writeCounts(this.#prepare, scope, counts)
    this.#db.exec("COMMIT")
    this.#held = 0
    this.counted.committed()
  }

  /** Takes back what is held, and forgets a batch that was begun: the state is what it was at its last commit. */
  abandon(): void {
    this.#held = 0
    this.counted.clear()
    if (this.#db.inTransaction) this.#db.exec("ROLLBACK")
  }

  /** What is held was applied; a batch that was begun was not. */
  close(): void {
    if (this.counted.isOpen) this.abandon()
    else this.settle()
  }
}

type Prepare = (sql: string) => Statement<Array<unknown>>

/** All of a change but its counts ({@link writeCounts}). */
const writeChange = (prepare: Prepare, change: StateChange): void => {
  const setMeta = prepare("UPDATE meta SET value = ? WHERE key = ?")
  for (const scope of change.scopes.values()) {
    prepare(
      "INSERT INTO scopes (id, team, project, total) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET total = excluded.total"
    ).run(scope.id, scope.team, scope.project, scope.total)
    const putBucket = prepare(
      "INSERT INTO buckets (scope, bucket, sum, count) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET sum = excluded.sum, count = excluded.count"
    )
    for (const index of scope.touched) {
      const bucket = scope.buckets.buckets[index]
      if (bucket !== undefined) putBucket.run(scope.id, index, bucket.sum, bucket.count)
    }
  }
  const putDocument = prepare(
    "INSERT INTO documents (document, scope, version, position, missing) VALUES (?, ?, ?, ?, ?) ON CONFLICT (document) DO UPDATE SET version = excluded.version, position = excluded.position, missing = excluded.missing"
  )
  for (const { id, scope, folded } of change.documents) {
    putDocument.run(id, scope, folded.version, folded.position, folded.missing ?? null)
  }
  const endRow = prepare("UPDATE ledger SET until_position = ? WHERE row = ?")
  for (const { row, until } of change.ended) endRow.run(until, row)
  const putRow = prepare(
    "INSERT INTO ledger (scope, id, chunk, document, payload_digest, leaf, words, from_position, until_position) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
  )
  for (const row of change.inserted) {
    putRow.run(
      row.scope,
      row.id,
      row.chunk,
      row.document,
      row.payloadDigest,
      row.leaf,
      row.words,
      row.from,
      forever
    )
  }
  setMeta.run(change.checkpoint, "checkpoint")
  setMeta.run(change.witness, "witness")
  if (change.promoted) setMeta.run(1, "promoted")
  if (change.replacedAt !== undefined) setMeta.run(change.replacedAt, "replacedAt")
}

/** How often words and tokens occur, of one project. */
const writeCounts = (prepare: Prepare, scope: number, counts: ScopeChange["counts"]): void => {
  const putWord = prepare("INSERT INTO words (id, scope, word, token, stem) VALUES (?, ?, ?, ?, ?)")
  for (const { id, stem, token, word } of counts.newWords()) putWord.run(id, scope, word, token, stem)
  const words = new FrequencyChanges()
  counts.eachWord((id, delta) => words.add(id, delta))
  writeFrequencies(prepare, "words", words)

  const given = Number(prepare("SELECT value FROM meta WHERE key = 'tokens'").pluck().get())
  let next = given + 1
  const putToken = prepare("INSERT INTO tokens (scope, token, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
  const idOf = (token: number): number =>
    putToken.run(scope, token, next).changes === 1
      ? next++
      : Number(prepare("SELECT id FROM tokens WHERE scope = ? AND token = ?").pluck().get(scope, token))
  const tokens = new FrequencyChanges()
  counts.eachToken(idOf, (id, delta) => tokens.add(id, delta))
  writeFrequencies(prepare, "tokens", tokens)
  if (next > given + 1) prepare("UPDATE meta SET value = ? WHERE key = 'tokens'").run(next - 1)
}

const frequenciesOf = { words: "word_frequencies", tokens: "token_frequencies" }

const writeFrequencies = (prepare: Prepare, what: "words" | "tokens", changes: FrequencyChanges): void => {
  const table = frequenciesOf[what]
  const stored = prepare(`SELECT frequencies FROM ${table} WHERE block = ?`).pluck()
  const put = prepare(
    `INSERT INTO ${table} (block, frequencies) VALUES (?, ?) ON CONFLICT DO UPDATE SET frequencies = excluded.frequencies`
  )
  changes.apply(
    (block) => stored.get(block),
    (block, frequencies) => put.run(block, frequencies)
  )
}

/** Forgets what ended of these documents, and words that no row has any more. */
export const forgetEnded = (db: Database, documents: ReadonlyArray<Buffer>): void => {
  const rows = db.prepare<[Buffer]>(`DELETE FROM ledger WHERE document = ? AND until_position < ${forever}`)
  for (const document of documents) rows.run(document)
  forgetUnused(db)
}

/** Forgets what ended at or below the horizon, and words that no row has any more. Answers whether there were such words. */
export const forgetPassed = (db: Database, horizon: number): boolean => {
  const { changes } = db.prepare<[number]>("DELETE FROM ledger WHERE until_position <= ?").run(horizon)
  return changes > 0 && forgetUnused(db)
}

/** Answers whether there was anything to forget. */
const forgetUnused = (db: Database): boolean => {
  const used = new Set<number>()
  const ended = db.prepare<[], { words: Buffer }>(
    `SELECT words FROM ledger WHERE until_position < ${forever}`
  )
  for (const { words } of ended.iterate()) for (const id of decodeIds(words)) used.add(id)
  const words = uncounted(db, "words").filter(({ id }) => !used.has(id))
  const tokens = uncounted(db, "tokens")
  if (words.length + tokens.length === 0) return false
  const forgetWord = db.prepare<[number]>("DELETE FROM words WHERE id = ?")
  for (const { id } of words) forgetWord.run(id)
  const forgetToken = db.prepare<[number, number]>("DELETE FROM tokens WHERE scope = ? AND token = ?")
  for (const { scope, token } of tokens) forgetToken.run(scope, token)
  for (const table of ["words", "tokens"] as const)
    db.exec(`DELETE FROM ${frequenciesOf[table]} WHERE block NOT IN (SELECT id / ${perBlock} FROM ${table})`)
  noteForgotten(db)
  return true
}

/** Those that no living chunk has. */
const uncounted = (db: Database, table: "words" | "tokens") => {
  const blocks = db.prepare<[], [number, Buffer]>(`SELECT block, frequencies FROM ${frequenciesOf[table]}`)
  const frequencies = new Map(blocks.raw().iterate())
  const found: Array<{ readonly id: number; readonly scope: number; readonly token: number }> = []
  const all = db.prepare<[], (typeof found)[number]>(`SELECT id, scope, token FROM ${table}`)
  for (const one of all.iterate())
    if (frequencyIn(frequencies.get(Math.floor(one.id / perBlock)), one.id) === 0) found.push(one)
  return found
}

/** Forgets everything that was folded. */
export const forgetAll = (db: Database): void => {
  const counted = ["words", "tokens", "word_frequencies", "token_frequencies"]
  for (const table of ["scopes", "buckets", "documents", "ledger", ...counted])
    db.exec(`DELETE FROM ${table}`)
  db.exec(
    "UPDATE meta SET value = 0 WHERE key IN ('checkpoint', 'horizon', 'replacedAt', 'promoted', 'tokens')"
  )
  db.exec("UPDATE meta SET value = '' WHERE key IN ('witness', 'passed')")
  noteForgotten(db)
}

/** Ids of words that are gone may be given again: whoever remembers words by them must hear of it. */
const noteForgotten = (db: Database): void => {
  db.exec("INSERT INTO meta (key, value) VALUES ('forgotten', 1) ON CONFLICT DO UPDATE SET value = value + 1")
}
