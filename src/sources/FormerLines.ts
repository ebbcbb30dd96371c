/**
 * The lines that a scan wrote of its files, for the next scan of the same root: most files are as they were, and to write
 * a line again, with its digest, took a quarter of a scan. Both come in the order of the paths, so that they are merged. Nothing
 * but a shortcut, and bounded.
 */
import type { RawPath } from "./RawPath.ts"
import type { Stamp } from "./SourceReader.ts"

/** Files of which lines are kept, of all roots together: a third of a kilobyte each. */
const mostFiles = 16_384

interface Written {
  readonly path: RawPath
  readonly stamp: Stamp
  readonly line: string
}

/** The lines of one scan. */
export class ScanLines {
  readonly written: Array<Written> = []
  private readonly former: ReadonlyArray<Written>
  private at = 0

  constructor(former: ReadonlyArray<Written>) {
    this.former = former
  }

  /** Its line: as the scan before wrote it, where the file is the same. Paths are asked for in their order. */
  of(path: RawPath, stamp: Stamp, write: () => string): string {
    let known = this.former[this.at]
    while (known !== undefined && known.path < path) {
      this.at += 1
      known = this.former[this.at]
    }
    const one = known?.path === path && isSame(known.stamp, stamp) ? known : { path, stamp, line: write() }
    if (this.written.length < mostFiles) this.written.push(one)
    return one.line
  }
}

const isSame = (one: Stamp, other: Stamp): boolean =>
  one.size === other.size && one.mtimeNs === other.mtimeNs && one.inode === other.inode

/** Those of the last scan of each root. */
export class FormerLines {
  private readonly roots = new Map<RawPath, ReadonlyArray<Written>>()
  private files = 0

  begin(root: RawPath): ScanLines {
    return new ScanLines(this.roots.get(root) ?? [])
  }

  /** What was kept longest goes first. */
  keep(root: RawPath, { written }: ScanLines): void {
    this.forget(root)
    this.roots.set(root, written)
    this.files += written.length
    for (const oldest of this.roots.keys()) {
      if (this.files <= mostFiles) break
      this.forget(oldest)
    }
  }

  private forget(root: RawPath): void {
    this.files -= this.roots.get(root)?.length ?? 0
    this.roots.delete(root)
  }
}
