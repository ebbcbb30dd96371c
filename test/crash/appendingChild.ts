/**
 * Opens a log for writing and appends groups until it is done or killed: `<directory> <failpoints> <groups> <first>`. Each
 * acknowledged append is written to standard output before the next group begins: what stands there was promised.
 */
import { writeSync } from "node:fs"
import { armed } from "../../src/faults/Failpoints.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const [directory = "", failpoints = "", groups = "0", first = "0"] = process.argv.slice(2)
const { close, core } = openTestWriter(directory, { failpoints: armed(failpoints), checkpointPages: 60 })

for (let group = Number(first); group < Number(first) + Number(groups); group++) {
  const names = [0, 1, 2].map((member) => `${group}-${member}`)
  const { outcomes } = core.writeGroup(names.map((name, at) => wholeDocument(name, group * 3 + at)))
  for (const [at, outcome] of outcomes.entries()) {
    const answer = outcome._tag === "Written" ? outcome.answers[0] : undefined
    if (answer?._tag === "Appended") {
      const { lastPosition } = answer.appended
      writeSync(1, `${JSON.stringify({ name: names[at], lastPosition, hash: core.hashAt(lastPosition) })}\n`)
    }
  }
  core.upkeep()
}
close()
writeSync(1, "done\n")
