/** The thread that owns the log's writing connections. */

import { WriterThread, type WriterThreadData } from "../../log/WriterThread.ts"
import { serveGroups, threadData } from "../ThreadEntry.ts"

const thread = new WriterThread(threadData as WriterThreadData)
serveGroups((calls, arrived, send) => thread.handle(calls, arrived, send))
