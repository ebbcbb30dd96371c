/**
 * Commands about one job: try a parked one again, give up one that is open.
 */
import { Effect } from "effect"
import type { JobCancel, JobRetry } from "../../events/Commands.ts"
import { DocumentRejected, DocumentVersion, documentStream } from "../../events/Document.ts"
import { type Digest, scopeKey } from "../../events/Ids.ts"
import { buildJobId, JobCancelled, JobRetried, jobStream } from "../../events/Job.ts"
import type { LogFailed, NewEvent } from "../../src/log/Log.ts"
import type { JobRow } from "../../src/log/ReadModels.ts"
import { dropBuild } from "./advance.ts"
import { type CommandReply, carry, refuse, refuseForSpec } from "./answer.ts"
import { type Desk, documentKey, unfinished } from "./Desk.ts"
import { documentEvent } from "./decide.ts"
import { takeUp } from "./recover.ts"
import type { Turn } from "./Turn.ts"

/** Answers `again` where another message of the turn was about the same document. */
export const jobCommand = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: JobRetry | JobCancel,
  body: Digest | undefined,
  reply: CommandReply
): Effect.fn.Return<"done" | "again", LogFailed> {
  const job = yield* desk.ports.readModels.job(command.jobId)
  if (job === undefined || scopeKey(job.scope) !== scopeKey(command.scope)) {
    refuse(turn, reply, command._tag, "unknown-job", `There is no job ${command.jobId} in this project.`)
    return "done"
  }
  const key = [documentKey(job.documentId)]
  if (turn.isTouched(key)) return "again"
  turn.touch(key)
  yield* command._tag === "JobRetry"
    ? retry(desk, turn, command, body, reply, job)
    : cancel(desk, turn, command, body, reply, job)
  return "done"
})

const retry = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: JobRetry,
  body: Digest | undefined,
  reply: CommandReply,
  job: JobRow
): Effect.fn.Return<void, LogFailed> {
  if (job.state !== "parked") {
    return refuse(
      turn,
      reply,
      command._tag,
      "not-parked",
      `The job is ${job.state}; only a parked one is retried.`
    )
  }
  const builds = [...desk.builds.all()].filter(({ pair }) => isBuildOf(desk, job, pair))
  // What a build is parked for is made under its own spec, whichever is live.
  if (desk.differs && builds.length === 0) return refuseForSpec(desk, turn, reply, command._tag)
  yield* carry(desk, turn, {
    command,
    reply,
    body,
    answer: { outcome: "accepted", documentId: job.documentId },
    events: [{ stream: jobStream(job.jobId), event: JobRetried.make({ jobId: job.jobId }) }],
    operational: [],
    steps: [],
    appended: () => {
      for (const build of builds) {
        build.parked.delete(job.documentId)
        build.pending.add(job.documentId)
      }
      desk.forgetEnd(job.documentId, job.version)
      desk.reopened.add(job.documentId)
    }
  })
})

const isBuildOf = (desk: Desk, job: JobRow, pair: Parameters<typeof buildJobId>[4]): boolean => {
  for (let epoch = 1; epoch <= desk.epoch; epoch++) {
    if (buildJobId(epoch, job.lane, job.documentId, job.version, pair) === job.jobId) return true
  }
  return false
}

const cancel = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  command: JobCancel,
  body: Digest | undefined,
  reply: CommandReply,
  job: JobRow
): Effect.fn.Return<void, LogFailed> {
  const running = desk.jobs.get(job.jobId)
  if (
    job.state !== "parked" &&
    job.state !== "queued" &&
    job.state !== "processing" &&
    job.state !== "failed"
  ) {
    return refuse(turn, reply, command._tag, "not-open", `The job is ${job.state} already.`)
  }
  const row = yield* desk.row(job.documentId)
  const rejects = row?.open?.version === job.version
  const cancelled: NewEvent = {
    stream: jobStream(job.jobId),
    event: JobCancelled.make({ jobId: job.jobId })
  }
  const events: ReadonlyArray<NewEvent> = rejects
    ? [
        documentEvent(
          DocumentRejected.make({
            documentId: job.documentId,
            version: DocumentVersion.make(job.version, { disableValidation: true }),
            reason: { code: "cancelled", message: "Its job was cancelled." }
          })
        ),
        cancelled
      ]
    : [cancelled]
  const open = desk.open.get(job.documentId)
  if (rejects && open !== undefined) desk.abandon(open.work, turn)
  if (running?.work.purpose === "build") dropBuild(desk, turn, running.work)
  yield* carry(desk, turn, {
    command,
    reply,
    body,
    answer: { outcome: "done", documentId: job.documentId },
    events,
    ...(rejects && row !== undefined
      ? { expected: [{ stream: documentStream(row.documentId), version: row.streamVersion }] }
      : {}),
    operational: [],
    steps: ["job.cancel"],
    appended: (first, position) => {
      desk.follow(turn, events, command.scope, first)
      if (rejects && open !== undefined) {
        desk.end(open.work, turn, { ...unfinished(open.work), outcome: "cancelled", position })
      }
    }
  })
})

/** Documents that a retry opened again are taken up from where they stood. */
export const takeUpReopened = Effect.fnUntraced(function* (desk: Desk): Effect.fn.Return<void, LogFailed> {
  if (desk.reopened.size === 0) return
  const reopened = [...desk.reopened]
  desk.reopened.clear()
  for (const id of reopened) {
    const row = yield* desk.ports.readModels.document(id)
    if (row !== undefined) yield* takeUp(desk, row, 0)
  }
})
