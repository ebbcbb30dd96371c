import { killing } from "./killing.ts"

killing("build", { middle: false })
