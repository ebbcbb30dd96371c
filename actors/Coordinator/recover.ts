/**
 * What the Coordinator does when it starts: it reads what is unfinished, and carries each mutation on from its last
 * durable step. There is no limit on how many; they are taken up page by page as there is room.
 *
 * Attempts that were begun and never ended died with the process. Their jobs run alone first, and only a death while one
 * ran alone counts against it, so that a document that kills its worker is parked, and its neighbours are not.
 */
import { Clock, Effect } from "effect"
import type { LogFailed, OperationalChange } from "../../src/log/Log.ts"
import type { DocumentRow } from "../../src/log/ReadModels.ts"
import { chunkingUnder, openNextJob, park } from "./advance.ts"
import type { Desk } from "./Desk.ts"
import { readGenerations } from "./generations.ts"
import type { Job } from "./Jobs.ts"
import type { Turn } from "./Turn.ts"
import type { Work } from "./Work.ts"

const page = 256

/** Reads generations, pauses and the attempts of a crash. Mutations follow with {@link takeUpMore}. */
export const recover = Effect.fnUntraced(function* (desk: Desk): Effect.fn.Return<void, LogFailed> {
  const { log, readModels } = desk.ports
  yield* readGenerations(desk)
  for (const { lane, paused } of yield* readModels.lanes) if (paused) desk.jobs.paused.add(lane)
  const endedAt = yield* Clock.currentTimeMillis
  const operational: Array<OperationalChange> = []
  for (const { attempt, deaths, jobId, solo } of yield* readModels.runningAttempts) {
    // Where only the Coordinator was restarted nobody is to blame, and what the worker still hands back counts.
    const alive = desk.begun.get(jobId) === attempt
    operational.push({
      kind: "attemptEnded",
      jobId,
      attempt,
      endedAt,
      outcome: alive ? "paced" : "interrupted"
    })
    if (!alive) desk.interrupted.set(jobId, solo ? deaths + 1 : 0)
  }
  if (operational.length > 0) yield* log.write({ operational })
  desk.begun.clear()
})

/** Takes up the next open mutations, as many as there is room for. */
export const takeUpMore = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn
): Effect.fn.Return<void, LogFailed> {
  while (desk.recovered !== undefined && desk.open.size < desk.settings.open) {
    const rows = yield* desk.ports.readModels.openDocuments(desk.recovered, page)
    for (const row of rows) {
      const job = yield* takeUp(desk, row, turn.now)
      if (job !== undefined) yield* parkIfKiller(desk, turn, job)
    }
    const last = rows.at(-1)
    desk.recovered = rows.length < page ? undefined : last?.open?.submittedPosition
  }
})

/** Parks a job with which the process died too often while nothing else ran. */
export const parkIfKiller = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  job: Job
): Effect.fn.Return<void, LogFailed> {
  const deaths = desk.interrupted.get(job.id) ?? 0
  if (deaths < desk.settings.crashes) return
  const attempts = yield* desk.ports.readModels.attempts(job.id)
  job.attempt = attempts.at(-1)?.attempt ?? 0
  yield* park(desk, turn, job, {
    code: "crashed",
    message: `The program died ${deaths} times while it worked on nothing else.`
  })
})

/** Carries an open mutation on from its last durable step. One that is in memory already stays as it is. */
export const takeUp = Effect.fnUntraced(function* (
  desk: Desk,
  row: DocumentRow,
  now: number
): Effect.fn.Return<Job | undefined, LogFailed> {
  const { open } = row
  if (open === undefined || desk.open.has(row.documentId)) return undefined
  const submission =
    open.movedFrom === undefined
      ? undefined
      : yield* desk.ports.readModels.submission(row.documentId, open.version)
  const orderKey = submission?.orderKey ?? row.orderKey ?? ""
  const work: Work = {
    purpose: "commit",
    scope: row.scope,
    documentId: row.documentId,
    sourceId: row.sourceId,
    version: open.version,
    raw: row.raw,
    rawBytes: row.rawBytes,
    descriptor: row.descriptor,
    commandId: open.commandId,
    orderKey,
    sync: open.sync,
    movedFrom: open.movedFrom,
    moveKey: submission?.moveKey ?? orderKey,
    pair: desk.pair,
    chunking: chunkingUnder(row, desk.pair.chunker),
    inputs: undefined,
    missing: new Set(),
    asking: new Set(),
    vectors: new Map(),
    computed: 0,
    ready: false,
    jobs: {},
    fresh: false
  }
  desk.open.set(row.documentId, { row, work })
  desk.lines.join(work, now)
  return openRecovered(desk, work)
})

/** Opens the next job of a work that an earlier run began. */
export const openRecovered = (desk: Desk, work: Work): Job => {
  const job = openNextJob(desk, work, false)
  if (desk.interrupted.has(job.id)) desk.jobs.makeSolo(job)
  return job
}
