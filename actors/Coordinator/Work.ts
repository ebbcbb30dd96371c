/**
 * One version of a document on its way to searchable contents under one (chunker, model): a mutation that ends in a
 * commit, or a build that completes a live version for a generation under another pair.
 */
import type { CodeFingerprint, Digest, DocumentId, JobId, ProjectScope, SourceId } from "../../events/Ids.ts"
import { buildJobId, embedJobId, prepareJobId } from "../../events/Job.ts"
import type { Chunking } from "../../src/log/ReadModels.ts"

export interface Pair {
  readonly chunker: CodeFingerprint
  readonly model: CodeFingerprint
}

export interface Work {
  readonly purpose: "commit" | "build"
  readonly scope: ProjectScope
  readonly documentId: DocumentId
  readonly sourceId: SourceId
  readonly version: number
  readonly raw: Digest
  readonly rawBytes: number
  readonly descriptor: Digest
  /** Of the submission that opened it. */
  readonly commandId: string
  readonly orderKey: string
  readonly sync: number | undefined
  readonly movedFrom: DocumentId | undefined
  /** The order key of that move: its own, or that of the submission which it took the move over from. */
  readonly moveKey: string
  /** What it is completed under. Follows the live spec for a commit. */
  pair: Pair
  /** Known once it was chunked under the pair's chunker. */
  chunking: Chunking | undefined
  /** Input hashes in the order of the manifest; read again from content where they are not at hand. */
  inputs: ReadonlyArray<Digest> | undefined
  /** Those whose vectors the project does not have, as far as known. */
  readonly missing: Set<Digest>
  /** Those of them that its own order asks for now. */
  readonly asking: Set<Digest>
  /** Digests of the vectors that are there, by input, as far as known. */
  readonly vectors: Map<Digest, Digest>
  /** Vectors that were computed because of it. */
  computed: number
  /** All vectors are there: it waits for its place in the line, or for its append. */
  ready: boolean
  /** Ids of its jobs, once they are known. */
  readonly jobs: { prepare?: JobId; embed?: readonly [manifest: Digest, id: JobId] }
  /** No attempt at any of its jobs can have been made before: saves reading them. */
  fresh: boolean
}

/** Bytes from which a document counts as large. */
const large = 16 * 1024

/**
 * How much of the window of its lane a document takes that is to be prepared. Small ones go out in greater numbers, so that what
 * is done once for all that wait (an fsync, a message) is done for more of them.
 */
export const prepareWeight = ({ rawBytes }: Pick<Work, "rawBytes">): number => (rawBytes < large ? 1 : 2)

export const workKey = (work: Pick<Work, "purpose" | "documentId" | "pair">): string =>
  work.purpose === "commit" ? work.documentId : `${work.documentId}/${work.pair.chunker}/${work.pair.model}`

export const pairKey = (pair: Pair): string => `${pair.chunker}/${pair.model}`

/** A work lives within one epoch, and only a commit's pair changes, on which its ids do not depend. */
export const prepareJobOf = (epoch: number, work: Work): JobId => {
  work.jobs.prepare ??=
    work.purpose === "commit"
      ? prepareJobId(epoch, work.documentId, work.version, work.raw)
      : buildJobId(epoch, "prepare", work.documentId, work.version, work.pair)
  return work.jobs.prepare
}

export const embedJobOf = (epoch: number, work: Work, { manifestBlob }: Chunking): JobId => {
  const [known, id] = work.jobs.embed ?? []
  if (id !== undefined && known === manifestBlob) return id
  const made =
    work.purpose === "commit"
      ? embedJobId(epoch, work.documentId, work.version, manifestBlob)
      : buildJobId(epoch, "embed", work.documentId, work.version, work.pair)
  work.jobs.embed = [manifestBlob, made]
  return made
}

export const reusedVectors = (work: Work): number =>
  Math.max(0, new Set(work.inputs ?? []).size - work.computed)
