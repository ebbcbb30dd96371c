import { killing } from "./killing.ts"

killing("sync", { middle: false })
