/** The thread that looks at files and reads them: see src/sources/FileCalls.ts. */
import {
  buffersOf,
  examineAll,
  type FileOperations,
  nodeCalls,
  readAll,
  timed
} from "../../sources/FileCalls.ts"
import { OpenScans, type ScanAsk } from "../../sources/OpenScans.ts"
import { Moved, serve } from "../ThreadEntry.ts"

const scans = new OpenScans(nodeCalls)

serve({
  examine: (paths: Parameters<FileOperations["examine"]>[0]) => {
    const examined = timed(() => examineAll(nodeCalls, paths))
    return new Moved(examined, [examined.answer.stats.buffer])
  },
  read: ({ maxBytes, paths }: Parameters<FileOperations["read"]>[0]) => {
    const reads = timed(() => readAll(nodeCalls, paths, maxBytes))
    return new Moved(reads, buffersOf(reads.answer))
  },
  scan: (ask: ScanAsk) => {
    const step = scans.next(ask)
    if (step._tag === "Page" && !step.isLast) setImmediate(() => scans.goAhead(ask))
    return step
  },
  endScan: (scan: number) => scans.end(scan)
})
