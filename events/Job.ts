/**
 * The job aggregate: a unit of work in a lane. What is queued or completed follows from the documents' events; a job has
 * events of its own only where people are involved: parked, retried, cancelled. Attempts are operational.
 */
import { Schema } from "effect"
import { Reason } from "./Document.ts"
import { type CodeFingerprint, type Digest, DocumentId, JobId, jobId } from "./Ids.ts"

/** `prepare` parses and chunks a version, `embed` computes its missing vectors. */
export const Lane = Schema.Literal("prepare", "embed")
export type Lane = typeof Lane.Type

/** What an operator can hold back: the lanes, and applying to the index, which hands out no jobs. */
export const Pausable = Schema.Literal(...Lane.literals, "index")
export type Pausable = typeof Pausable.Type

export const JobState = Schema.Literal("queued", "processing", "completed", "failed", "cancelled", "parked")
export type JobState = typeof JobState.Type

/** Given up on with a reason; waits for a person or for new code. */
export class JobParked extends Schema.TaggedClass<JobParked>()("JobParked", {
  jobId: JobId,
  lane: Lane,
  documentId: DocumentId,
  version: Schema.Int,
  /** The code (chunker or model) that failed: another one may try unasked. */
  code: Schema.String,
  attempts: Schema.NonNegativeInt,
  reason: Reason
}) {}

export class JobRetried extends Schema.TaggedClass<JobRetried>()("JobRetried", { jobId: JobId }) {}

export class JobCancelled extends Schema.TaggedClass<JobCancelled>()("JobCancelled", { jobId: JobId }) {}

export const JobEvent = Schema.Union(JobParked, JobRetried, JobCancelled)
export type JobEvent = typeof JobEvent.Type

export const jobStream = (id: JobId): string => `job-${id}`

/** The job that `DocumentSubmitted` opens. */
export const prepareJobId = (epoch: number, document: DocumentId, version: number, raw: Digest): JobId =>
  jobId(epoch, "prepare", [document, String(version), raw])

/** The job that `DocumentChunked` of a version's mutation opens; without a missing vector it is completed at once. */
export const embedJobId = (
  epoch: number,
  document: DocumentId,
  version: number,
  manifestBlob: Digest
): JobId => jobId(epoch, "embed", [document, String(version), manifestBlob])

/** The job that completes a committed version under another (chunker, model), in either lane. */
export const buildJobId = (
  epoch: number,
  lane: Lane,
  document: DocumentId,
  version: number,
  pair: { readonly chunker: CodeFingerprint; readonly model: CodeFingerprint }
): JobId => jobId(epoch, lane, [document, String(version), "build", pair.chunker, pair.model])
