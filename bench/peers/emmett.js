/** Appends of 1 KB to emmett-sqlite, one after another, each to a stream of its own. */
import { randomUUID } from "node:crypto"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { getSQLiteEventStore, sqliteConnection } from "@event-driven-io/emmett-sqlite"

const { values } = parseArgs({ options: { events: { type: "string", default: "400" } } })
const events = Number(values.events)
const directory = mkdtempSync(join(tmpdir(), "reprise-bench-"))
try {
  const fileName = join(directory, "emmett.sqlite")
  const store = getSQLiteEventStore({ fileName })
  const filler = "0123456789abcdef".repeat(56)
  // Under load a commit of its own answers SQLITE_BUSY now and then: such an append is tried again.
  const append = async (left = 5) => {
    try {
      await store.appendToStream(`document-${randomUUID()}`, [
        { type: "DocumentSubmitted", data: { filler } }
      ])
    } catch (error) {
      if (error?.code !== "SQLITE_BUSY" || left === 0) throw error
      await append(left - 1)
    }
  }
  // Makes the tables.
  await append()
  const connection = sqliteConnection({ fileName })
  const { synchronous } = await connection.querySingle("PRAGMA synchronous")
  connection.close()
  if (synchronous !== 2) throw new Error(`It runs with synchronous = ${synchronous}, not FULL.`)
  const start = performance.now()
  for (let n = 0; n < events; n++) await append()
  const eventsPerSecond = (events / (performance.now() - start)) * 1000
  console.log(JSON.stringify({ eventsPerSecond }))
} finally {
  rmSync(directory, { recursive: true, force: true })
}
