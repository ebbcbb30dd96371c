/**
 * What is written into a state's tables, one apply's change above all. Within the transaction of whoever commits it.
 */
import type { Database, Statement } from "better-sqlite3"
import { forever } from "./Index.ts"
import type { StateChange } from "./StateSchema.ts"
import { decodeIds } from "./WordIds.ts"

type Prepare = (sql: string) => Statement<Array<unknown>>

export const writeChange = (prepare: Prepare, change: StateChange): void => {
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
    const putWord = prepare(
      "INSERT INTO words (id, scope, word, token, stem, frequency) VALUES (?, ?, ?, ?, ?, ?)"
    )
    const countWord = prepare("UPDATE words SET frequency = frequency + ? WHERE id = ?")
    for (const { delta, id, isNew, stem, token, word } of scope.counts.words())
      if (isNew) putWord.run(id, scope.id, word, token, stem, delta)
      else countWord.run(delta, id)
    const putToken = prepare(
      "INSERT INTO tokens (scope, token, frequency) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET frequency = frequency + excluded.frequency"
    )
    for (const { token, delta } of scope.counts.tokens()) putToken.run(scope.id, token, delta)
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

/** Forgets what ended of these documents, and words that no row has any more. */
export const forgetEnded = (db: Database, documents: ReadonlyArray<Buffer>): void => {
  const rows = db.prepare<[Buffer]>(`DELETE FROM ledger WHERE document = ? AND until_position < ${forever}`)
  for (const document of documents) rows.run(document)
  const used = new Set<number>()
  const ended = db.prepare<[], { words: Buffer }>(
    `SELECT words FROM ledger WHERE until_position < ${forever}`
  )
  for (const { words } of ended.iterate()) for (const id of decodeIds(words)) used.add(id)
  const gone = db.prepare<[], { id: number }>("SELECT id FROM words WHERE frequency = 0").all()
  const forget = db.prepare<[number]>("DELETE FROM words WHERE id = ?")
  for (const { id } of gone) if (!used.has(id)) forget.run(id)
  db.prepare("DELETE FROM tokens WHERE frequency = 0").run()
}

/** Forgets everything that was folded. */
export const forgetAll = (db: Database): void => {
  for (const table of ["scopes", "buckets", "documents", "ledger", "words", "tokens"]) {
    db.exec(`DELETE FROM ${table}`)
  }
  db.exec("UPDATE meta SET value = 0 WHERE key IN ('checkpoint', 'horizon', 'replacedAt', 'promoted')")
  db.exec("UPDATE meta SET value = '' WHERE key IN ('witness', 'passed')")
}
