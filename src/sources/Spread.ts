/**
 * Spreads what is asked about many files over lanes, each of which does one file after the other. A local disk answers from
 * memory, and one lane is all that it needs; a disk or network that is slow to answer serves several at a time.
 */
import { Effect } from "effect"

/** Milliseconds for a file, on average, from which on all lanes are used. */
const slowMs = 1
/** Of fewer files nothing can be said. */
const fewest = 16

/** Whether so many files took so long that several are to be asked at a time. */
export const isSlow = (files: number, tookMs: number): boolean => files >= fewest && tookMs / files > slowMs

/** What a lane answers, and how many milliseconds it was at work for it: whoever asked may hear of it much later. */
export interface Timed<Answer> {
  readonly answer: Answer
  readonly tookMs: number
}

/** Answers in the order of `items`. */
export type Spread<Lane> = <Item, Answer>(
  items: ReadonlyArray<Item>,
  ask: (lane: Lane, items: ReadonlyArray<Item>) => Effect.Effect<Timed<ReadonlyArray<Answer>>>
) => Effect.Effect<ReadonlyArray<Answer>>

export const spreadOver = <Lane>(lanes: ReadonlyArray<Lane>): Spread<Lane> => {
  let used = 1
  return (items, ask) =>
    Effect.gen(function* () {
      if (items.length === 0) return []
      const share = Math.ceil(items.length / used)
      const answers = yield* Effect.forEach(
        lanes.slice(0, Math.ceil(items.length / share)),
        (lane, at) => ask(lane, items.slice(at * share, (at + 1) * share)),
        { concurrency: "unbounded" }
      )
      if (isSlow(items.length, Math.max(...answers.map(({ tookMs }) => tookMs)))) used = lanes.length
      return answers.flatMap(({ answer }) => answer)
    })
}
