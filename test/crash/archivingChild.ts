/**
 * Writes a log, backs it up, restores the backup, exports the log and imports it again, in a process that is recorded:
 * `<folder>`, in which a folder `elsewhere` stands. Prints a line when each was answered. What stands on standard output was promised.
 */
import { writeSync } from "node:fs"
import { join } from "node:path"
import { Effect } from "effect"
import * as Archive from "../../src/log/Archive.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const [folder = ""] = process.argv.slice(2)
const at = (name: string) => join(folder, name)
const say = (answered: string) => writeSync(1, `${JSON.stringify({ answered })}\n`)

const { close, core } = openTestWriter(at("data"))
core.writeGroup(["first", "second", "third"].map((name, n) => wholeDocument(name, n)))
say("write")
await Effect.runPromise(Archive.backup(at("data"), at("elsewhere/backup")))
say("backup")
await Effect.runPromise(Archive.exportTo(at("data"), at("elsewhere/log.ndjson")))
say("export")
close()
await Effect.runPromise(Archive.restore(at("elsewhere/backup"), at("restored")))
say("restore")
await Effect.runPromise(Archive.importFrom(at("elsewhere/log.ndjson"), at("imported")))
say("import")
