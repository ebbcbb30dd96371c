/**
 * What the fold of the live generation does about an event or a body that it cannot take. An engine that is away is no such
 * thing: it is waited for, whatever is chosen here.
 */
import { Context } from "effect"

/**
 * `retry`: tries again, with pauses that grow to five seconds, for as long as it takes. `stop`: goes no further until
 * somebody says so. `skip`: leaves out the document whose content it is, with a record, and goes on.
 */
export const recoveries = ["retry", "stop", "skip"] as const
export type Recovery = (typeof recoveries)[number]

export class IndexRecovery extends Context.Reference<IndexRecovery>()("reprise/index/Recovery", {
  defaultValue: (): Recovery => "retry"
}) {}
