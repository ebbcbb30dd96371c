import { killing } from "./killing.ts"

killing("replay", { middle: false })
