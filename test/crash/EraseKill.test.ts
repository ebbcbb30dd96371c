import { killing } from "./killing.ts"
import { reachedByCollect, reachedBySync } from "./reached.ts"

killing("erase", { middle: false, shownElsewhere: new Set([...reachedBySync, ...reachedByCollect]) })
