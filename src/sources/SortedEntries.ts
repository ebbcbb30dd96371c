/**
 * The entries of one directory in the order of a scan, however many there are, without a long pause: they are sorted in
 * runs as they arrive, and the runs are merged while the entries are taken.
 */
import type { DirectoryEntry } from "./FileTree.ts"

/** Whole paths come in bytewise order if a directory's name is compared with the slash that follows it. */
export const scanKey = (entry: DirectoryEntry): string =>
  entry.kind === "directory" ? `${entry.name}/` : entry.name

const runLength = 4096

interface Run {
  readonly entries: ReadonlyArray<DirectoryEntry>
  readonly keys: ReadonlyArray<string>
  at: number
  key: string
}

export class SortedEntries {
  private open: Array<DirectoryEntry> = []
  /** A heap: the run whose next entry comes first stands at the top. */
  private readonly heap: Array<Run> = []
  size = 0

  add(entries: Iterable<DirectoryEntry>): void {
    for (const entry of entries) {
      this.open.push(entry)
      this.size += 1
      if (this.open.length === runLength) this.close()
    }
  }

  /** Texts alone are sorted without a call of ours for each comparison. */
  private close(): void {
    const byKey = new Map(this.open.map((entry) => [scanKey(entry), entry]))
    this.open = []
    const keys = [...byKey.keys()].sort()
    const [key] = keys
    if (key === undefined) return
    const entries = keys.flatMap((one) => byKey.get(one) ?? [])
    this.heap.push({ entries, keys, at: 0, key })
    let child = this.heap.length - 1
    while (child > 0) {
      const parent = (child - 1) >> 1
      if (!this.swapped(parent, child)) return
      child = parent
    }
  }

  /** The next entry. Nothing may be added any more after the first call. */
  take(): DirectoryEntry | undefined {
    if (this.open.length > 0) this.close()
    const top = this.heap[0]
    const entry = top?.entries[top.at]
    if (top === undefined || entry === undefined) return undefined
    top.at += 1
    const next = top.keys[top.at]
    if (next !== undefined) top.key = next
    else {
      const last = this.heap.pop()
      if (last !== undefined && last !== top) this.heap[0] = last
    }
    if (this.heap.length > 1) this.sink()
    return entry
  }

  private sink(): void {
    let parent = 0
    while (true) {
      const left = 2 * parent + 1
      const right = left + 1
      const child = (this.heap[right]?.key ?? "\uffff") < (this.heap[left]?.key ?? "\uffff") ? right : left
      if (!this.swapped(parent, child)) return
      parent = child
    }
  }

  private swapped(parent: number, child: number): boolean {
    const above = this.heap[parent]
    const below = this.heap[child]
    if (above === undefined || below === undefined || above.key <= below.key) return false
    this.heap[parent] = below
    this.heap[child] = above
    return true
  }
}
