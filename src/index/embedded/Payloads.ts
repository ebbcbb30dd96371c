/**
 * The distinct filter payloads of a project: all chunks of a version share one, so a filter is decided once for each
 * payload and not for each point.
 */
import { type Filter, matches } from "../Filter.ts"
import type { Payload } from "../Index.ts"

/** Of a payload that is none: whether it passes cannot be told. Whoever sees such a point has to say so, and nobody else. */
export const unread = 2

export class Payloads {
  private readonly numbers = new Map<string, number>()
  private readonly parsed: Array<Payload | undefined> = []
  private lastText = ""
  private lastNumber = -1
  /** An estimate of what the payloads take, for the memory's bound. */
  bytes = 0

  /** Numbers count from 0. Neighbours tend to be of one version. */
  readonly numberOf = (text: string): number => {
    if (text === this.lastText && this.lastNumber >= 0) return this.lastNumber
    let number = this.numbers.get(text)
    if (number === undefined) {
      number = this.numbers.size
      this.numbers.set(text, number)
      this.bytes += 4 * text.length + 256
    }
    this.lastText = text
    this.lastNumber = number
    return number
  }

  /** 1 for each payload, by number, that passes; {@link unread} for one that cannot be read. */
  passing(filter: Filter): Uint8Array {
    const passing = new Uint8Array(this.numbers.size)
    for (const [text, number] of this.numbers) {
      const payload = this.parsed[number] ?? payloadIn(text)
      this.parsed[number] = payload
      passing[number] = payload === undefined ? unread : passes(filter, payload)
    }
    return passing
  }
}

const payloadIn = (text: string): Payload | undefined => {
  try {
    const payload: Payload | null = JSON.parse(text)
    const isOne = typeof payload === "object" && payload !== null && typeof payload.metadata === "object"
    return isOne ? payload : undefined
  } catch {
    return undefined
  }
}

const passes = (filter: Filter, payload: Payload): number => {
  try {
    return matches(filter, payload) ? 1 : 0
  } catch {
    return unread
  }
}
