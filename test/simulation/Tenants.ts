/**
 * Two tenants, or one alone: what the first one is told must be the same to the last byte, whatever the second one has and
 * does. What is left out is what they may share: the time that it took, and positions of the log, which the operator sees.
 */
import type { Sent } from "./Commands.ts"
import { type Operation, type Schedule, scheduleOf } from "./Schedule.ts"
import type { Searched } from "./Searches.ts"
import { Simulation } from "./Simulation.ts"
import { forgetFibers } from "./World.ts"

/** The sender to project `one`, and the one to project `two`. */
const [first, second] = [0, 2]
/** Long enough for everything to come to rest between two operations of a sender: then only data can make a difference. */
const pauseMs = 4000

/** What a sender asks for, without what concerns all projects alike. */
const isOwn = ({ kind }: Operation): boolean =>
  kind === "submit" || kind === "remove" || kind === "resend" || kind === "twin" || kind === "search"

export interface Pair {
  readonly together: Schedule
  readonly alone: Schedule
}

/** Both senders act at the same moments; nothing fails. */
export const pairOf = (seed: number): Pair => {
  const sentBy = (sender: number, of: Schedule): ReadonlyArray<Operation> =>
    of.operations.filter(isOwn).map((operation) => ({ ...operation, sender, pauseMs }))
  const operations = sentBy(first, scheduleOf(seed))
  // Not a fifth one, after which the whole index is verified and replayed.
  const own = { seed: seed * 5 + 1, inOrder: true, faults: [] }
  return {
    together: { ...own, operations: [...operations, ...sentBy(second, scheduleOf(seed + 1_000_000))] },
    alone: { ...own, operations }
  }
}

const toldOf = ({ answer, command }: Sent): unknown => {
  if (answer === undefined) return [command.commandId]
  const { position: _, ...told } = answer
  return [command.commandId, told]
}

const foundBy = ({ answer, floor }: Searched): unknown => {
  const { tookMs: _, ...found } = answer
  return [floor, found]
}

/** Everything that project `one` was answered, one line for each answer. */
export const toldToFirst = (schedule: Schedule): ReadonlyArray<string> => {
  const run = new Simulation(schedule)
  try {
    run.run()
    return [
      ...run.sent.filter(({ command }) => command.scope.project === "one").map(toldOf),
      ...run.searched.filter(({ project }) => project === "one").map(foundBy)
    ].map((line) => JSON.stringify(line))
  } finally {
    run.remove()
    forgetFibers()
  }
}
