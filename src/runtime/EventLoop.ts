/**
 * Fibers share the main thread with everything else that a process does. Effect's own scheduler runs what is ready as
 * microtasks, up to two thousand rounds of them: timers, signals, answers of threads and sockets wait meanwhile. This one
 * lets the event loop have its turn after a few milliseconds.
 */
import { Layer, Scheduler } from "effect"

/** For how long fibers may go on among themselves, in milliseconds. */
const longest = 5

/** Time is looked at when a fiber runs, not when it is woken: what one message wakes at once can take long together. */
const fairScheduler = (): Scheduler.Scheduler => {
  /** Put off to the next turn, in their order. */
  const waiting: Array<() => void> = []
  let since = 0
  let isTurnDue = false
  const isOver = () => performance.now() - since >= longest

  const begin = () => {
    isTurnDue = true
    since = performance.now()
    setImmediate(turn)
  }
  const turn = () => {
    isTurnDue = false
    if (waiting.length === 0) return
    begin()
    do waiting.shift()?.()
    while (waiting.length > 0 && !isOver())
  }
  return Scheduler.makeBatched((run) => {
    // The first of a burst: something outside has just woken a fiber.
    if (!isTurnDue) begin()
    queueMicrotask(() => {
      if (isOver()) waiting.push(run)
      else run()
    })
  })
}

export const layer: Layer.Layer<never> = Layer.suspend(() => Layer.setScheduler(fairScheduler()))
