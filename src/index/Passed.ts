/**
 * When a generation's checkpoint was where. A point that ended may be swept once no query can be under way that began
 * before the checkpoint passed its end: the grace counts from that moment, not from the event's (FOLD.md, rule 7).
 */

/** Wall-clock milliseconds and the checkpoint then, both rising. */
export type Passed = ReadonlyArray<readonly [atMs: number, checkpoint: number]>

/** Two entries are so far apart at least; the last one moves until it is. */
const stepMs = 60_000
/** Beyond it every other one is forgotten, which only makes a sweep more careful. */
const mostEntries = 64

export const withPassed = (passed: Passed, nowMs: number, checkpoint: number): Passed => {
  // A clock that was set back makes nothing older than it is.
  const kept = passed.filter(([at]) => at <= nowMs)
  const [before, last] = kept.slice(-2)
  if (last !== undefined && last[1] === checkpoint) return kept
  const isClose = before !== undefined && last !== undefined && last[0] - before[0] < stepMs
  const all = [...(isClose ? kept.slice(0, -1) : kept), [nowMs, checkpoint] as const]
  return all.length <= mostEntries ? all : all.filter((_, at) => at % 2 === 0 || at === all.length - 1)
}

/** The highest checkpoint that was reached at `atMs` or before; 0 where that is not known. */
export const passedBy = (passed: Passed, atMs: number): number =>
  passed.reduce((highest, [at, checkpoint]) => (at <= atMs ? Math.max(highest, checkpoint) : highest), 0)

export const decodePassed = (stored: unknown): Passed => {
  if (typeof stored !== "string" || stored === "") return []
  const passed: Passed = JSON.parse(stored)
  return passed
}
