/**
 * Whether work gets on. A track (the index, a lane) stalls when something has waited in it for longer than it may without
 * anything being done: what counts is movement, not an answer to a ping.
 */

/** What is seen of a track at one moment. */
export interface Track {
  readonly name: string
  /** How much waits. 0 where nothing does, or where it is known and said elsewhere why it must wait. */
  readonly waiting: number
  /** Changes whenever something is done, and only then. */
  readonly mark: string
  /** Milliseconds for which something may wait without anything being done. */
  readonly limitMs: number
}

interface Seen {
  readonly mark: string
  readonly movedAt: number
}

export type Stalls = ReadonlyMap<string, Seen>

export const noStalls: Stalls = new Map()

/** `now` is monotonic milliseconds. A track on which nothing waits stands still for good reason. */
export const observe = (before: Stalls, tracks: ReadonlyArray<Track>, now: number): Stalls =>
  new Map(
    tracks.map(({ mark, name, waiting }) => {
      const last = before.get(name)
      const stands = last !== undefined && waiting > 0 && last.mark === mark
      return [name, stands ? last : { mark, movedAt: now }]
    })
  )

/** A sentence for each track that stalls. */
export const reasons = (stalls: Stalls, tracks: ReadonlyArray<Track>, now: number): ReadonlyArray<string> =>
  tracks.flatMap(({ limitMs, name, waiting }) => {
    const idleMs = now - (stalls.get(name)?.movedAt ?? now)
    return waiting > 0 && idleMs > limitMs
      ? [`${name}: ${waiting} waiting, nothing done for ${Math.round(idleMs / 1000)} s`]
      : []
  })
