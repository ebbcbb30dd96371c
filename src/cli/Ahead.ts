/**
 * What a command needs in any case is begun before the command line itself is loaded: on two cores the thread of the log
 * loads meanwhile. Loads next to nothing.
 */
import { writerThreads } from "../runtime/WriterThreads.ts"
import { startAhead } from "../threads/Workers.ts"

/** Of commands that look at files. Beside a server, which does the work then, they end unused with the process. */
const looking: ReadonlySet<string> = new Set(["add", "sync"])
const asksOnly: ReadonlySet<string> = new Set(["--dry-run", "--help", "-h"])

/** With a process's arguments. */
export const begin = ([, , command = "", ...words]: ReadonlyArray<string>): void => {
  if (!looking.has(command) || words.some((word) => asksOnly.has(word))) return
  // That of files follows with the configuration: on two cores it would take its share from what the main thread loads.
  for (const needed of writerThreads({ looks: false })) startAhead(needed)
}
