/**
 * Names, numbers and digests that identify things, and how the deterministic ones are derived.
 *
 * Every derived id is a UUID of version 5 (RFC 9562, SHA-1) whose name is a tuple of byte strings, each prefixed
 * with its length, so that no two tuples share a name however their parts are cut.
 */
import { createHash, hash } from "node:crypto"
import { Schema } from "effect"
import { writeUint32, writeUtf8 } from "./Bytes.ts"

const name = Schema.String.pipe(Schema.pattern(/^[a-z0-9][a-z0-9_-]{0,62}$/))
/** What ids and digests look like, for whoever checks many of them. */
export const patterns = {
  uuid: /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  digest: /^[0-9a-f]{64}$/,
  codeFingerprint: /^[a-z0-9][a-z0-9._-]{0,80}-[0-9a-f]{12}$/
} as const
const uuid = Schema.String.pipe(Schema.pattern(patterns.uuid))

export const TeamName = name.pipe(Schema.brand("TeamName"))
export type TeamName = typeof TeamName.Type

export const ProjectName = name.pipe(Schema.brand("ProjectName"))
export type ProjectName = typeof ProjectName.Type

/** Team and project: the scope of everything. There is no wildcard and no default outside the command line. */
export const ProjectScope = Schema.Struct({ team: TeamName, project: ProjectName })
export type ProjectScope = typeof ProjectScope.Type

/** The scope that the command line and the embedded runtime fill in. */
export const defaultScope: ProjectScope = {
  team: TeamName.make("default"),
  project: ProjectName.make("default")
}

/** `team/project`: a scope as one string, for maps and for people. Names hold no slash, so it is unambiguous. */
export const scopeKey = (scope: { readonly team: string; readonly project: string }): string =>
  `${scope.team}/${scope.project}`

/** SHA-256 in lower-case hexadecimal. */
export const Digest = Schema.String.pipe(Schema.pattern(patterns.digest), Schema.brand("Digest"))
export type Digest = typeof Digest.Type

export const DocumentId = uuid.pipe(Schema.brand("DocumentId"))
export type DocumentId = typeof DocumentId.Type

export const ChunkId = uuid.pipe(Schema.brand("ChunkId"))
export type ChunkId = typeof ChunkId.Type

export const PointId = uuid.pipe(Schema.brand("PointId"))
export type PointId = typeof PointId.Type

export const SourceId = uuid.pipe(Schema.brand("SourceId"))
export type SourceId = typeof SourceId.Type

export const EventId = uuid.pipe(Schema.brand("EventId"))
export type EventId = typeof EventId.Type

export const JobId = uuid.pipe(Schema.brand("JobId"))
export type JobId = typeof JobId.Type

/** `g001`, `g002`, …: numbered in the order of opening. */
export const GenerationId = Schema.String.pipe(Schema.pattern(/^g[0-9]{3,9}$/), Schema.brand("GenerationId"))
export type GenerationId = typeof GenerationId.Type

/** Chosen by whoever sends the command. No dot, space, colon, slash or wildcard: it becomes part of subjects. */
export const CommandId = Schema.String.pipe(
  Schema.pattern(/^[A-Za-z0-9_-]{1,200}$/),
  Schema.brand("CommandId")
)
export type CommandId = typeof CommandId.Type

/** An event's place in the log: 1, 2, 3 … without gaps. 0 stands before the first. */
export const Position = Schema.NonNegativeInt.pipe(Schema.brand("Position"))
export type Position = typeof Position.Type

/** An event's place among its project's events: 1, 2, 3 … without gaps. */
export const Sequence = Schema.NonNegativeInt.pipe(Schema.brand("Sequence"))
export type Sequence = typeof Sequence.Type

/** Rises only when an operator accepts a log that is behind its witnesses. Starts at 1. */
export const Epoch = Schema.Int.pipe(Schema.positive(), Schema.brand("Epoch"))
export type Epoch = typeof Epoch.Type

/** `<name>-<12 hex digits>`: what a piece of code or a model computes, so that a change of it is a change of name. */
export const CodeFingerprint = Schema.String.pipe(
  Schema.pattern(patterns.codeFingerprint),
  Schema.brand("CodeFingerprint")
)
export type CodeFingerprint = typeof CodeFingerprint.Type

export const sha256 = (bytes: Uint8Array | string): Digest =>
  Digest.make(hash("sha256", bytes), { disableValidation: true })

