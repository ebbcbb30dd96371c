/**
 * The subjects, kind first, and the streams that hold some of them. Core requests (claims, content, queries) stay clear
 * of every stream's subjects: a stream would answer them with its own acknowledgement.
 */
import type { JobId } from "../../../events/Ids.ts"
import type { Lane } from "../../../events/Job.ts"
import type { WorkResult } from "../Bus.ts"

export const streamNames = {
  events: "REPRISE_EVENTS",
  commands: "REPRISE_COMMANDS",
  prepare: "REPRISE_WORK_prepare",
  embed: "REPRISE_WORK_embed",
  results: "REPRISE_RESULTS",
  answers: "REPRISE_ANSWERS"
} as const
export type StreamName = (typeof streamNames)[keyof typeof streamNames]

/** Durable pull consumers, one for each work-queue stream. */
export const consumerNames = { coordinator: "coordinator", workers: "workers" } as const

/** Waiting work of a job, all attempts. A job's id holds no dot. */
export const workSubject = (lane: Lane, job: JobId): string => `reprise.work.${lane}.${job}`
/** `key` is a job's id, or a batch's: no dot, space or wildcard. What failed does not say in which lane. */
export const resultSubject = (lane: Lane | "failed", key: string): string => `reprise.result.${lane}.${key}`
export const subjectOf = (result: WorkResult): string => {
  switch (result._tag) {
    case "Prepared":
    case "Skipped":
      return resultSubject("prepare", result.jobId)
    case "Vectors":
      return resultSubject("embed", result.batchId)
    case "Failed":
    case "Postponed":
    case "GivenBack":
      return resultSubject("failed", result.jobId)
  }
}

/**
 * What actors of one installation tell each other of events, over core NATS. No stream holds it: the public stream of
 * events is written by its publisher alone, in order.
 */
export const hintSubject = (event: {
  readonly team: string
  readonly project: string
  readonly type: string
}): string => `reprise.hint.${event.team}.${event.project}.${event.type}`
export const hintFilter = (scope: { readonly team?: string; readonly project?: string }): string =>
  `reprise.hint.${scope.team ?? "*"}.${scope.project ?? "*"}.*`

/** Core requests of workers to the Coordinator. */
export const claimSubject = "reprise.claim"
/** Core requests of workers for bodies of the log's content. */
export const contentSubject = "reprise.content"
/** Where whoever has a worker's name answers for it; `name` is a digest: a name may hold dots. */
export const workerSubject = (name: string): string => `reprise.worker.${name}`
/** Where whoever serves a data directory in this account answers for it. */
export const serverSubject = "reprise.server"
/** Core requests of the Coordinator to one worker, for bodies that its results refer to. */
export const heldSubject = (holder: string): string => `reprise.held.${holder}`
