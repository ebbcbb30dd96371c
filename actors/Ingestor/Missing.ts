/**
 * Documents that a scan did not meet, and which of them only stand elsewhere now.
 *
 * A file that is new is a move of a missing one with the same bytes: by inode if one has it, else the first in the order
 * of paths. What is left when all new files were looked at is gone.
 */
import type { Digest, DocumentId } from "../../events/Ids.ts"

export interface MissingDocument {
  readonly documentId: DocumentId
  /** `excluded`: it is there, but the rules leave it out now. */
  readonly why: "missing" | "excluded"
  /** Undefined where the sync's memory of the file was lost. */
  readonly inode: bigint | undefined
  /** Of the version that is found; undefined where none is, so that there is nothing to move. */
  readonly raw: Digest | undefined
}

export class Missing {
  private readonly documents = new Map<DocumentId, MissingDocument>()
  private readonly byRaw = new Map<Digest, Array<DocumentId>>()

  /** In the order of paths. */
  add(document: MissingDocument): void {
    this.documents.set(document.documentId, document)
    if (document.raw === undefined || document.why === "excluded") return
    const same = this.byRaw.get(document.raw)
    if (same === undefined) this.byRaw.set(document.raw, [document.documentId])
    else same.push(document.documentId)
  }

  get size(): number {
    return this.documents.size
  }

  /** The document whose place a new file with these bytes takes, if there is one. It is no longer missing. */
  take(raw: Digest, inode: bigint): MissingDocument | undefined {
    const same = this.byRaw.get(raw)
    if (same === undefined) return undefined
    const found = same.findIndex((id) => this.documents.get(id)?.inode === inode)
    const [taken] = same.splice(found < 0 ? 0 : found, 1)
    if (same.length === 0) this.byRaw.delete(raw)
    const document = taken === undefined ? undefined : this.documents.get(taken)
    if (document !== undefined) this.documents.delete(document.documentId)
    return document
  }

  /** What is left, in the order in which it came. */
  get rest(): Iterable<MissingDocument> {
    return this.documents.values()
  }
}
