/**
 * Fibers share the main thread with everything else that a process does. Effect's own scheduler runs what is ready as
 * microtasks, up to two thousand rounds of them: timers, signals, answers of threads and sockets wait meanwhile. This one
 * lets the event loop have its turn after a few milliseconds.
 */
import { Layer, Scheduler } from "effect"

/** For how long fibers may go on among themselves, in milliseconds. */
const longest = 5

const fairScheduler = (): Scheduler.Scheduler => {
  let since = 0
  let isBurst = false
  return Scheduler.makeBatched((run) => {
    const now = performance.now()
    if (!isBurst) {
      // The first of a burst: something outside has just woken a fiber.
      isBurst = true
      since = now
      setImmediate(() => {
        isBurst = false
      })
    }
    if (now - since < longest) queueMicrotask(run)
    else setImmediate(run)
  })
}

export const layer: Layer.Layer<never> = Layer.suspend(() => Layer.setScheduler(fairScheduler()))
