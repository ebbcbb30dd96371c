/**
 * A process that runs schedules of its own, one after another, and says in lines of JSON what came of them.
 *
 *     node worker.mjs <first seed> <step to the next> <how many> <milliseconds>
 */
import { scheduleOf } from "./Schedule.ts"
import { report, trial } from "./Trial.ts"

/** One line for each that broke a promise, and now and then the sum so far. */
export type Line =
  | { readonly kind: "sum"; readonly ran: number; readonly steps: number; readonly cpuMs: number }
  | { readonly kind: "broken"; readonly seed: number; readonly broken: string; readonly report: string }

const [first = 1, step = 1, count = 1, limitMs = 0, mostBroken = 3, shrinking = 1] = process.argv
  .slice(2)
  .map(Number)
const say = (line: Line): void => {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

const began = Date.now()
let ran = 0
let steps = 0
let broken = 0
const sum = (): void => {
  const { system, user } = process.cpuUsage()
  say({ kind: "sum", ran, steps, cpuMs: Math.round((user + system) / 1000) })
}
/** However slow the machine is. */
const least = 10
for (; ran < count && (ran < least || Date.now() - began < limitMs) && broken < mostBroken; ran++) {
  const schedule = scheduleOf(first + ran * step)
  const verdict = trial(schedule)
  steps += verdict.steps
  if (verdict.broken !== undefined) {
    broken++
    const shown = shrinking === 1 ? report(schedule, verdict) : ""
    say({ kind: "broken", seed: schedule.seed, broken: verdict.broken, report: shown })
  }
  if (ran % 100 === 99) sum()
}
sum()
// Timers of the dead may be left.
process.exit(0)
