/**
 * A second process that searches a data directory until it is ended: `<directory> <settings as JSON> <mode> <query>`,
 * ten times a second. Prints a line of JSON for each answer, and for each search that failed.
 */
import { writeSync } from "node:fs"
import { join } from "node:path"
import { Effect, Schedule, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as OpenReading from "../../src/runtime/OpenReading.ts"
import { Reader } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"

const [path = "", settings = "{}", mode = "hybrid", query = ""] = process.argv.slice(2)
const request = Schema.decodeUnknownSync(SearchRequest)({ scope: defaultScope, query, mode, limit: 10 })
const say = (line: unknown) => Effect.sync(() => writeSync(1, `${JSON.stringify(line)}\n`))

const searching = Effect.gen(function* () {
  const { search } = yield* Reader
  yield* search(request).pipe(
    Effect.flatMap(({ degraded, generation, hits, indexedPosition }) =>
      say({ degraded, generation, indexedPosition, hits: hits.map(({ chunkId }) => chunkId) })
    ),
    Effect.catchAllCause((cause) => say({ failed: String(cause) })),
    Effect.repeat(Schedule.spaced("100 millis"))
  )
}).pipe(
  Effect.provide(
    OpenReading.layer({
      configuration: {
        settings: Schema.decodeSync(Settings)(JSON.parse(settings)),
        directory: { path, origin: "flag", files: filesIn(path, join) }
      },
      embeds: mode !== "sparse"
    })
  )
)
void Effect.runPromise(Effect.scoped(searching))
