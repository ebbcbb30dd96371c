/**
 * Texts of documents that were found lately, opened: who asks about a subject is shown the same documents again, and unpacking
 * and checking a body takes longer than finding it. Kept by the digests of what they were opened from, so that what is kept is
 * what stands in the log; whether a document may be seen is not decided here.
 */
import {
  type ContentsMissing,
  type ContentsNamed,
  type OpenedText,
  openText
} from "../index/VersionPoints.ts"
import type { LogSnapshot } from "../log/LogSnapshot.ts"

/** Bytes of memory, estimated. */
export const mostKept = 32 * 2 ** 20

export class KeptTexts {
  readonly #most: number
  /** In the order of their last use. */
  readonly #kept = new Map<string, OpenedText>()
  #bytes = 0

  constructor(most = mostKept) {
    this.#most = most
  }

  /** A project's own: another one that holds the same bytes opens them by itself. */
  open(
    snapshot: Pick<LogSnapshot, "blob">,
    scope: { readonly team: string; readonly project: string },
    named: Omit<ContentsNamed, "vectorsRoot">
  ): OpenedText | ContentsMissing {
    const { team, project } = scope
    const key = [team, project, named.descriptor, named.manifestBlob, named.textBlob].join(" ")
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.#kept.delete(key)
      this.#kept.set(key, kept)
      return kept
    }
    const opened = openText(snapshot, scope, named)
    if (opened._tag === "OpenedText") this.#keep(key, opened)
    return opened
  }

  #keep(key: string, opened: OpenedText): void {
    const bytes = sizeOf(opened)
    if (bytes > this.#most) return
    this.#kept.set(key, opened)
    this.#bytes += bytes
    for (const [oldest, text] of this.#kept) {
      if (this.#bytes <= this.#most) break
      this.#kept.delete(oldest)
      this.#bytes -= sizeOf(text)
    }
  }
}

/** Two bytes for a character, and an entry's objects. */
const sizeOf = ({ bytes, entries }: OpenedText): number => 2 * bytes + 512 * (1 + entries.length)
