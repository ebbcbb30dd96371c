/** The thread that parses and chunks: see src/documents/PrepareOperation.ts. */
import { buffersOf, type PrepareRequest, prepareOperation } from "../../documents/PrepareOperation.ts"
import { Moved, serve } from "../ThreadEntry.ts"

serve({
  prepare: (requests: ReadonlyArray<PrepareRequest>) => {
    const answers = requests.map(prepareOperation)
    return new Moved(answers, buffersOf(answers))
  }
})
