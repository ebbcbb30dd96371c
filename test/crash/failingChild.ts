/**
 * Opens a log and appends documents on a disk that fails now and then: `<directory> <documents>`. Each is asked for again
 * until it is written, as a caller would. Prints a line for each that was written, and for each failure what was said of
 * it. What stands on standard output as written was promised.
 */
import { writeSync } from "node:fs"
import { LogFailed } from "../../src/log/Log.ts"
import type { OpenedWriter } from "../../src/log/LogOpening.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const [directory = "", documents = "0"] = process.argv.slice(2)
const say = (line: unknown) => writeSync(1, `${JSON.stringify(line)}\n`)

/** Whoever waits longer than this for a disk that fails now and then waits for ever. */
const tries = 40

const opened = (): OpenedWriter => {
  for (let left = tries; ; left--) {
    try {
      return openTestWriter(directory, { checkpointPages: 40 })
    } catch (cause) {
      if (!(cause instanceof LogFailed) || left === 0) throw cause
      say({ refused: cause.message })
    }
  }
}

const { close, core } = opened()
for (let at = 0; at < Number(documents); at++) {
  const name = `${Math.floor(at / 3)}-${at % 3}`
  for (let left = tries; ; left--) {
    const { outcomes, warning } = core.writeGroup([wholeDocument(name, at)])
    const [outcome] = outcomes
    if (warning !== undefined) say({ warning })
    if (outcome?._tag === "Written" && outcome.answers[0]?._tag === "Appended") {
      const { lastPosition } = outcome.answers[0].appended
      say({ name, lastPosition, hash: core.hashAt(lastPosition) })
      const undone = core.upkeep()
      if (undone !== undefined) say({ warning: undone })
      break
    }
    if (outcome?._tag !== "Failed" || left === 0) throw new Error(`${name}: ${JSON.stringify(outcome)}`)
    say({ failed: outcome.operation, reason: outcome.reason })
  }
}
close()
say("done")
