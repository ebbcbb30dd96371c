/**
 * How far long work is, on one line of a terminal: done, rate, remaining time. Nothing where standard error is no terminal.
 */
import { Clock, Effect } from "effect"
import { Io } from "./Io.ts"
import { note } from "./Output.ts"
import { printable } from "./Printable.ts"
import { number, time } from "./Style.ts"

export interface Step {
  readonly what: string
  readonly done: number
  /** Absent where nobody knows. */
  readonly total: number | undefined
  readonly details?: string
}

export interface Progress {
  readonly show: (step: Step) => Effect.Effect<void>
  /** Something that whoever waits should know, on a line that stays. */
  readonly say: (text: string) => Effect.Effect<void>
}

const everyMs = 100
const clearLine = "\r\u001b[2K"

/** Runs `use` and wipes the line when it is over. */
export const withProgress = <A, E, R>(
  use: (progress: Progress) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | Io> =>
  Effect.gen(function* () {
    const io = yield* Io
    const say = (text: string) => Effect.provideService(note(text), Io, io)
    if (!io.errIsTerminal) return yield* use({ show: () => Effect.void, say })
    let shownAt = 0
    let phase = { what: "", since: 0, from: 0 }
    let shown = false
    const show = (step: Step) =>
      Effect.gen(function* () {
        const now = yield* Clock.currentTimeMillis
        if (phase.what !== step.what) phase = { what: step.what, since: now, from: step.done }
        if (now - shownAt < everyMs) return
        shownAt = now
        shown = true
        yield* io.err(clearLine + lineOf(step, phase, now).slice(0, Math.max(20, io.columns - 1)))
      })
    return yield* Effect.ensuring(
      use({ show, say: (text) => Effect.zipRight(io.err(clearLine), say(text)) }),
      Effect.suspend(() => (shown ? io.err(clearLine) : Effect.void))
    )
  })

export const lineOf = (
  { details, done, total, what }: Step,
  phase: { readonly since: number; readonly from: number },
  now: number
): string => {
  const seconds = (now - phase.since) / 1000
  const rate = seconds > 0.5 ? (done - phase.from) / seconds : 0
  const left = total !== undefined && rate > 0 ? Math.max(0, total - done) / rate : undefined
  return [
    `${what} ${number(done)}${total === undefined ? "" : ` of ${number(total)}`}`,
    ...(rate > 0 ? [`${number(Math.round(rate))}/s`] : []),
    ...(left === undefined ? [] : [`${time(left * 1000)} left`]),
    ...(details === undefined ? [] : [printable(details)])
  ].join(" · ")
}
