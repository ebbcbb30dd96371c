/**
 * The shortest schedule that still breaks the same promise: delta debugging over operations and faults together, then over
 * what they are made of.
 */
import type { Fault, Operation, Schedule } from "./Schedule.ts"

type Part =
  | { readonly of: "operation"; readonly operation: Operation }
  | { readonly of: "fault"; readonly fault: Fault }

/** `fails` says whether a schedule breaks the promise; it is asked at most `tries` times, and not after `longestMs`. */
export const shrink = (
  schedule: Schedule & { readonly faults: ReadonlyArray<Fault> },
  fails: (schedule: Schedule) => boolean,
  tries = 300,
  longestMs = 60_000
): Schedule => {
  let left = tries
  const until = Date.now() + longestMs
  const ask = (candidate: Schedule): boolean => left-- > 0 && Date.now() < until && fails(candidate)
  let best: Schedule = schedule
  const assembled = (parts: ReadonlyArray<Part>): Schedule => ({
    ...best,
    operations: parts.flatMap((part) => (part.of === "operation" ? [part.operation] : [])),
    faults: parts.flatMap((part) => (part.of === "fault" ? [part.fault] : []))
  })
  const inOrder = { ...schedule, inOrder: true }
  if (!schedule.inOrder && ask(inOrder)) best = inOrder

  let parts: ReadonlyArray<Part> = [
    ...schedule.operations.map((operation): Part => ({ of: "operation", operation })),
    ...schedule.faults.map((fault): Part => ({ of: "fault", fault }))
  ]
  for (let size = Math.ceil(parts.length / 2); size >= 1; ) {
    let removed = false
    for (let from = 0; from < parts.length; ) {
      const without = [...parts.slice(0, from), ...parts.slice(from + size)]
      if (ask(assembled(without))) {
        parts = without
        removed = true
      } else from += size
    }
    if (size === 1 && !removed) break
    size = removed && size === 1 ? 1 : Math.max(1, Math.floor(size / 2))
  }
  for (const [at, part] of parts.entries()) {
    if (part.of !== "operation" || part.operation.pauseMs === 0) continue
    const hurried: Part = { of: "operation", operation: { ...part.operation, pauseMs: 0 } }
    const candidate = parts.with(at, hurried)
    if (ask(assembled(candidate))) parts = candidate
  }
  return assembled(parts)
}
