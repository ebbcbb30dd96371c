/**
 * What searches in one thread share: the dense scan, room for scores, and a bound on the codes and payloads that stay
 * in memory. What finds no room is read from the files for each query.
 */
import { DenseScan } from "./DenseScan.ts"
import { maxMembers } from "./Postings.ts"

/** Holds memory that it can let go of at any time between two searches. */
export interface Holder {
  readonly release: () => void
}

/**
 * Sums by member of a segment, as a sparse set (Briggs and Torczon): `place` says where a member's sum stands, `places`
 * whether that is true, so that nothing has to be cleared between segments.
 */
export class Accumulator {
  readonly sums = new Float64Array(maxMembers)
  readonly place = new Uint16Array(maxMembers)
  readonly places = new Uint16Array(maxMembers)
}

export class SearchMemory {
  private readonly limit: number
  private used = 0
  /** In the order of their last search. */
  private readonly holders = new Map<Holder, number>()
  private denseScan: DenseScan | undefined
  private sums: Accumulator | undefined
  private room = new Float64Array(0)

  constructor(memoryMiB: number) {
    this.limit = memoryMiB * 2 ** 20
  }

  get scan(): DenseScan {
    this.denseScan ??= new DenseScan()
    return this.denseScan
  }

  get accumulator(): Accumulator {
    this.sums ??= new Accumulator()
    return this.sums
  }

  /** Room for at least this many scores. Whoever asks next gets the same. */
  scores(count: number): Float64Array {
    if (this.room.length < count) this.room = new Float64Array(Math.ceil(count * 1.25))
    return this.room
  }

  /** Before each search: who has not searched for longest loses its memory first. */
  touch(holder: Holder): void {
    const held = this.holders.get(holder) ?? 0
    this.holders.delete(holder)
    this.holders.set(holder, held)
  }

  /** Whether the holder may keep so many bytes more. It never loses what it holds by asking for more. */
  reserve(holder: Holder, bytes: number): boolean {
    for (const other of this.holders.keys()) {
      if (this.used + bytes <= this.limit) break
      if (other !== holder && (this.holders.get(other) ?? 0) > 0) other.release()
    }
    if (this.used + bytes > this.limit) return false
    this.used += bytes
    this.holders.set(holder, (this.holders.get(holder) ?? 0) + bytes)
    return true
  }

  give(holder: Holder, bytes: number): void {
    this.used -= bytes
    this.holders.set(holder, (this.holders.get(holder) ?? 0) - bytes)
  }

  /** The holder is gone, and everything that it held. */
  forget(holder: Holder): void {
    this.used -= this.holders.get(holder) ?? 0
    this.holders.delete(holder)
  }
}
