/**
 * What a scan says of a file, as one text. Of most files it is compared with what is remembered and never taken apart: numbers
 * of 64 bits took longer to make, on their way from the file system and from the log's tables, than all else of the comparison.
 *
 * Loads nothing: it is in the thread of files.
 */
import type { RawPath } from "./RawPath.ts"
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

const descriptorEnd = 1 + 64

/**
 * `1<descriptor><stamp>/`: as the row of a remembered file has it where its document is just as that file said. The digest is
 * that of the path, too, so that two lines which are equal speak of one file.
 */
export const settledLine = (descriptor: string, stamp: Stamp): string =>
  `1${descriptor}${writtenStamp(stamp)}/`

/** A file as a scan brings it, taken apart where somebody asks. */
export class ScannedFile {
  readonly _tag = "Item"
  readonly path: RawPath
  readonly line: string
  constructor(path: RawPath, line: string) {
    this.path = path
    this.line = line
  }
  get descriptor(): string {
    return this.line.slice(1, descriptorEnd)
  }
  get stamp(): Stamp {
    return new WrittenStamp(this.line.slice(descriptorEnd, -1))
  }
}
