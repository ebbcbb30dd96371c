/**
 * What workers hand back. A result counts if its job is open, whoever made it and whichever attempt it was: the first
 * one wins, everything later is acknowledged and dropped.
 */
import { Duration, Effect, Random } from "effect"
import { wellFormed } from "../../events/Canonical.ts"
import { DocumentChunked, DocumentVersion, documentStream, type Reason } from "../../events/Document.ts"
import { type Digest, sha256 } from "../../events/Ids.ts"
import { VectorsRecorded, vectorsStream } from "../../events/Vectors.ts"
import type { WorkResult } from "../../src/bus/Bus.ts"
import { probeKey } from "../../src/embedding/Probe.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import {
  complete,
  expecting,
  knownVectors,
  loadInputs,
  openNextJob,
  park,
  refusedContent,
  startOver
} from "./advance.ts"
import { type Desk, documentKey, unfinished } from "./Desk.ts"
import { chainOf, checkedByLog, documentEvent, skipping } from "./decide.ts"
import { readAttempts } from "./dispatch.ts"
import type { Job } from "./Jobs.ts"
import { jobsOf, mostCrashes } from "./Suspects.ts"
import { decidedAtOnce, type Turn } from "./Turn.ts"
import type { Work } from "./Work.ts"

export type Result<Tag extends WorkResult["_tag"]> = Extract<WorkResult, { readonly _tag: Tag }>

/** The keys that a result's decision touches. */
export const resultKeys = (desk: Desk, result: WorkResult): ReadonlyArray<string> => {
  if (result._tag === "Vectors") return []
  const job = desk.jobs.get(result.jobId)
  if (job === undefined) return []
  const { documentId } = job.work
  return result._tag === "Skipped" ? desk.keysOf(documentId) : [documentKey(documentId)]
}

/** Works that were prepared in this turn: their chunking is appended with their commit, or on its own. */
export type Prepared = Map<Work, DocumentChunked>

export const takeResult = (
  desk: Desk,
  turn: Turn,
  prepared: Prepared,
  result: WorkResult
): Effect.Effect<void, LogFailed> => {
  if (result._tag === "Vectors") return takeVectors(desk, turn, result)
  const job = desk.jobs.get(result.jobId)
  if (job === undefined) return Effect.void
  // Whatever was made of it, its content could be read.
  if (job.lane === "prepare" && result._tag !== "Postponed" && result._tag !== "GivenBack")
    desk.outages.over(job.code)
  switch (result._tag) {
    case "Prepared":
      return job.lane === "prepare" ? takePrepared(desk, turn, prepared, job, result) : Effect.void
    case "Skipped":
      return job.lane === "prepare" ? takeSkipped(desk, turn, job, result) : Effect.void
    case "Failed":
      if (job.state !== "running" || job.attempt !== result.attempt) return Effect.void
      return failAttempt(desk, turn, job, {
        code: result.code,
        message: result.message,
        retryable: result.retryable
      })
    case "Postponed":
      if (job.state === "running" && job.attempt === result.attempt) postpone(desk, turn, job, result)
      return Effect.void
    case "GivenBack":
      // Not where somebody else claimed it meanwhile.
      if (job.state === "running" && job.attempt === result.attempt && job.worker === result.worker)
        handOutAgain(desk, turn, job, "Its worker was told to stop.")
      return Effect.void
  }
}

/** The Coordinator crashes whenever it takes this in: its jobs are given up, each with its document. */
export const giveUpResult = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  result: WorkResult
): Effect.fn.Return<void, LogFailed> {
  for (const job of openJobsOf(desk, result)) {
    if (!job.known && job.attempt === 0) yield* readAttempts(desk, job)
    yield* failAttempt(desk, turn, job, {
      code: "crashed",
      message: `The Coordinator crashed ${mostCrashes} times while it took in what was made of it and nothing else: its log says why.`,
      retryable: false
    })
  }
})

/** The keys that giving a result up touches. */
export const givenUpKeys = (desk: Desk, result: WorkResult): ReadonlyArray<string> =>
  openJobsOf(desk, result).map(({ work }) => documentKey(work.documentId))

const openJobsOf = (desk: Desk, result: WorkResult): ReadonlyArray<Job> =>
  jobsOf(result).flatMap((id) => desk.jobs.get(id) ?? [])

/** The attempt counts for nothing, and the job waits for its turn. */
const handOutAgain = (desk: Desk, turn: Turn, job: Job, why: string): void => {
  desk.attemptEnded(job, turn, "paced", why)
  desk.lines.leave(job.work)
  desk.wake(desk.inputs.takeBack(job.work))
  desk.jobs.requeue(job)
}

/** What it needs is away: the job waits with all others of its model or chunker. */
const postpone = (desk: Desk, turn: Turn, job: Job, outage: Result<"Postponed">): void => {
  handOutAgain(desk, turn, job, outage.message)
  desk.outages.notice(job.code, outage, turn.now)
}

