/**
 * What searches in one thread share: the dense scan, room for scores, and a bound on the codes and payloads that stay
 * in memory. What finds no room is read from the files for each query. What codes leave free is kept for other codes.
 */
import { DenseScan } from "./DenseScan.ts"

/** Holds memory that it can let go of at any time between two searches. */
export interface Holder {
  readonly release: () => void
}

/** What a search over so many members computes in: whoever searches next gets the same. */
export class Room {
  /** Upper bounds of the dense scores. */
  readonly bounds: Float64Array
  /** Sparse scores. */
  readonly sums: Float64Array
  /** Those that share a token with the query. */
  readonly sharing: Uint32Array
  readonly count: number

  constructor(count: number) {
    this.bounds = new Float64Array(count)
    this.sums = new Float64Array(count)
    this.sharing = new Uint32Array(count)
    this.count = count
  }
}

export class SearchMemory {
  private readonly limit: number
  private readonly scansTogether: boolean
  private used = 0
  /** In the order of their last search. */
  private readonly holders = new Map<Holder, number>()
  private denseScan: DenseScan | undefined
  private held = new Room(0)

  /** `scansTogether`: a second thread may scan beside the one that searches. */
  constructor(memoryMiB: number, scansTogether = false) {
    this.limit = memoryMiB * 2 ** 20
    this.scansTogether = scansTogether
  }

  get scan(): DenseScan {
    this.denseScan ??= new DenseScan(this.scansTogether)
    return this.denseScan
  }

  /** For at least this many members. */
  room(count: number): Room {
    if (this.held.count < count) this.held = new Room(Math.ceil(count * 1.25))
    return this.held
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
    if (this.holders.size === 0) this.denseScan?.rest()
  }
}
