/**
 * A row of `fileStates` as it comes: one text with the document's id, the digests of bytes and descriptor, whether it is
 * settled, the stamp, the sync and the path. Of most rows nothing but path, stamp and descriptor is looked at.
 */
import { Digest, DocumentId } from "../../../events/Ids.ts"
import { ofBytes, ofLatin1, type RawPath } from "../../sources/RawPath.ts"
import { WrittenStamp } from "../../sources/WrittenStamp.ts"
import type { DocumentRow, RememberedFile } from "../ReadModels.ts"

// Ids and digests are of one length each.
const rawAt = 36
const descriptorAt = rawAt + 64
const settledAt = descriptorAt + 64
const stampAt = settledAt + 1

export const documentIdIn = (text: string): DocumentId =>
  DocumentId.make(text.slice(0, rawAt), { disableValidation: true })
export const isSettled = (text: string): boolean => text[settledAt] === "1"

/** `path` where it is not plain ASCII: else it stands in the text. */
export type FileStateColumns = readonly [text: string, path: Uint8Array | null]

/** What it is asked for is cut out of its text. */
export class RememberedRow implements RememberedFile {
  readonly path: RawPath
  readonly document: DocumentRow | undefined
  private readonly text: string
  private readonly stampEnd: number
  private readonly syncEnd: number

  constructor([text, path]: FileStateColumns, documents: ReadonlyMap<string, DocumentRow>) {
    this.text = text
    this.stampEnd = text.indexOf("/", stampAt)
    this.syncEnd = text.indexOf("/", this.stampEnd + 1)
    this.path = path === null ? ofLatin1(text.slice(this.syncEnd + 1)) : ofBytes(path)
    this.document = isSettled(text) ? undefined : documents.get(documentIdIn(text))
  }

  get documentId(): DocumentId {
    return documentIdIn(this.text)
  }
  get raw(): Digest {
    return Digest.make(this.text.slice(rawAt, descriptorAt), { disableValidation: true })
  }
  get descriptor(): Digest {
    return Digest.make(this.text.slice(descriptorAt, settledAt), { disableValidation: true })
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
}
