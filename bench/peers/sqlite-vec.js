/**
 * Hybrid search of raw parts: sqlite-vec's exact scan and FTS5's BM25, the best 100 of each, fused by rank (k = 60), ten
 * hits with their text. `--build` makes the file, without it the questions are asked of one that was made.
 */
import { rmSync } from "node:fs"
import { parseArgs } from "node:util"
import Sqlite from "better-sqlite3"
import { load } from "sqlite-vec"
import { chunksIn, questionsIn, timed } from "./corpus.js"

const { values } = parseArgs({
  options: {
    data: { type: "string" },
    folder: { type: "string" },
    dimensions: { type: "string" },
    seconds: { type: "string", default: "0" },
    build: { type: "boolean", default: false }
  }
})
const path = `${values.folder}/sqlite-vec.sqlite`
if (values.build) for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true })
const db = new Sqlite(path)
load(db)
if (values.build) {
  const started = performance.now()
  db.pragma("journal_mode = WAL")
  db.exec(`
    CREATE TABLE chunks (row INTEGER PRIMARY KEY, id TEXT NOT NULL, text TEXT NOT NULL);
    CREATE VIRTUAL TABLE words USING fts5 (text, content = 'chunks', content_rowid = 'row');
    CREATE VIRTUAL TABLE vectors USING vec0 (vector float[${Number(values.dimensions)}] distance_metric=cosine)`)
  const putChunk = db.prepare("INSERT INTO chunks VALUES (?, ?, ?)")
  const putWords = db.prepare("INSERT INTO words (rowid, text) VALUES (?, ?)")
  const putVector = db.prepare("INSERT INTO vectors (rowid, vector) VALUES (?, ?)")
  db.transaction(() => {
    for (const { chunkId, row, text, vector } of chunksIn(values.data)) {
      putChunk.run(row, chunkId, text)
      putWords.run(row, text)
      putVector.run(BigInt(row), vector)
    }
  })()
  console.log(JSON.stringify({ buildSeconds: (performance.now() - started) / 1000 }))
} else {
  const near = db.prepare(
    "SELECT rowid AS row FROM vectors WHERE vector MATCH ? AND k = 100 ORDER BY distance"
  )
  const matching = db.prepare("SELECT rowid AS row FROM words WHERE words MATCH ? ORDER BY rank LIMIT 100")
  const chunk = db.prepare("SELECT id, text FROM chunks WHERE row = ?")
  const ask = ({ text, vector }) => {
    const scores = new Map()
    const query = text
      .split(" ")
      .map((word) => `"${word}"`)
      .join(" OR ")
    for (const side of [near.all(Buffer.from(vector.buffer)), matching.all(query)])
      side.forEach(({ row }, rank) => {
        scores.set(row, (scores.get(row) ?? 0) + 1 / (61 + rank))
      })
    return [...scores]
      .sort((one, other) => other[1] - one[1])
      .slice(0, 10)
      .map(([row]) => chunk.get(row))
  }
  const times = await timed(questionsIn(values.folder), Number(values.seconds), ask)
  console.log(JSON.stringify({ ...times, peakMiB: process.resourceUsage().maxRSS / 1024 }))
}
