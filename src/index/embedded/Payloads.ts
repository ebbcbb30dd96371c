/**
 * The distinct filter payloads of a project: all chunks of a version share one, so a filter is decided once for each
 * payload and not for each point.
 */
import { type Filter, matches } from "../Filter.ts"
import type { Payload } from "../Index.ts"
import { damaged } from "./Database.ts"

export class Payloads {
  private readonly path: string
  private readonly numbers = new Map<string, number>()
  private readonly parsed: Array<Payload | undefined> = []
  private lastText = ""
  private lastNumber = -1
  /** An estimate of what the payloads take, for the memory's bound. */
  bytes = 0

  constructor(path: string) {
    this.path = path
  }

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

  /** 1 for each payload, by number, that passes. */
  passing(filter: Filter): Uint8Array {
    const passing = new Uint8Array(this.numbers.size)
    for (const [text, number] of this.numbers) {
      const payload = this.parsed[number] ?? this.parse(text)
      this.parsed[number] = payload
      if (this.passes(filter, payload)) passing[number] = 1
    }
    return passing
  }

  private parse(text: string): Payload {
    try {
      const payload: Payload | null = JSON.parse(text)
      if (typeof payload === "object" && payload !== null && typeof payload.metadata === "object")
        return payload
    } catch {
      // Said below.
    }
    throw damaged(this.path, "A point's filter payload is not what it should be.")
  }

  private passes(filter: Filter, payload: Payload): boolean {
    try {
      return matches(filter, payload)
    } catch {
      throw damaged(this.path, "A point's filter payload is not what it should be.")
    }
  }
}