const takePrepared = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  prepared: Prepared,
  job: Job,
  result: Result<"Prepared">
): Effect.fn.Return<void, LogFailed> {
  const { work } = job
  const outline = desk.atHand.outline(result.manifest)
  if (outline === undefined) {
    return yield* failAttempt(desk, turn, job, {
      code: "malformed-result",
      message: `${result.worker} answered with something that is no manifest.`,
      retryable: true
    })
  }
  desk.attemptEnded(job, turn, "completed")
  // Made by another chunker than what the work is to be completed under now: prepared again.
  if (outline.chunker !== work.pair.chunker) return startOver(desk, turn, work, undefined)
  if (outline.inputs.length === 0) {
    const detail = "Nothing but space is left of it once it is parsed."
    return yield* takeSkipped(desk, turn, job, { reason: "empty", detail })
  }
  desk.jobs.remove(job)
  const chunking = {
    chunker: outline.chunker,
    descriptor: turn.blob(work.scope, result.descriptor),
    textBlob: turn.blob(work.scope, result.text),
    manifestBlob: turn.blob(work.scope, result.manifest),
    count: outline.inputs.length
  }
  work.chunking = chunking
  work.inputs = outline.inputs
  prepared.set(
    work,
    DocumentChunked.make(
      {
        documentId: work.documentId,
        version: DocumentVersion.make(work.version, { disableValidation: true }),
        ...chunking
      },
      checkedByLog
    )
  )
  const known = yield* knownVectors(desk, turn, work, outline.inputs)
  for (const [input, digest] of known) work.vectors.set(input, digest)
  const missing = outline.inputs.filter((input) => !known.has(input))
  if (missing.length === 0) desk.lines.ready(work)
  else {
    desk.inputs.want(work, missing)
    openNextJob(desk, work, false)
  }
  if (work.purpose === "commit") desk.count({ prepared: 1 })
})

/** The chunking alone: vectors are missing, or others are to be committed first. */
export const appendChunked = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  work: Work,
  chunked: DocumentChunked
): Effect.fn.Return<void, LogFailed> {
  const row = yield* desk.row(work.documentId)
  if (row === undefined) return
  const events = [documentEvent(chunked)]
  turn.touch([documentKey(work.documentId)])
  turn.plan(
    {
      append: {
        ...work.scope,
        cause: `${work.documentId}.${work.version}.chunked.${row.streamVersion}`,
        actor: "coordinator",
        correlationId: work.commandId,
        events,
        expected: [{ stream: documentStream(row.documentId), version: row.streamVersion }],
        requires: { blobs: [chunked.descriptor, chunked.textBlob, chunked.manifestBlob] }
      },
      appended: ({ firstPosition }) => desk.follow(turn, events, work.scope, firstPosition),
      refused: (refusal) => refusedContent(desk, turn, work, refusal)
    },
    "chunked"
  )
})

/** Newest content that is empty, binary or too large retires the version before it. */
const takeSkipped = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  job: Job,
  result: Pick<Result<"Skipped">, "reason" | "detail">
): Effect.fn.Return<void, LogFailed> {
  const { work } = job
  const reason: Reason = { code: result.reason, message: result.detail }
  if (work.purpose === "build") return yield* park(desk, turn, job, reason)
  const row = yield* desk.row(work.documentId)
  if (row?.open?.version !== work.version) return
  desk.attemptEnded(job, turn, "completed")
  const known = yield* desk.known(work.documentId)
  const events = skipping(known, work)
  turn.touch(desk.keysOf(work.documentId))
  turn.plan(
    {
      append: {
        ...work.scope,
        cause: `${job.id}.${job.attempt}.skipped`,
        actor: "coordinator",
        correlationId: work.commandId,
        events,
        expected: expecting(events, chainOf(known))
      },
      appended: ({ firstPosition, lastPosition }) => {
        desk.follow(turn, events, work.scope, firstPosition)
        desk.builds.removed(work.documentId)
        desk.end(work, turn, { ...unfinished(work), outcome: "skipped", position: lastPosition, reason })
      },
      refused: (refusal) => {
        throw refusal
      }
    },
    "removed"
  )
})

/** Of what a worker says of a failure, in UTF-16 code units. */
const longestReason = 2000

/** Tries again later, or parks: what cannot help is not repeated, and patience is bounded. */
export const failAttempt = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  job: Job,
  failure: { readonly code: string; readonly message: string; readonly retryable: boolean }
): Effect.fn.Return<void, LogFailed> {
  const { settings } = desk
  const { code } = failure
  // Kept in an event, whoever said it: no longer than anybody reads, and no half of a character.
  const message = wellFormed(failure.message.slice(0, longestReason))
  job.failures++
  desk.attemptEnded(job, turn, "failed", `${code}: ${message}`)
  desk.lines.leave(job.work)
  desk.wake(desk.inputs.takeBack(job.work))
  if (!failure.retryable || job.failures >= settings.attempts) {
    return yield* park(desk, turn, job, { code, message })
  }
  const jitter = yield* Random.nextRange(0.8, 1.2)
  const delay = Math.min(
    Duration.toMillis(settings.firstRetry) * 2 ** (job.failures - 1),
    Duration.toMillis(settings.longestRetry)
  )
  job.solo = false
  desk.jobs.delay(job, turn.now + delay * jitter)
})

