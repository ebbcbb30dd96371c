/**
 * Hands out jobs. That an attempt begins is counted in the turn's write, before the order is sent.
 */
import { Effect } from "effect"
import type { Digest } from "../../events/Ids.ts"
import type { WorkOrder } from "../../src/bus/Bus.ts"
import { monotonicMs } from "../../src/clock/Monotonic.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import { loadInputs, startOver } from "./advance.ts"
import type { Desk } from "./Desk.ts"
import type { Job } from "./Jobs.ts"
import type { Turn } from "./Turn.ts"
import { prepareWeight } from "./Work.ts"

/** An order that the bus did not take is offered again this much later. */
const resendMs = 1000
/**
 * Windows of its lane that one order may fill: nothing else is handed out meanwhile. A document with more inputs is asked for in
 * several, between which other projects have their turn.
 */
const mostWindows = 4

export const dispatch = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn
): Effect.fn.Return<void, LogFailed> {
  // Under another configuration than the live spec's, no worker has what commits need; builds go on.
  const willing = ({ code, work }: Job) =>
    (work.purpose === "build" || !desk.differs) &&
    desk.outages.allows(code, turn.now, () => desk.jobs.needs(code, true))
  for (const lane of ["prepare", "embed"] as const) {
    while (true) {
      const job = desk.jobs.next(lane, willing)
      if (job === undefined) break
      if (!job.known && job.attempt === 0) yield* readAttempts(desk, job)
      if (lane === "prepare") {
        begin(desk, turn, job, prepareWeight(job.work), [])
        continue
      }
      if (job.work.inputs === undefined && !(yield* loadInputs(desk, turn, job.work))) {
        startOver(desk, turn, job.work, undefined)
        continue
      }
      if (job.work.missing.size === 0) {
        desk.jobs.remove(job)
        desk.lines.ready(job.work)
        turn.goOn()
        continue
      }
      const inputs = desk.inputs.ask(job.work, mostWindows * desk.settings.lanes.embed.window)
      if (inputs.length === 0) desk.jobs.rest(job)
      else begin(desk, turn, job, inputs.length, inputs)
    }
  }
})

/** Attempts of an earlier run of the program count as well, unless they ended with it. */
export const readAttempts = Effect.fnUntraced(function* (
  desk: Desk,
  job: Job
): Effect.fn.Return<void, LogFailed> {
  job.known = true
  for (const { attempt, outcome } of yield* desk.ports.readModels.attempts(job.id)) {
    job.attempt = Math.max(job.attempt, attempt)
    if (outcome === "failed") job.failures++
  }
  // Tried as often as it may be and opened again by a person: it gets the last attempt anew.
  job.failures = Math.min(job.failures, desk.settings.attempts - 1)
})

const begin = (desk: Desk, turn: Turn, job: Job, weight: number, inputs: ReadonlyArray<Digest>): void => {
  desk.jobs.start(job, weight, turn.now)
  desk.begun.set(job.id, job.attempt)
  turn.steps.add("attempt.count")
  turn.operational({
    kind: "attemptStarted",
    jobId: job.id,
    lane: job.lane,
    attempt: job.attempt,
    worker: job.lane,
    startedAt: turn.wallClock,
    solo: job.solo
  })
  const order = orderOf(job, inputs)
  if (order !== undefined) turn.orders.push({ job, order })
}

const orderOf = (job: Job, inputs: ReadonlyArray<Digest>): WorkOrder | undefined => {
  const { attempt, id: jobId, work } = job
  const { documentId, scope, version } = work
  const common = { jobId, attempt, scope, documentId, version }
  if (job.lane === "prepare") {
    const { descriptor, pair, raw } = work
    return { ...common, lane: "prepare", raw, descriptor, chunker: pair.chunker }
  }
  if (work.chunking === undefined) return undefined
  const { descriptor, manifestBlob, textBlob } = work.chunking
  return { ...common, lane: "embed", descriptor, textBlob, manifestBlob, model: work.pair.model, inputs }
}

/** Sends those that are not over by now; a bus that is away is offered them again soon. */
export const sendOrders = (desk: Desk, turn: Turn): Effect.Effect<void> =>
  Effect.suspend(() => {
    const due = turn.orders.filter(
      ({ job, order }) => desk.jobs.get(job.id) === job && job.attempt === order.attempt
    )
    if (due.length === 0) return Effect.void
    return desk.ports.bus.dispatch(due.map(({ order }) => order)).pipe(
      Effect.catchTag("BusUnavailable", () =>
        Effect.map(monotonicMs, (now) => {
          for (const { job } of due) if (job.worker === undefined) job.until = now + resendMs
        })
      )
    )
  })

/** The order of a running attempt once more: nobody claimed it, so it may be lost. */
export const resend = (desk: Desk, turn: Turn, job: Job): void => {
  const order = orderOf(job, [...job.work.asking])
  job.until = turn.now + desk.unclaimedMs
  if (order !== undefined) turn.orders.push({ job, order })
}
