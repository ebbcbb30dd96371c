/**
 * Writes a log, backs it up, restores the backup, exports the log and imports it again, in a process that is recorded or
 * killed: `<folder> [failpoints]`, and in the folder another one, `elsewhere`. What an earlier process finished is left as it
 * is. Prints a line when each was answered: what stands on standard output was promised.
 */
import { writeSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import * as Archive from "../../src/log/Archive.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const [folder = "", failpoints = ""] = process.argv.slice(2)
const at = (name: string) => join(folder, name)
const say = (answered: string) => writeSync(1, `${JSON.stringify({ answered })}\n`)

const points = armed(failpoints)
const run = <A>(work: Effect.Effect<A, Archive.ArchiveError>): Promise<A | undefined> =>
  work.pipe(
    Effect.catchTag("TargetNotEmpty", () => Effect.succeed(undefined)),
    Effect.provideService(Failpoints, points),
    Effect.runPromise
  )

const archive = async (): Promise<void> => {
  const { close, core } = openTestWriter(at("data"))
  core.writeGroup(["first", "second", "third"].map((name, n) => wholeDocument(name, n)))
  say("write")
  await run(Archive.backup(at("data"), at("elsewhere/backup")))
  say("backup")
  await run(Archive.exportTo(at("data"), at("elsewhere/log.ndjson")))
  say("export")
  close()
  await run(Archive.restore(at("elsewhere/backup"), at("restored")))
  say("restore")
  await run(Archive.importFrom(at("elsewhere/log.ndjson"), at("imported")))
  say("import")
}
void archive()
