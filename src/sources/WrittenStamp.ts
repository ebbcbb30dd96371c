/**
 * A stamp as one text. Of most files it is compared with the remembered one and never taken apart: numbers of 64 bits took
 * longer to make, on their way from the file system and from the log's tables, than all else of the comparison.
 *
 * Loads nothing: it is in the thread of files.
 */
import type { Stamp } from "./SourceReader.ts"

/** `<size>,<mtimeNs>,<inode>` */
export const writtenStamp = ({ inode, mtimeNs, size }: Stamp): string => `${size},${mtimeNs},${inode}`

/** Taken apart where somebody asks. */
export class WrittenStamp implements Stamp {
  readonly written: string
  constructor(written: string) {
    this.written = written
  }
  get size(): number {
    return Number(this.part(0))
  }
  get mtimeNs(): bigint {
    return BigInt(this.part(1))
  }
  get inode(): bigint {
    return BigInt(this.part(2))
  }
  private part(at: number): string {
    return this.written.split(",")[at] ?? ""
  }
}
