/**
 * Makes an empty data directory: its files, and settings that an editor can complete.
 */
import { existsSync } from "node:fs"
import { Effect } from "effect"
import { replaceFile } from "../log/HeadFile.ts"
import { LogFailed } from "../log/Log.ts"
import type { OpeningRefused } from "../log/LogOpening.ts"
import * as SqliteLog from "../log/SqliteLog.ts"
import type { DataDirectory } from "./DataDirectory.ts"

const emptySettings = `{
  "$schema": "https://unpkg.com/reprise/docs/reprise.schema.json"
}
`

/** False where a log was there already: then nothing is changed. */
export const initialise = Effect.fn("Initialise.initialise")(function* ({
  files,
  path
}: DataDirectory): Effect.fn.Return<boolean, OpeningRefused> {
  if (existsSync(files.log)) return false
  yield* Effect.scoped(
    Effect.provide(Effect.void, SqliteLog.layerInThread({ directory: path, command: "reprise init" }))
  )
  if (!existsSync(files.config)) {
    yield* Effect.try({
      try: () => replaceFile(files.config, emptySettings, { sync: true }),
      catch: (cause) => new LogFailed({ operation: `write ${files.config}`, cause })
    })
  }
  return true
})
