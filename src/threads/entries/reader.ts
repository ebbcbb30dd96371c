/** The thread that opens versions ahead of the fold: see src/index/ReadAhead.ts. */
import { setImmediate } from "node:timers/promises"
import { AheadReader, type AheadRequest } from "../../index/ReadAhead.ts"
import type { ReaderThreadData } from "../../index/ThreadReadAhead.ts"
import { openSnapshot } from "../../log/SqliteSnapshot.ts"
import { analyzerOf } from "../../runtime/Analyzers.ts"
import { Moved, serve, threadData } from "../ThreadEntry.ts"

const { directory } = threadData as ReaderThreadData
const reader = new AheadReader(openSnapshot(directory), analyzerOf)

serve({
  read: async (request: AheadRequest) => {
    // Each piece goes out by itself: what is asked for together would be answered together.
    await setImmediate()
    const piece = reader.read(request)
    return new Moved(piece, [piece.memory])
  }
})
