/** The thread that parses and chunks: see src/documents/PrepareOperation.ts. */
import { buffersOf, type PrepareRequest, prepareOperation } from "../../documents/PrepareOperation.ts"
import { Moved, serve } from "../ThreadEntry.ts"

serve({
  prepare: (request: PrepareRequest) => {
    const answer = prepareOperation(request)
    return new Moved(answer, buffersOf(answer))
  }
})
