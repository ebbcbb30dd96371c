import { killing } from "./killing.ts"

killing("rest", { middle: true })
