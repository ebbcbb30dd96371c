/**
 * Named places before and after every durable step, where a test can make the process die, throw, hang or wait.
 *
 * Inert when live: the default does nothing. Synchronous, because the cores that write are.
 */
import { writeSync } from "node:fs"
import { Context } from "effect"

/** Every name there is. `.before` leaves nothing of the step, `.after` the whole step. */
export const failpointNames = [
  "log.begin",
  "log.insert",
  "log.readmodel",
  "log.commit.before",
  "log.commit.after",
  "log.append.after",
  "head.write.before",
  "head.write.after",
  "blob.write.before",
  "blob.write.after",
  "vector.write.before",
  "vector.write.after",
  "submit.before",
  "submit.after",
  "chunked.before",
  "chunked.after",
  "vectors.recorded.before",
  "vectors.recorded.after",
  "committed.before",
  "committed.after",
  "built.before",
  "built.after",
  "rejected.before",
  "rejected.after",
  "removed.before",
  "removed.after",
  "provider.answered",
  "attempt.count.before",
  "attempt.count.after",
  "job.lease.before",
  "job.lease.after",
  "job.result.before",
  "job.result.after",
  "job.park.before",
  "job.park.after",
  "job.cancel.before",
  "job.cancel.after",
  "index.apply.before",
  "index.apply.after",
  "index.row",
  "index.marker.before",
  "index.marker.after",
  "segment.merge.before",
  "segment.merge.after",
  "state.commit.before",
  "state.commit.after",
  "generation.open.before",
  "generation.open.after",
  "generation.verify.before",
  "generation.verify.after",
  "generation.promote.before",
  "generation.promote.after",
  "generation.retire.before",
  "generation.retire.after",
  "generation.drop.before",
  "generation.drop.after",
  "sweep.state.before",
  "sweep.state.after",
  "sweep.engine.before",
  "sweep.engine.after",
  "collect.mark",
  "collect.sweep.before",
  "collect.sweep.after",
  "erase.points.before",
  "erase.points.after",
  "erase.state.after",
  "erase.content.before",
  "erase.content.after",
  "erase.rewrite.after",
  "repair.point.before",
  "repair.point.after",
  "wal.checkpoint.before",
  "wal.checkpoint.after",
  "backup.copy",
  "backup.verify",
  "backup.rename.before",
  "backup.rename.after",
  "export.part",
  "import.batch",
  "lock.acquire.before",
  "lock.acquire.after",
  "epoch.write.before",
  "epoch.write.after",
  "migrate.step.before",
  "migrate.step.after",
  "sync.scan",
  "sync.diff.before",
  "sync.diff.after",
  "removals.approve.before",
  "removals.approve.after"
] as const
export type FailpointName = (typeof failpointNames)[number]

export interface FailpointsService {
  /** Does nothing unless a test armed `name`. */
  readonly hit: (name: FailpointName) => void
}

export const inert: FailpointsService = { hit: () => {} }

/** What is reached where nobody provides another: nothing ever fires. */
export class Failpoints extends Context.Reference<Failpoints>()("reprise/faults/Failpoints", {
  defaultValue: (): FailpointsService => inert
}) {}

/** Thrown by a failpoint that is armed with `throw`. */
export class FailpointFired extends Error {
  override readonly name = "FailpointFired"
}

/**
 * Arms failpoints from a specification such as `log.commit.before:3:kill,index.row:1:throw`: name, which hit (counted
 * from 1, `*` for each), and what happens: `kill` (SIGKILL to the own process), `exit` (ends the own thread), `throw`, `hang`, `delay<ms>`, or `note`
 * (a line on standard error, for a test that wants to know what is reached).
 */
export const armed = (specification: string): FailpointsService => {
  const rules = specification.split(",").flatMap((rule) => {
    const [name, hit, action] = rule.split(":")
    return name === undefined || hit === undefined || action === undefined ? [] : [{ name, hit, action }]
  })
  const hits = new Map<string, number>()
  return {
    hit: (name) => {
      const count = (hits.get(name) ?? 0) + 1
      hits.set(name, count)
      for (const rule of rules) {
        if (rule.name === name && (rule.hit === "*" || Number(rule.hit) === count)) act(rule.action, name)
      }
    }
  }
}

const act = (action: string, name: string): void => {
  if (action === "note") {
    writeSync(2, `reached ${name}\n`)
    return
  }
  if (action === "throw") throw new FailpointFired(`Failpoint ${name} fired.`)
  if (action === "kill") process.kill(process.pid, "SIGKILL")
  if (action === "exit") process.exit(1)
  const cell = new Int32Array(new SharedArrayBuffer(4))
  Atomics.wait(cell, 0, 0, action.startsWith("delay") ? Number(action.slice("delay".length)) : undefined)
}
