/** The chunks of a benchmark's corpus and what is asked of them, as `bench/search.ts` leaves both for its peers. */
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { inflateSync } from "node:zlib"
import Sqlite from "better-sqlite3"

/** `[{text, vector}]`; vectors as arrays of numbers. */
export const questionsIn = (folder) =>
  JSON.parse(readFileSync(join(folder, "questions.json"), "utf8")).map(({ text, vector }) => ({
    text,
    vector: Float32Array.from(vector)
  }))

/** Chunks of the first version of each document, in the log's order. */
export function* chunksIn(data) {
  const log = new Sqlite(join(data, "log.sqlite"), { readonly: true })
  const content = new Sqlite(join(data, "content.sqlite"), { readonly: true })
  const blob = content.prepare("SELECT encoding, bytes FROM blobs WHERE project = 1 AND digest = ?")
  const stored = content.prepare("SELECT vector FROM vectors WHERE project = 1 AND model = 1 AND input = ?")
  const textOf = (digest) => {
    const { bytes, encoding } = blob.get(Buffer.from(digest, "hex"))
    return (encoding === 0 ? bytes : inflateSync(bytes)).toString("utf8")
  }
  let row = 0
  for (const { data: json } of log
    .prepare("SELECT data FROM events WHERE type = 'DocumentCommitted' ORDER BY position")
    .iterate()) {
    const commit = JSON.parse(json)
    const text = textOf(commit.textBlob)
    for (const { chunkId, end, inputHash, start } of JSON.parse(textOf(commit.manifestBlob)).entries) {
      const { vector } = stored.get(Buffer.from(inputHash, "hex"))
      row += 1
      yield { row, chunkId, text: text.slice(start, end), vector }
    }
  }
  log.close()
  content.close()
}

/** Of times in milliseconds. */
export const percentiles = (times) => {
  const sorted = [...times].sort((one, other) => one - other)
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
  return { p50: at(0.5), p99: at(0.99) }
}

/** Asks all questions in turn, a few of them before the clock starts, and again for as long as `seconds` lasts. */
export const timed = async (questions, seconds, ask) => {
  for (const question of questions.slice(0, 10)) await ask(question)
  const times = []
  const end = performance.now() + 1000 * seconds
  do {
    for (const question of questions) {
      const start = performance.now()
      await ask(question)
      times.push(performance.now() - start)
    }
  } while (performance.now() < end)
  return percentiles(times)
}
