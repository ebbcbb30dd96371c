import { killing } from "./killing.ts"

killing("repair", { middle: false })
