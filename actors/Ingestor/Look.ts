/**
 * A look at a page of files: they are read, compared with their documents, and what follows is said.
 */
import { Clock, Effect, Either } from "effect"
import {
  type Digest,
  type DocumentId,
  documentId,
  type ProjectScope,
  type SourceId
} from "../../events/Ids.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type {
  DocumentRow,
  NamedDocument,
  ReadModelsService,
  RememberedFile
} from "../../src/log/ReadModels.ts"
import { sameStamp } from "../../src/sources/Difference.ts"
import { type RawPath, toBytes } from "../../src/sources/RawPath.ts"
import type { ItemBytes, OpenSource, Stamp } from "../../src/sources/SourceReader.ts"
import type { Acts, Submission } from "./Acts.ts"
import { isTakenOut, isThere, judge, trusted } from "./judge.ts"
import type { Tally } from "./Tally.ts"

/** What the comparison with the last pass leaves to do. */
export type Work =
  | {
      readonly _tag: "Look"
      readonly path: RawPath
      readonly stamp: Stamp
      /** What is remembered of it, and its document if that was read with it. */
      readonly state: RememberedFile | undefined
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
  readonly readModels: Pick<ReadModelsService, "named">
  readonly tally: Tally
  readonly acts: Pick<Acts<E>, "refresh">
}

export const idOf = (
  { scope, sourceId }: { readonly scope: ProjectScope; readonly sourceId: SourceId },
  path: RawPath
): DocumentId => documentId(scope, sourceId, toBytes(path))

/** Bytes that are held until they are stored. */
export const sizeOf = (source: OpenSource, work: Work): number =>
  work._tag === "Look" && work.stamp.size <= source.maxItemBytes ? work.stamp.size : 0

const settled: Step = { _tag: "Settled" }

/** What follows from each work, in their order. `readmits`: their paths were named by somebody who adds them. */
export const look = Effect.fnUntraced(function* <E>(
  input: LookInput<E>,
  works: ReadonlyArray<Work>,
  readmits: boolean
): Effect.fn.Return<ReadonlyArray<Step>, E | LogFailed> {
  const { source, tally } = input
  const steps: Array<Step> = []
  const toRead: Array<ToRead> = []
  const ids = works.map(({ path }) => idOf(input, path))
  const rows = yield* unread(input, works, ids)
  for (const [at, work] of works.entries()) {
    steps.push(work._tag === "Wait" ? work : settled)
    const id = ids[at]
    if (work._tag === "Wait" || id === undefined) continue
    const row = work.state?.document ?? rows.get(id)?.row
    if (isTakenOut(row) && !readmits) tally.count("skipped")
    else if (work.stamp.size > source.maxItemBytes) steps[at] = skip(input, { id, row })
    else toRead.push({ at, work, id, row })
  }
  if (toRead.length === 0) return steps
  const now = yield* Clock.currentTimeMillis
  const items = yield* source.read(toRead.map(({ work }) => work.path))
  for (const [index, file] of toRead.entries()) {
    const item = items[index]
    if (item === undefined) continue
    if (Either.isRight(item)) steps[file.at] = yield* compare(input, file, item.right, now, readmits)
    else if (item.left.code === "FileTooLarge") steps[file.at] = skip(input, file)
    // It was there for a moment only, as programs' temporary files are: as if the scan had come later.
    else if (item.left.code === "FileVanished" && file.row === undefined && file.work.state === undefined)
      continue
    // Given up on with a reason, and tried again by every sync: its document stays as it is.
    else tally.fail("parked", { uri: source.uri(file.work.path), reason: item.left.message })
  }
  return steps
})

/** The documents that did not come with what is remembered of their files: all of them in one question. */
const unread = <E>(
  { fresh, readModels }: LookInput<E>,
  works: ReadonlyArray<Work>,
  ids: ReadonlyArray<DocumentId>
): Effect.Effect<ReadonlyMap<DocumentId, NamedDocument>, LogFailed> => {
  const wanted = ids.filter((_, at) => {
    const work = works[at]
    return work?._tag === "Look" && work.state?.document === undefined
  })
  return fresh || wanted.length === 0 ? Effect.succeed(new Map()) : readModels.named(wanted)
}

interface ToRead {
  readonly at: number
  readonly work: Extract<Work, { readonly _tag: "Look" }>
  readonly id: DocumentId
  readonly row: DocumentRow | undefined
}

const skip = <E>({ tally }: LookInput<E>, { id, row }: Pick<ToRead, "id" | "row">): Step => {
  if (isThere(row)) return { _tag: "Retire", documentId: id }
  tally.count("skipped")
  return settled
}

const compare = <E>(
  input: LookInput<E>,
  { id, row, work }: ToRead,
  read: ItemBytes,
  now: number,
  readmits: boolean
): Effect.Effect<Step, E> => {
  const { acts, source, tally } = input
  const { path } = work
  const item = { ...read, stamp: trusted(read.stamp, now) }
  const content = { raw: item.raw, descriptor: source.descriptor(path) }
  const verdict = judge(row, content, readmits)
  if (verdict._tag === "Submit") {
    const submission: Submission = {
      path,
      documentId: id,
      uri: source.uri(path),
      item,
      movedFrom: undefined,
      becomes: row?.live === undefined ? "added" : "updated",
      readmit: readmits
    }
    return Effect.succeed({ _tag: "Submit", submission })
  }
  const step: Step =
    verdict._tag === "Wait" && row !== undefined
      ? { _tag: "Wait", path, document: row, version: verdict.version }
      : settled
  if (step._tag !== "Wait") tally.count(verdict._tag === "Unchanged" ? "unchanged" : "skipped")
  return remembers(work.state, item.stamp, content)
    ? Effect.succeed(step)
    : Effect.as(acts.refresh(id, path, item.stamp, content), step)
}

/** Nothing about it would be remembered otherwise. */
const remembers = (
  state: RememberedFile | undefined,
  stamp: Stamp,
  content: { readonly raw: Digest; readonly descriptor: Digest }
): boolean =>
  state !== undefined &&
  sameStamp(state, stamp) &&
  state.raw === content.raw &&
  state.descriptor === content.descriptor
