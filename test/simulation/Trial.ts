/** A schedule on trial: what it broke, and the shortest form of that for people. */
import { Broken } from "./Broken.ts"
import { judge } from "./Expectations.ts"
import type { Fault, Schedule } from "./Schedule.ts"
import { shrink } from "./Shrink.ts"
import { Simulation } from "./Simulation.ts"
import { forgetFibers } from "./World.ts"

export interface Verdict {
  /** The promise that was broken, beginning with its number; `undefined` where all were kept. */
  readonly broken: string | undefined
  readonly trace: ReadonlyArray<string>
  readonly struck: ReadonlyArray<Fault>
  /** Hash of the log's last event. */
  readonly head: string
  readonly steps: number
}

export const trial = (schedule: Schedule): Verdict => {
  const run = new Simulation(schedule)
  const verdict = (broken: string | undefined): Verdict => ({
    broken,
    trace: run.trace,
    struck: run.faults.struck,
    head: run.head,
    steps: run.world.steps
  })
  try {
    run.run()
    judge(run)
    return verdict(undefined)
  } catch (cause) {
    if (cause instanceof Broken) return verdict(cause.message)
    throw cause
  } finally {
    run.remove()
    forgetFibers()
  }
}

/** Which promise it was: what stands before the colon. */
const promise = (broken: string | undefined): string | undefined => broken?.split(":")[0]

/** What is printed of a seed that broke something: how to see it again, and the least that it takes. */
export const report = (schedule: Schedule, { broken, struck }: Verdict): string => {
  const written = { ...schedule, faults: struck }
  const shortest = shrink(written, (one) => promise(trial(one).broken) === promise(broken))
  const again = trial(shortest)
  return [
    `Seed ${schedule.seed} broke ${broken}`,
    `See it again: REPRISE_SEED=${schedule.seed} npx vitest run test/simulation`,
    `The shortest schedule found: ${again.broken}`,
    `REPRISE_SCHEDULE='${JSON.stringify(shortest)}'`,
    ...again.trace.slice(-60)
  ].join("\n")
}
