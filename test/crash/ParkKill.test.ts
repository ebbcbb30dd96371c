import { killing } from "./killing.ts"
import { reachedBySync } from "./reached.ts"

killing("park", { middle: false, shownElsewhere: new Set(reachedBySync) })
