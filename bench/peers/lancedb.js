/** Hybrid search of LanceDB, embedded: its approximate vector index, its full-text index and its fusion by rank. */
import { parseArgs } from "node:util"
import { connect, Index, rerankers } from "@lancedb/lancedb"
import { chunksIn, questionsIn, timed } from "./corpus.js"

const { values } = parseArgs({
  options: { data: { type: "string" }, folder: { type: "string" } },
  strict: false
})
// With two cores its pool has a single thread, which waits for itself while the full-text index is written (lancedb issue 3568).
process.env.LANCE_CPU_THREADS ??= "4"
const started = performance.now()
const db = await connect(`${values.folder}/lancedb`)
const batch = 10_000
let rows = []
let table
const put = async () => {
  if (table === undefined) table = await db.createTable("chunks", rows, { mode: "overwrite" })
  else await table.add(rows)
  rows = []
}
for (const { chunkId, text, vector } of chunksIn(values.data)) {
  rows.push({
    id: chunkId,
    text,
    vector: Array.from(new Float32Array(vector.buffer, vector.byteOffset, vector.length / 4))
  })
  if (rows.length === batch) await put()
}
if (rows.length > 0) await put()
await table.createIndex("text", { config: Index.fts() })
await table.createIndex("vector", { config: Index.ivfPq({ distanceType: "cosine" }) })
const buildSeconds = (performance.now() - started) / 1000
const fusion = await rerankers.RRFReranker.create(60)
const ask = ({ text, vector }) =>
  table
    .query()
    .nearestTo(vector)
    .distanceType("cosine")
    .fullTextSearch(text)
    .rerank(fusion)
    .select(["id", "text"])
    .limit(10)
    .toArray()
const times = await timed(questionsIn(values.folder), 0, ask)
console.log(JSON.stringify({ ...times, buildSeconds, peakMiB: process.resourceUsage().maxRSS / 1024 }))