/** A fingerprint over everything that decides what `label` computes. `parts` are hashed as a length-prefixed tuple. */
export const codeFingerprint = (label: string, parts: ReadonlyArray<string>): CodeFingerprint => {
  const digest = createHash("sha256")
  for (const part of parts) for (const bytes of lengthPrefixed(part)) digest.update(bytes)
  return CodeFingerprint.make(`${label}-${digest.digest("hex").slice(0, 12)}`)
}

const encoder = new TextEncoder()

/** A part of a tuple as hashed: its length in bytes (u32, big endian), then its bytes. */
export const lengthPrefixed = (part: string | Uint8Array): readonly [Uint8Array, Uint8Array] => {
  const bytes = typeof part === "string" ? encoder.encode(part) : part
  const length = new Uint8Array(4)
  new DataView(length.buffer).setUint32(0, bytes.length)
  return [length, bytes]
}

const namespaceBytes = new Map<string, Uint8Array>()
let scratch = Buffer.allocUnsafe(1024)

/** UUIDv5 over a tuple of byte strings within a namespace (a UUID in its text form). */
export const uuidV5 = (namespace: string, parts: ReadonlyArray<string | Uint8Array>): string => {
  let bytes = namespaceBytes.get(namespace)
  if (bytes === undefined) {
    bytes = Buffer.from(namespace.replaceAll("-", ""), "hex")
    namespaceBytes.set(namespace, bytes)
  }
  let bound = bytes.length
  for (const part of parts) bound += 4 + part.length * (typeof part === "string" ? 3 : 1)
  if (scratch.length < bound) scratch = Buffer.allocUnsafe(bound * 2)
  scratch.set(bytes)
  let end = bytes.length
  for (const part of parts) {
    const start = end + 4
    const partEnd = typeof part === "string" ? writeUtf8(scratch, part, start) : start + part.length
    if (typeof part !== "string") scratch.set(part, start)
    writeUint32(scratch, partEnd - start, end)
    end = partEnd
  }
  const hex = hash("sha1", scratch.subarray(0, end))
  // The version's digit is 5, the variant's one of 8 to b.
  const variant = "89ab"[Number.parseInt(hex[16] ?? "", 16) & 3]
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}

/** Fixed for ever: changing one changes every id derived from it. */
export const namespaces = {
  source: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a01",
  document: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a02",
  chunk: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a03",
  point: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a04",
  event: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a05",
  job: "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a06"
} as const

/** Depends on scope, kind and canonical root alone, so that two data directories over the same files agree. */
export const sourceId = (scope: ProjectScope, kind: string, root: string | Uint8Array): SourceId =>
  SourceId.make(uuidV5(namespaces.source, [scope.team, scope.project, kind, root]), {
    disableValidation: true
  })

/** `externalId` in raw bytes: file names need not be valid UTF-8. */
export const documentId = (
  scope: ProjectScope,
  source: SourceId,
  externalId: string | Uint8Array
): DocumentId =>
  DocumentId.make(uuidV5(namespaces.document, [scope.team, scope.project, source, externalId]), {
    disableValidation: true
  })

/** `ordinal` counts from 0 among the chunks of a version whose embedding input is equal. */
export const chunkId = (document: DocumentId, inputHash: Digest, ordinal: number): ChunkId =>
  ChunkId.make(uuidV5(namespaces.chunk, [document, inputHash, String(ordinal)]), { disableValidation: true })

/** `from` is the position of the event that made the chunk visible. */
export const pointId = (chunk: ChunkId, from: number): PointId =>
  PointId.make(uuidV5(namespaces.point, [chunk, String(from)]), { disableValidation: true })

/** The `n`th event that a command (or a job's result, by its own id) leaves in an epoch. */
export const eventId = (epoch: number, scope: ProjectScope, cause: string, n: number): EventId =>
  EventId.make(uuidV5(namespaces.event, [String(epoch), scope.team, scope.project, cause, String(n)]), {
    disableValidation: true
  })

/**
 * A job's id is a function of its epoch, its lane and what it works on, so that enqueuing it twice is enqueuing it
 * once, and a late result from before an accepted rollback cannot be taken for a new one.
 */
export const jobId = (epoch: number, lane: string, parts: ReadonlyArray<string>): JobId =>
  JobId.make(uuidV5(namespaces.job, [String(epoch), lane, ...parts]), { disableValidation: true })
