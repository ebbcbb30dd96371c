/** Reads a data directory through a snapshot: `<directory>`. Prints what it saw as JSON. */
import { accessSync, constants } from "node:fs"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"

const [directory = ""] = process.argv.slice(2)
const writable = (() => {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
})()
const snapshot = openSnapshot(directory)
process.stdout.write(JSON.stringify({ writable, position: snapshot.head().position }))
snapshot.close()