const takeVectors = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  result: Result<"Vectors">
): Effect.fn.Return<void, LogFailed> {
  const { model, scope } = result
  desk.outages.over(model)
  for (const { jobId } of result.jobs) {
    const job = desk.jobs.get(jobId)
    if (job === undefined) continue
    desk.jobs.extend(job, turn.now)
    // Taken up anew and not handed out since: nobody has looked yet at what it waits for, and these have been paid for.
    if (job.lane === "embed" && job.work.inputs === undefined) yield* loadInputs(desk, turn, job.work)
  }
  const wanted = result.vectors.filter(({ inputHash }) => desk.inputs.isWanted(scope, model, inputHash))
  // Kept with the first vectors of a model, so that a later process can tell whether it is still the same.
  const probes = result.vectors.filter(({ inputHash }) => inputHash === probeKey)
  if (wanted.length === 0 && probes.length === 0) return
  const known = yield* knownVectors(
    desk,
    turn,
    { scope, pair: { chunker: desk.pair.chunker, model } },
    [...wanted, ...probes].map(({ inputHash }) => inputHash)
  )
  for (const { inputHash, vector } of probes) {
    if (known.has(inputHash) || turn.freshVectors(scope, model).has(inputHash)) continue
    const stored = storedForm(vector)
    turn.vector({ ...scope, model, inputHash, vector: stored }, vectorDigest(stored))
  }
  const concerned = new Set<Work>()
  let count = 0
  for (const { inputHash, vector } of wanted) {
    const there = known.get(inputHash) ?? turn.freshVectors(scope, model).get(inputHash)
    const stored = storedForm(vector)
    const digest = there ?? vectorDigest(stored)
    if (there === undefined) {
      turn.vector({ ...scope, model, inputHash, vector: stored }, digest)
      count++
    }
    const waiters = desk.inputs.recorded(scope, model, inputHash, digest, there === undefined)
    for (const work of waiters) concerned.add(work)
  }
  for (const work of concerned) settleEmbedding(desk, turn, work)
  if (count === 0) return
  const { elapsedMs, tokens } = result
  turn.plan(
    {
      append: {
        ...scope,
        cause: result.batchId,
        actor: "coordinator",
        correlationId: result.batchId,
        events: [
          {
            stream: vectorsStream(scope.team, scope.project, model),
            event: VectorsRecorded.make({ model, count, tokens, elapsedMs })
          }
        ]
      },
      appended: () => desk.count({ vectorsComputed: count }),
      refused: (refusal) => {
        throw refusal
      }
    },
    "vectors.recorded"
  )
})

/** After vectors came: the work is ready, or its job waits for those that others asked for. */
const settleEmbedding = (desk: Desk, turn: Turn, work: Work): void => {
  const job = desk.jobsOf(work).find(({ lane }) => lane === "embed")
  if (work.missing.size === 0) {
    if (job !== undefined) {
      if (job.state === "running") desk.attemptEnded(job, turn, "completed")
      desk.jobs.remove(job)
    }
    desk.lines.ready(work)
  } else if (work.asking.size === 0 && job?.state === "running") {
    desk.attemptEnded(job, turn, "completed")
    // Not at rest: whoever had asked for what is left may be gone, and woke nobody who was at work then.
    desk.jobs.requeue(job)
  }
}

/** A copy that shares no buffer with the sender, −0 as +0. */
const storedForm = (vector: Float32Array): Float32Array => {
  const stored = new Float32Array(vector.length)
  for (let at = 0; at < vector.length; at++) stored[at] = (vector[at] ?? 0) + 0
  return stored
}

const vectorDigest = (vector: Float32Array): Digest =>
  sha256(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))

/** Appends what this turn made ready, in the order of the lines, and the chunkings that go alone. */
export const completeReady = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  prepared: Prepared,
  postponed: Array<Work>
): Effect.fn.Return<void, LogFailed> {
  const released = [...postponed.splice(0), ...desk.lines.release(turn.now)]
  const taken = new Set<string>()
  for (const [at, work] of released.entries()) {
    if (at % decidedAtOnce === decidedAtOnce - 1) yield* Effect.yieldNow()
    if (!work.ready) continue
    const chunked = prepared.get(work)
    const keys = work.purpose === "commit" ? desk.keysOf(work.documentId) : [documentKey(work.documentId)]
    const others = chunked === undefined ? keys : keys.slice(1)
    // What another message decided about in this turn waits for the next one; so does what another commit takes along.
    if (turn.isTouched(others) || keys.some((key) => taken.has(key))) {
      postponed.push(work)
      continue
    }
    for (const key of keys) taken.add(key)
    prepared.delete(work)
    yield* complete(desk, turn, work, chunked)
  }
  for (const [work, chunked] of prepared) yield* appendChunked(desk, turn, work, chunked)
})
