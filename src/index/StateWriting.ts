/**
 * One apply's change, written into a state's tables. Within the transaction of whoever commits it.
 */
import type { Statement } from "better-sqlite3"
import { forever } from "./Index.ts"
import type { StateChange } from "./StateSchema.ts"

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
      "INSERT INTO words (id, scope, word, token, stem, frequency) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET frequency = frequency + excluded.frequency"
    )
    for (const { id, word, token, stem, delta } of scope.counts.words)
      putWord.run(id, scope.id, word, token, stem, delta)
    const putToken = prepare(
      "INSERT INTO tokens (scope, token, frequency) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET frequency = frequency + excluded.frequency"
    )
    for (const { token, delta } of scope.counts.tokens) if (delta !== 0) putToken.run(scope.id, token, delta)
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
