/**
 * The life of a mutation, from one durable step to the next: prepare, embed what is missing, commit; or, for a build,
 * complete under another pair. Each function adds to the turn what the step appends.
 */
import { Effect } from "effect"
import {
  DocumentBuilt,
  type DocumentChunked,
  DocumentCommitted,
  DocumentRejected,
  DocumentVersion,
  documentStream,
  type Reason
} from "../../events/Document.ts"
import type { Digest } from "../../events/Ids.ts"
import { JobParked, jobStream } from "../../events/Job.ts"
import { vectorsRoot } from "../../events/Vectors.ts"
import type { AppendRefused, LogFailed, NewEvent } from "../../src/log/Log.ts"
import type { Chunking, DocumentRow } from "../../src/log/ReadModels.ts"
import { pagesOf } from "./AtHand.ts"
import { type Desk, documentKey, unfinished } from "./Desk.ts"
import { chainOf, checkedByLog, documentEvent, type Known, leavingWith } from "./decide.ts"
import type { Job } from "./Jobs.ts"
import { manifestOutline } from "./Manifest.ts"
import type { Turn } from "./Turn.ts"
import { prepareJobOf, reusedVectors, type Work } from "./Work.ts"

const versionOf = (work: Work): DocumentVersion =>
  DocumentVersion.make(work.version, { disableValidation: true })

/** Opens the job of the work's next step: embed where it is chunked under its pair's chunker, prepare where not. */
export const openNextJob = (desk: Desk, work: Work, solo: boolean): Job =>
  desk.openJob(work, work.chunking === undefined ? "prepare" : "embed", { known: work.fresh && !solo, solo })

/** Starts over under the pair that is live now, or with content that turned out to be gone. */
export const startOver = (desk: Desk, turn: Turn, work: Work, chunking: Chunking | undefined): void => {
  desk.abandon(work, turn)
  work.pair = work.purpose === "commit" ? desk.pair : work.pair
  work.chunking = chunking
  work.inputs = undefined
  work.fresh = false
  openNextJob(desk, work, false)
  turn.goOn()
}

/** The digests of the vectors that exist, what this turn stores included. */
export const knownVectors = (
  desk: Desk,
  turn: Turn,
  { pair, scope }: Pick<Work, "scope" | "pair">,
  inputs: Iterable<Digest>
): Effect.Effect<ReadonlyMap<Digest, Digest>, LogFailed> => {
  const freshVectors = turn.freshVectors(scope, pair.model)
  const atHand = desk.atHand.vectors(scope, pair.model)
  const found = new Map<Digest, Digest>()
  const unknown = new Set<Digest>()
  for (const input of inputs) {
    const digest = freshVectors.get(input) ?? atHand?.get(input)
    if (digest !== undefined) found.set(input, digest)
    else if (atHand?.has(input) !== true) unknown.add(input)
  }
  if (unknown.size === 0) return Effect.succeed(found)
  return Effect.map(
    Effect.forEach(pagesOf(unknown), (page) => desk.ports.content.vectorDigests(scope, pair.model, page)),
    (pages) => {
      for (const stored of pages) for (const [input, digest] of stored) found.set(input, digest)
      return found
    }
  )
}

/**
 * Reads the manifest of a work that was chunked earlier and finds out what is missing. `false` where the content is
 * gone: then it is prepared again.
 */
export const loadInputs = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  work: Work
): Effect.fn.Return<boolean, LogFailed> {
  if (work.chunking === undefined) return false
  const { descriptor, manifestBlob, textBlob } = work.chunking
  const { content } = desk.ports
  const bytes = yield* content.blob(work.scope, manifestBlob)
  const outline = bytes === undefined ? undefined : manifestOutline(bytes)
  const stored = yield* content.hasBlobs(work.scope, [descriptor, textBlob])
  if (outline === undefined || !stored.has(descriptor) || !stored.has(textBlob)) return false
  work.inputs = outline.inputs
  const known = yield* knownVectors(desk, turn, work, outline.inputs)
  for (const [input, digest] of known) work.vectors.set(input, digest)
  desk.inputs.want(
    work,
    outline.inputs.filter((input) => !known.has(input))
  )
  return true
})

