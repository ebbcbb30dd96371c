/**
 * The order of commits: the mutations of one sync are committed in the order in which they were submitted. One that is
 * retried, or has held up the others for too long, leaves its line and holds nobody up.
 */
import type { Work } from "./Work.ts"

export interface LineLimits {
  /** How many may stand behind a mutation that is not ready. */
  readonly places: number
  /** How long the first may hold up the others. */
  readonly patienceMs: number
}

interface Line {
  readonly places: Array<Work>
  /** Index of the first that has not gone yet. */
  first: number
  /** Since when the first one holds up others. */
  since: number
}

export class Lines {
  readonly #limits: LineLimits
  readonly #lines = new Map<string, Line>()
  readonly #lineOf = new Map<Work, string>()
  #free: Array<Work> = []

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  /** At the end of its sync's line. What belongs to no sync stands in none. */
  join(work: Work, now: number): void {
    if (work.purpose === "build" || work.sync === undefined) return
    const key = `${work.sourceId}/${work.sync}`
    const line = this.#lines.get(key) ?? { places: [], first: 0, since: now }
    this.#lines.set(key, line)
    line.places.push(work)
    this.#lineOf.set(work, key)
  }

  /** It is over, or is tried again: the others need not wait for it. */
  leave(work: Work): void {
    this.#lineOf.delete(work)
  }

  /** Everything it needs is there. */
  ready(work: Work): void {
    work.ready = true
    if (!this.#lineOf.has(work)) this.#free.push(work)
  }

  /** Whoever may be committed now, in order. Each is handed out once. */
  release(now: number): ReadonlyArray<Work> {
    const released = this.#free
    this.#free = []
    for (const [key, line] of this.#lines) this.#advance(key, line, now, released)
    return released
  }

  #advance(key: string, line: Line, now: number, released: Array<Work>): void {
    while (line.first < line.places.length) {
      const work = line.places[line.first]
      if (work !== undefined && this.#lineOf.get(work) === key) {
        const behind = line.places.length - line.first - 1
        const slow =
          behind > this.#limits.places || (behind > 0 && now - line.since > this.#limits.patienceMs)
        if (!work.ready && !slow) break
        this.#lineOf.delete(work)
        if (work.ready) released.push(work)
      }
      line.first++
      line.since = now
    }
    if (line.first === line.places.length) this.#lines.delete(key)
    else if (line.first > 1024) {
      line.places.splice(0, line.first)
      line.first = 0
    }
  }
}
