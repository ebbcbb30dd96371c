/**
 * A look at one file: it is read, compared with its document, and what follows is said.
 */
import { Clock, Effect } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import {
  type Digest,
  type DocumentId,
  documentId,
  type ProjectScope,
  type SourceId,
  sha256
} from "../../events/Ids.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { DocumentRow, FileState, ReadModelsService } from "../../src/log/ReadModels.ts"
import { sameStamp } from "../../src/sources/Difference.ts"
import { type RawPath, toBytes } from "../../src/sources/RawPath.ts"
import type { OpenSource, Stamp } from "../../src/sources/SourceReader.ts"
import type { Acts, Submission } from "./Acts.ts"
import { isTakenOut, isThere, judge, trusted } from "./judge.ts"
import type { Tally } from "./Tally.ts"

/** What the comparison with the last pass leaves to do. */
export type Work =
  | {
      readonly _tag: "Look"
      readonly path: RawPath
      readonly stamp: Stamp
      /** What is remembered of it, and its document if it was read with that. */
      readonly state: FileState | undefined
      readonly document: DocumentRow | undefined
    }
  | {
      readonly _tag: "Wait"
      readonly path: RawPath
      readonly document: DocumentRow
      readonly version: number
    }

export type Step =
  | { readonly _tag: "Settled" }
  | Extract<Work, { readonly _tag: "Wait" }>
  | { readonly _tag: "Retire"; readonly documentId: DocumentId }
  | { readonly _tag: "Submit"; readonly submission: Submission }

export interface LookInput<E> {
  readonly scope: ProjectScope
  readonly sourceId: SourceId
  readonly source: OpenSource
  /** Nothing is known of the source's documents: it is the first pass. */
  readonly fresh: boolean
  readonly readModels: Pick<ReadModelsService, "document">
  readonly tally: Tally
  readonly acts: Pick<Acts<E>, "refresh">
}

export const idOf = (
  { scope, sourceId }: { readonly scope: ProjectScope; readonly sourceId: SourceId },
  path: RawPath
): DocumentId => documentId(scope, sourceId, toBytes(path))

export const descriptorOf = (source: OpenSource, path: RawPath): Digest =>
  sha256(canonicalJson({ ...source.describe(path) }))

/** Bytes that are held until they are stored. */
export const sizeOf = (source: OpenSource, work: Work): number =>
  work._tag === "Look" && work.stamp.size <= source.maxItemBytes ? work.stamp.size : 0

const settled: Step = { _tag: "Settled" }

/** `readmits`: its path was named by somebody who adds it. */
export const look = Effect.fnUntraced(function* <E>(
  input: LookInput<E>,
  work: Work,
  readmits: boolean
): Effect.fn.Return<Step, E | LogFailed> {
  if (work._tag === "Wait") return work
  const { acts, fresh, readModels, source, tally } = input
  const { path, stamp } = work
  const id = idOf(input, path)
  const row = work.document ?? (fresh ? undefined : yield* readModels.document(id))
  if (isTakenOut(row) && !readmits) {
    tally.count("skipped")
    return settled
  }
  const skip = (): Step => {
    if (isThere(row)) return { _tag: "Retire", documentId: id }
    tally.count("skipped")
    return settled
  }
  if (stamp.size > source.maxItemBytes) return skip()
  const now = yield* Clock.currentTimeMillis
  const read = yield* Effect.either(source.read(path))
  if (read._tag === "Left") {
    if (read.left.code === "FileTooLarge") return skip()
    // Given up on with a reason, and tried again by every sync: its document stays as it is.
    tally.fail("parked", { uri: source.uri(path), reason: read.left.message })
    return settled
  }
  const item = { ...read.right, stamp: trusted(read.right.stamp, now) }
  const content = { raw: sha256(item.bytes), descriptor: descriptorOf(source, path) }
  const verdict = judge(row, content, readmits)
  if (verdict._tag !== "Submit") {
    if (!remembers(work.state, item.stamp, content)) yield* acts.refresh(id, path, item.stamp, content)
    if (verdict._tag === "Wait" && row !== undefined) {
      return { _tag: "Wait", path, document: row, version: verdict.version }
    }
    tally.count(verdict._tag === "Unchanged" ? "unchanged" : "skipped")
    return settled
  }
  const submission: Submission = {
    path,
    documentId: id,
    uri: source.uri(path),
    item,
    raw: content.raw,
    movedFrom: undefined,
    becomes: row?.live === undefined ? "added" : "updated",
    readmit: readmits
  }
  return { _tag: "Submit", submission }
})

/** Nothing about it would be remembered otherwise. */
const remembers = (
  state: FileState | undefined,
  stamp: Stamp,
  content: { readonly raw: Digest; readonly descriptor: Digest }
): boolean =>
  state !== undefined &&
  sameStamp(state, stamp) &&
  state.raw === content.raw &&
  state.descriptor === content.descriptor
