import { killing } from "./killing.ts"

killing("add", { middle: true })
