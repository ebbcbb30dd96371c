/** How far an answer is true: beyond what it was read at, for as long as nothing follows that would change it. */
import type { Head } from "../log/Log.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"

/**
 * For what is visible at `at`, answers the last position at which search sees the same: up to the head, as far as is looked at
 * a time. What is visible later reaches no less far, so that who asks again never hears of less; where that was looked at once
 * it is not looked at again.
 */
export const reach = (
  snapshot: Pick<LogSnapshot, "sameUntil">
): ((at: number, head: Pick<Head, "epoch" | "position">) => number) => {
  let last = { epoch: 0, at: 0, until: 0 }
  return (at, { epoch, position }) => {
    const isLater = last.epoch !== epoch || at >= last.at
    const from = last.epoch === epoch && isLater ? Math.max(at, last.until) : at
    const until = snapshot.sameUntil(from, position)
    if (isLater) last = { epoch, at, until }
    return until
  }
}
