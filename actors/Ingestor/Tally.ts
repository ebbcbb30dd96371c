/** Counts of one pass over a source, each item exactly once, and what went wrong. */
import { type Failure, maxFailures, noCounts, type Receipt, requestedOf } from "../../events/Receipt.ts"
import type { SyncCounts } from "../../events/Source.ts"

type CountName = keyof SyncCounts

export class Tally {
  private readonly counted: { -readonly [Name in CountName]: number } = { ...noCounts }
  private readonly failures: Array<Failure> = []
  private computed = 0
  private reused = 0

  get counts(): SyncCounts {
    return { ...this.counted }
  }

  /** Every item is as the last pass left it. */
  get isWithoutNews(): boolean {
    const { skipped, unchanged, ...others } = this.counted
    return Object.values(others).every((count) => count === 0)
  }

  count(name: CountName, times = 1): void {
    this.counted[name] += times
  }

  /** Counts it as `failed` or `parked`, and says why. */
  fail(name: "failed" | "parked", failure: Failure): void {
    this.count(name)
    if (this.failures.length < maxFailures) this.failures.push(failure)
  }

  embedded({ computed, reused }: { readonly computed: number; readonly reused: number }): void {
    this.computed += computed
    this.reused += reused
  }

  receipt(position: number, elapsedMs: number): Receipt {
    return {
      requested: requestedOf(this.counted),
      ...this.counted,
      position,
      embeddings: { computed: this.computed, reused: this.reused },
      elapsedMs,
      failures: [...this.failures]
    }
  }
}
