/** The thread that computes vectors with a model of this machine: see src/embedding/LocalCore.ts. */
import { localOperations } from "../../embedding/LocalCore.ts"
import type { LocalPlace } from "../../embedding/LocalFiles.ts"
import { serve, threadData } from "../ThreadEntry.ts"

serve(localOperations(threadData as LocalPlace))
