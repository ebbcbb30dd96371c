/**
 * What anybody would write who needs no guarantee: better-sqlite3 that reads the same rows of log and content and writes
 * text, vectors as blobs, and FTS5 over the text as external content, in large transactions. It checks nothing: no digest
 * of what it reads, nothing of what it wrote.
 */
import { join } from "node:path"
import { inflateSync } from "node:zlib"
import Sqlite from "better-sqlite3"
import type { Manifest } from "../../events/index.ts"

/** Rows in a transaction. */
const batch = 10_000

interface BlobRow {
  readonly encoding: number
  readonly bytes: Buffer
}

/** Answers how many chunks it wrote into `target`. */
export const plainReplay = (directory: string, target: string): number => {
  const log = new Sqlite(join(directory, "log.sqlite"), { readonly: true })
  const content = new Sqlite(join(directory, "content.sqlite"), { readonly: true })
  const commits = log.prepare<[], { data: string }>(
    "SELECT data FROM events WHERE type = 'DocumentCommitted' ORDER BY position"
  )
  // A corpus has one project and one model.
  const blob = content.prepare<[Buffer], BlobRow>(
    "SELECT encoding, bytes FROM blobs WHERE project = 1 AND digest = ?"
  )
  const vector = content.prepare<[Buffer], { vector: Buffer }>(
    "SELECT vector FROM vectors WHERE project = 1 AND model = 1 AND input = ?"
  )
  const textOf = (digest: string): string => {
    const row = blob.get(Buffer.from(digest, "hex"))
    if (row === undefined) throw new Error(`No blob ${digest}.`)
    return (row.encoding === 0 ? row.bytes : inflateSync(row.bytes)).toString("utf8")
  }

  const db = new Sqlite(target)
  db.pragma("journal_mode = WAL")
  db.pragma("synchronous = NORMAL")
  db.exec(`
    CREATE TABLE chunks (row INTEGER PRIMARY KEY, id TEXT NOT NULL, document TEXT NOT NULL, text TEXT NOT NULL);
    CREATE TABLE vectors (row INTEGER PRIMARY KEY, vector BLOB NOT NULL);
    CREATE VIRTUAL TABLE words USING fts5 (text, content = 'chunks', content_rowid = 'row');`)
  const putChunk = db.prepare("INSERT INTO chunks VALUES (?, ?, ?, ?)")
  const putVector = db.prepare("INSERT INTO vectors VALUES (?, ?)")
  const putWords = db.prepare("INSERT INTO words (rowid, text) VALUES (?, ?)")

  let row = 0
  db.exec("BEGIN")
  for (const { data } of commits.iterate()) {
    const commit: { documentId: string; textBlob: string; manifestBlob: string } = JSON.parse(data)
    const text = textOf(commit.textBlob)
    const manifest: Manifest = JSON.parse(textOf(commit.manifestBlob))
    for (const { chunkId, end, inputHash, start } of manifest.entries) {
      const chunk = text.slice(start, end)
      row += 1
      putChunk.run(row, chunkId, commit.documentId, chunk)
      putWords.run(row, chunk)
      putVector.run(row, vector.get(Buffer.from(inputHash, "hex"))?.vector)
      if (row % batch === 0) db.exec("COMMIT; BEGIN")
    }
  }
  db.exec("COMMIT")
  db.close()
  content.close()
  log.close()
  return row
}
