/** Writes a generation that nobody reads: `<directory>`. Each mark is told before the next round begins. */
import { writeSync } from "node:fs"
import { Effect } from "effect"
import { inert } from "../../src/faults/Failpoints.ts"
import { make } from "../../src/index/EmbeddedIndex.ts"
import { ref, writeAfter } from "./powercut/UnseenRounds.ts"

const [directory = ""] = process.argv.slice(2)

void make({ directory }, inert)
  .open(ref)
  .pipe(
    Effect.flatMap((index) =>
      writeAfter(index, 0, (round) => writeSync(1, `${JSON.stringify({ round })}\n`))
    ),
    Effect.scoped,
    Effect.runPromise
  )
