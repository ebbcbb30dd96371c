/**
 * A row of `fileStates` as it comes: one text with the document's id, the digest of its bytes, then, as a scan writes it of a
 * file that is settled (`settledLine`), whether it is, the digest of its descriptor and the stamp; the sync and the path. Of
 * most rows nothing is asked but whether a scan says the same.
 */
import { Digest, DocumentId } from "../../../events/Ids.ts"
import { ofBytes, ofLatin1, type RawPath } from "../../sources/RawPath.ts"
import { WrittenStamp } from "../../sources/WrittenStamp.ts"
import type { DocumentRow, RememberedFile } from "../ReadModels.ts"

// Ids and digests are of one length each.
const rawAt = 36
const settledAt = rawAt + 64
const descriptorAt = settledAt + 1
const stampAt = descriptorAt + 64

export const documentIdIn = (text: string): DocumentId =>
  DocumentId.make(text.slice(0, rawAt), { disableValidation: true })
export const isSettled = (text: string): boolean => text[settledAt] === "1"

export type FileStateColumns = readonly [text: string]

/** What it is asked for is cut out of its text. */
export class RememberedRow implements RememberedFile {
  readonly document: DocumentRow | undefined
  private readonly text: string

  constructor(text: string, documents: ReadonlyMap<string, DocumentRow>) {
    this.text = text
    this.document = documents.size === 0 || isSettled(text) ? undefined : documents.get(documentIdIn(text))
  }

  isSettledAs(line: string): boolean {
    return this.text.startsWith(line, settledAt)
  }
  /** Below a root no path begins with a slash: after one stand the bytes of a path that is not plain ASCII, in hexadecimal. */
  get path(): RawPath {
    const path = this.text.slice(this.syncEnd + 1)
    return path.startsWith("/") ? ofBytes(Buffer.from(path.slice(1), "hex")) : ofLatin1(path)
  }
  get documentId(): DocumentId {
    return documentIdIn(this.text)
  }
  get raw(): Digest {
    return Digest.make(this.text.slice(rawAt, settledAt), { disableValidation: true })
  }
  get descriptor(): Digest {
    return Digest.make(this.text.slice(descriptorAt, stampAt), { disableValidation: true })
  }
  get settled(): boolean {
    return isSettled(this.text)
  }
  get written(): string {
    return this.text.slice(stampAt, this.stampEnd)
  }
  get size(): number {
    return new WrittenStamp(this.written).size
  }
  get mtimeNs(): bigint {
    return new WrittenStamp(this.written).mtimeNs
  }
  get inode(): bigint {
    return new WrittenStamp(this.written).inode
  }
  get sync(): number {
    return Number(this.text.slice(this.stampEnd + 1, this.syncEnd))
  }

  private get stampEnd(): number {
    return this.text.indexOf("/", stampAt)
  }
  private get syncEnd(): number {
    return this.text.indexOf("/", this.stampEnd + 1)
  }
}
