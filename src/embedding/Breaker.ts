/**
 * When a provider may be asked: a circuit breaker and the pause that 429 asks for, as one pure state machine.
 *
 * closed → (failures in a row) → open → (its time is up) → half-open, one trial → closed, or open for longer. A 429 is
 * no failure: the provider lives, and everybody waits. Times are milliseconds of a monotonic clock.
 */

/** Failures in a row after which a provider is left alone for a while. */
export const failuresToOpen = 5
const shortestOpenMs = 2_000
const longestOpenMs = 60_000
/** A provider that repeats "at once" is not believed: the wait grows with every wave of 429. */
const shortestPauseMs = 50
const longestOwnPauseMs = 10_000

export type Phase =
  | { readonly phase: "closed"; readonly failures: number }
  | { readonly phase: "open"; readonly until: number; readonly times: number }
  /** One request is on its way to find out. */
  | { readonly phase: "half-open"; readonly times: number }

export interface Breaker {
  readonly circuit: Phase
  /** Nobody asks before this time. */
  readonly pausedUntil: number
  /** Waves of 429 without a success between them. */
  readonly waves: number
}

export const initial: Breaker = {
  circuit: { phase: "closed", failures: 0 },
  pausedUntil: Number.NEGATIVE_INFINITY,
  waves: 0
}

/** `trial`: ask, everybody else waits for the outcome. `wait`: not before so many ms; `outcome`: not before the trial ends. */
export type Admission =
  | { readonly may: "ask" }
  | { readonly may: "trial" }
  | { readonly may: "wait"; readonly ms: number }
  | { readonly may: "outcome" }

export const admission = ({ circuit, pausedUntil }: Breaker, now: number): Admission => {
  if (circuit.phase === "half-open") return { may: "outcome" }
  const earliest = circuit.phase === "open" ? Math.max(pausedUntil, circuit.until) : pausedUntil
  if (earliest > now) return { may: "wait", ms: earliest - now }
  return circuit.phase === "open" ? { may: "trial" } : { may: "ask" }
}

/** A trial was admitted. */
export const trying = (state: Breaker): Breaker =>
  state.circuit.phase === "open"
    ? { ...state, circuit: { phase: "half-open", times: state.circuit.times } }
    : state

/** It answered, if only with a refusal. */
export const answered = (state: Breaker): Breaker => ({
  ...state,
  circuit: { phase: "closed", failures: 0 },
  waves: 0
})

/** 429 to a request that began at `began`. Requests of the same wave do not lengthen the pause once more. */
export const busy = (state: Breaker, began: number, now: number, retryAfterMs: number): Breaker => {
  const waves = began < state.pausedUntil ? state.waves : state.waves + 1
  const own = Math.min(shortestPauseMs * 2 ** (Math.max(waves, 1) - 1), longestOwnPauseMs)
  return {
    circuit: { phase: "closed", failures: 0 },
    pausedUntil: Math.max(state.pausedUntil, now + Math.max(retryAfterMs, own)),
    waves
  }
}

/** Not reached, or failing. While the circuit is open, only the trial's own outcome counts. */
export const failed = (state: Breaker, now: number, trial: boolean): Breaker => {
  const { circuit } = state
  if (circuit.phase === "closed" && circuit.failures + 1 < failuresToOpen)
    return { ...state, circuit: { phase: "closed", failures: circuit.failures + 1 } }
  if (circuit.phase !== "closed" && !trial) return state
  const times = circuit.phase === "closed" ? 1 : circuit.times + 1
  const until = now + Math.min(shortestOpenMs * 2 ** (times - 1), longestOpenMs)
  return { ...state, circuit: { phase: "open", until, times } }
}

/** The trial was interrupted and found out nothing: the next caller tries. */
export const abandoned = (state: Breaker, now: number): Breaker =>
  state.circuit.phase === "half-open"
    ? { ...state, circuit: { phase: "open", until: now, times: state.circuit.times } }
    : state
