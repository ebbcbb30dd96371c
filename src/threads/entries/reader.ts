/** The thread that opens versions ahead of the fold: see src/index/ReadAhead.ts. */
import { setImmediate } from "node:timers/promises"
import { readPart } from "../../index/EmbeddedIndex.ts"
import type { ReadBackPart, ReadPart } from "../../index/Index.ts"
import { AheadReader, type AheadRequest } from "../../index/ReadAhead.ts"
import type { ReaderThreadData } from "../../index/ThreadReadAhead.ts"
import { openSnapshot } from "../../log/SqliteSnapshot.ts"
import { analyzerOf } from "../../runtime/Analyzers.ts"
import { Moved, serve, threadData } from "../ThreadEntry.ts"

const { directory } = threadData as ReaderThreadData
const reader = new AheadReader(openSnapshot(directory), analyzerOf)

const movable = ({ points }: ReadPart): ReadonlyArray<ArrayBuffer> =>
  points === undefined
    ? []
    : [points.bytes, points.windows].flatMap(({ buffer, byteLength }) =>
        buffer instanceof ArrayBuffer && byteLength > 0 ? [buffer] : []
      )

serve({
  read: async (request: AheadRequest) => {
    // Each piece goes out by itself: what is asked for together would be answered together.
    await setImmediate()
    const piece = reader.read(request)
    return new Moved(piece, [piece.memory])
  },
  readBack: async (part: ReadBackPart) => {
    await setImmediate()
    const read = readPart(part)
    return new Moved(read, movable(read))
  }
})