/** Everything that it needs is there: appends its end, after `chunked` where that was made in this very turn. */
export const complete = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  work: Work,
  chunked: DocumentChunked | undefined
): Effect.fn.Return<void, LogFailed> {
  const { chunking } = work
  const row = yield* desk.row(work.documentId)
  if (row === undefined || chunking === undefined || !isCurrent(desk, turn, work, row)) return
  const inputs = work.inputs ?? []
  // What was noted while it was waited for need not be read again; the append checks that all of it exists.
  const noted = inputs.every((input) => work.vectors.has(input))
  const vectors = noted ? work.vectors : yield* knownVectors(desk, turn, work, inputs)
  if (inputs.some((input) => !vectors.has(input))) return startOver(desk, turn, work, chunking)

  const known = yield* desk.known(work.documentId)
  const leaving = work.purpose === "commit" ? leavingWith(known.takes, work, [work.documentId]) : []
  const fields = {
    documentId: work.documentId,
    version: versionOf(work),
    ...chunking,
    model: work.pair.model,
    vectorsRoot: vectorsRoot(
      inputs.flatMap((inputHash) => {
        const vectorDigest = vectors.get(inputHash)
        return vectorDigest === undefined ? [] : [{ inputHash, vectorDigest }]
      })
    )
  }
  const end =
    work.purpose === "commit"
      ? DocumentCommitted.make(fields, checkedByLog)
      : DocumentBuilt.make(fields, checkedByLog)
  const events: ReadonlyArray<NewEvent> = [
    ...(chunked === undefined ? [] : [documentEvent(chunked)]),
    ...leaving,
    documentEvent(end)
  ]
  turn.touch(desk.keysOf(work.documentId))
  turn.plan(
    {
      append: {
        ...work.scope,
        cause: `${prepareJobOf(desk.epoch, work)}.${work.purpose}.${row.streamVersion}`,
        actor: "coordinator",
        correlationId: work.commandId,
        events,
        expected: expecting(events, chainOf(known)),
        requires: {
          blobs: [chunking.descriptor, chunking.textBlob, chunking.manifestBlob],
          vectors: { model: work.pair.model, inputs: [...new Set(inputs)] }
        }
      },
      appended: ({ firstPosition, lastPosition }) => {
        desk.follow(turn, events, work.scope, firstPosition)
        const embeddings = { computed: work.computed, reused: reusedVectors(work) }
        if (work.purpose === "commit") {
          desk.count({ committed: 1, vectorsReused: embeddings.reused })
          desk.builds.committed(work.documentId, work.pair)
        } else desk.builds.of(work.pair)?.active.delete(work.documentId)
        desk.end(work, turn, { outcome: "committed", position: lastPosition, embeddings })
      },
      refused: (refusal) => refusedContent(desk, turn, work, refusal)
    },
    ...(chunked === undefined ? [] : (["chunked"] as const)),
    work.purpose === "commit" ? "committed" : "built",
    ...(leaving.length === 0 ? [] : (["removed"] as const))
  )
})

/** The versions of the documents' streams that a decision rests on: of those that it appends to. */
export const expecting = (events: ReadonlyArray<NewEvent>, rests: ReadonlyArray<Known>) => {
  const streams = new Set(events.map(({ stream }) => stream))
  return rests.flatMap(({ id, row }) => {
    const stream = documentStream(id)
    return streams.has(stream) ? [{ stream, version: row?.streamVersion ?? 0 }] : []
  })
}

/** Whether the work may still end as it was begun; one that may not is dropped, or begun again (FOLD.md rule 13). */
const isCurrent = (desk: Desk, turn: Turn, work: Work, row: DocumentRow): boolean => {
  if (work.purpose === "build") {
    if (row.live?.version === work.version) return true
    dropBuild(desk, turn, work)
    return false
  }
  if (row.open?.version !== work.version) {
    desk.abandon(work, turn)
    return false
  }
  if (work.pair.chunker === desk.pair.chunker && work.pair.model === desk.pair.model) return true
  startOver(desk, turn, work, chunkingUnder(row, desk.pair.chunker))
  return false
}

export const chunkingUnder = (row: DocumentRow, chunker: string): Chunking | undefined =>
  row.open?.chunkings.findLast((one) => one.chunker === chunker)

/** The version is not live any more, or its pair is not wanted: nothing is appended for it. */
export const dropBuild = (desk: Desk, turn: Turn, work: Work): void => {
  const build = desk.builds.of(work.pair)
  if (build?.active.get(work.documentId) === work) build.active.delete(work.documentId)
  desk.abandon(work, turn)
  turn.goOn()
}

/** Content that the event would have named is gone: it is made again. Anything else is a bug, and crashes. */
export const refusedContent = (desk: Desk, turn: Turn, work: Work, refusal: AppendRefused): void => {
  if (refusal._tag !== "ContentMissing") throw refusal
  const { chunking } = work
  const gone = new Set<string>(refusal.missing)
  const blobs = chunking === undefined ? [] : [chunking.descriptor, chunking.textBlob, chunking.manifestBlob]
  startOver(desk, turn, work, blobs.some((blob) => gone.has(blob)) ? undefined : chunking)
}

/** Gives up: the version is rejected, its job waits for a person or for other code. A former version stays live. */
export const park = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  job: Job,
  reason: Reason
): Effect.fn.Return<void, LogFailed> {
  const { work } = job
  const row = yield* desk.row(work.documentId)
  if (row === undefined || !isCurrent(desk, turn, work, row)) return
  const parked: NewEvent = {
    stream: jobStream(job.id),
    event: JobParked.make({
      jobId: job.id,
      lane: job.lane,
      documentId: work.documentId,
      version: work.version,
      code: job.code,
      attempts: job.attempt,
      reason
    })
  }
  const rejected =
    work.purpose === "commit"
      ? [
          documentEvent(
            DocumentRejected.make({ documentId: work.documentId, version: versionOf(work), reason })
          )
        ]
      : []
  const events = [...rejected, parked]
  turn.touch([documentKey(work.documentId)])
  turn.plan(
    {
      append: {
        ...work.scope,
        cause: `${job.id}.${job.attempt}.parked`,
        actor: "coordinator",
        correlationId: work.commandId,
        events,
        // Of the document's stream only where it is appended to: a build may be given up in the very turn in which a version is.
        ...(rejected.length > 0 && {
          expected: [{ stream: documentStream(row.documentId), version: row.streamVersion }]
        })
      },
      appended: ({ firstPosition, lastPosition }) => {
        desk.follow(turn, events, work.scope, firstPosition)
        if (work.purpose === "build") {
          const build = desk.builds.of(work.pair)
          build?.active.delete(work.documentId)
          build?.parked.add(work.documentId)
        }
        desk.count({ parked: 1 })
        desk.end(work, turn, { ...unfinished(work), outcome: "parked", position: lastPosition, reason })
      },
      refused: (refusal) => {
        throw refusal
      }
    },
    "job.park",
    ...(rejected.length === 0 ? [] : (["rejected"] as const))
  )
})
