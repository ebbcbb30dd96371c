/**
 * What an accepted rollback gave up is recorded in the log before anybody else writes: a live version whose content is gone
 * is removed as `lost`, an open mutation without its bytes is rejected and parked.
 *
 * Run again after a crash it appends only what is missing: each document's cause is a function of the epoch.
 */
import type { EventEncoded } from "../../events/Catalogue.ts"
import { documentStream } from "../../events/Document.ts"
import { DocumentId } from "../../events/Ids.ts"
import { type LostContent, lostContent } from "./LostContent.ts"
import { rowOfDocument } from "./readModels/Rows.ts"
import type { EncodedAppend } from "./WriteGroup.ts"
import type { WriterCore } from "./WriterCore.ts"

/** Appends are made this many at a time. */
const groupSize = 200

/** Throws where the losses cannot be written; the epoch then stays unreconciled and the next opening tries again. */
export const recordLosses = (core: WriterCore, recordedAt: number): void => {
  const epoch = core.head.epoch
  core.withDatabases((log, content) => {
    const queuedJob = log.prepare<[string, number], { jobId: string; lane: "prepare" | "embed" }>(`
      SELECT job_id AS jobId, lane FROM jobs
      WHERE document = ${rowOfDocument("?")} AND version = ? AND build = 0 AND state IN ('queued', 'parked')`)
    let appends: Array<EncodedAppend> = []
    const flush = () => {
      const { outcomes } = core.writeGroup(
        appends.map((append) => ({ recordedAt, blobs: [], vectors: [], appends: [append], operational: [] }))
      )
      const failed = outcomes.find((outcome) => outcome._tag === "Failed")
      if (failed?._tag === "Failed") throw new Error(`Losses could not be recorded: ${failed.reason}`)
      appends = []
    }
    for (const lost of lostContent(log, content)) {
      if (lost._tag === "LiveLost") appends.push(appendFor(epoch, lost, removal(epoch, lost)))
      if (lost._tag === "OpenLost") {
        appends.push(appendFor(epoch, lost, parking(lost, queuedJob.get(lost.documentId, lost.version))))
      }
      if (appends.length >= groupSize) flush()
    }
    if (appends.length > 0) flush()
  })
  core.reconciledEpoch = epoch
}

type Lost = Exclude<LostContent, { readonly _tag: "Checked" }>
type Events = EncodedAppend["events"]

const appendFor = (
  epoch: number,
  { _tag, documentId, project, team }: Lost,
  events: Events
): EncodedAppend => ({
  team,
  project,
  cause: `rollback-${epoch}-${_tag}-${documentId}`,
  actor: "log",
  correlationId: `rollback-${epoch}`,
  events
})

const removal = (epoch: number, { documentId }: Lost): Events => [
  {
    stream: streamOf(documentId),
    event: {
      _tag: "DocumentRemoved",
      documentId,
      reason: "lost",
      commandId: `rollback-${epoch}`,
      orderKey: ""
    }
  }
]

const parking = (
  { documentId, missing, version }: Lost,
  job: { readonly jobId: string; readonly lane: "prepare" | "embed" } | undefined
): Events => {
  const reason = {
    code: "content-lost",
    message: `${missing.length} of its bodies were lost with the events that an accepted rollback gave up. Submit it again.`
  }
  const rejected: EventEncoded = { _tag: "DocumentRejected", documentId, version, reason }
  const events = [{ stream: streamOf(documentId), event: rejected }]
  if (job === undefined) return events
  const { jobId, lane } = job
  const parked: EventEncoded = {
    _tag: "JobParked",
    jobId,
    lane,
    documentId,
    version,
    code: "content",
    attempts: 0,
    reason
  }
  return [...events, { stream: `job-${jobId}`, event: parked }]
}

const streamOf = (documentId: string): string =>
  documentStream(DocumentId.make(documentId, { disableValidation: true }))
