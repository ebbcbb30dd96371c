/**
 * Models whose provider is away, or refuses whatever it is asked, and models and chunkers whose workers could not read
 * stored content: no document is to blame. Their jobs wait in the queue and lose no attempt; after a pause that grows, one
 * job at a time finds out whether it is over.
 */
import type { CodeFingerprint } from "../../events/Ids.ts"

/** What a provider said that could not be asked. Credentials and settings are mended by people: `refused`. */
export interface Outage {
  /** Absent where stored content could not be read. */
  readonly provider?: string
  readonly message: string
  readonly refused: boolean
}

interface Noticed {
  readonly outage: Outage
  readonly times: number
  readonly until: number
}

/** Milliseconds. */
export interface OutageLimits {
  readonly firstPause: number
  readonly longestPause: number
}

export class Outages {
  readonly #limits: OutageLimits
  readonly #noticed = new Map<CodeFingerprint, Noticed>()

  constructor(limits: OutageLimits) {
    this.#limits = limits
  }

  /** Batches that failed together are one outage: what comes within the pause does not lengthen it. */
  notice(code: CodeFingerprint, outage: Outage, now: number): void {
    const before = this.#noticed.get(code)
    if (before !== undefined && now < before.until) return
    const times = (before?.times ?? 0) + 1
    const { firstPause, longestPause } = this.#limits
    const until = now + Math.min(firstPause * 2 ** (times - 1), longestPause)
    this.#noticed.set(code, { outage, times, until })
  }

  /** It answers again. */
  over(code: CodeFingerprint): void {
    this.#noticed.delete(code)
  }

  /** Whether a job may begin now. `asking`: whether one of the code's is being worked on. */
  allows(code: CodeFingerprint, now: number, asking: () => boolean): boolean {
    const noticed = this.#noticed.get(code)
    return noticed === undefined || (noticed.until <= now && !asking())
  }

  /** Of code that nothing waits for any more, nobody needs to know. */
  keepOnly(isNeeded: (code: CodeFingerprint) => boolean): void {
    for (const code of this.#noticed.keys()) if (!isNeeded(code)) this.#noticed.delete(code)
  }

  /** The one that has lasted longest. */
  get current(): Outage | undefined {
    for (const { outage } of this.#noticed.values()) return outage
    return undefined
  }
}
