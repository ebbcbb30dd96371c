/**
 * The form in which a log leaves its directory and comes back: newline-delimited JSON. A header, the events in order of
 * position with their hashes, the content, and an end line with the digest of all lines before it, so that what was cut,
 * edited or put in another order is noticed, with the number of the line.
 */
import { Schema } from "effect"
import { Digest, Position } from "../../events/Ids.ts"

export const archiveFormat = 1

/** Names of files and collections are made of these: whatever an archive says, they stay names. */
const LogId = Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9_-]{1,64}$/))
const Epoch = Schema.Int.pipe(Schema.between(1, 1_000_000))
/** Of a team or a project; `_` is the operator's. */
const ScopeName = Schema.String.pipe(Schema.pattern(/^(?:_|[a-z0-9][a-z0-9_-]{0,62})$/))

export const ArchiveHeader = Schema.Struct({
  kind: Schema.Literal("reprise-log"),
  format: Schema.Int,
  logId: LogId,
  epoch: Epoch,
  position: Position,
  hash: Digest
})
export type ArchiveHeader = typeof ArchiveHeader.Type

/** A row of `events`. `data` and `metadata` are objects whose JSON is, byte for byte, what is stored. */
export const ArchiveEvent = Schema.Struct({
  kind: Schema.Literal("event"),
  position: Schema.Int,
  id: Schema.String,
  stream: Schema.String,
  version: Schema.Int,
  type: Schema.String,
  schemaVersion: Schema.Int,
  team: ScopeName,
  project: ScopeName,
  sequence: Schema.Int,
  data: Schema.Unknown,
  metadata: Schema.Unknown,
  recordedAt: Schema.Int,
  hash: Digest
})
export type ArchiveEvent = typeof ArchiveEvent.Type

export const ArchiveBlob = Schema.Struct({
  kind: Schema.Literal("blob"),
  team: ScopeName,
  project: ScopeName,
  digest: Digest,
  bytes: Schema.Uint8ArrayFromBase64
})

/** `vector` is its stored bytes: float32, little endian. */
export const ArchiveVector = Schema.Struct({
  kind: Schema.Literal("vector"),
  team: ScopeName,
  project: ScopeName,
  model: Schema.String,
  input: Digest,
  vector: Schema.Uint8ArrayFromBase64
})

export const ArchiveEnd = Schema.Struct({
  kind: Schema.Literal("end"),
  events: Schema.Int,
  blobs: Schema.Int,
  vectors: Schema.Int,
  /** SHA-256 of all lines before this one, newlines included. */
  digest: Digest
})

export const ArchiveLine = Schema.parseJson(
  Schema.Union(ArchiveHeader, ArchiveEvent, ArchiveBlob, ArchiveVector, ArchiveEnd)
)
export type ArchiveLine = typeof ArchiveLine.Type

/** The archive is not what was exported. Nothing was imported. */
export class ArchiveRefused extends Schema.TaggedError<ArchiveRefused>()("ArchiveRefused", {
  line: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return `The archive was refused at line ${this.line}: ${this.detail}. Nothing was imported. Export it again.`
  }
}

/** There is no such archive, or it may not be read. Nothing was done. */
export class ArchiveMissing extends Schema.TaggedError<ArchiveMissing>()("ArchiveMissing", {
  file: Schema.String,
  code: Schema.String
}) {
  override get message() {
    const why =
      this.code === "ENOENT"
        ? "does not exist"
        : this.code === "EISDIR"
          ? "is a directory, not an archive"
          : `cannot be read (${this.code})`
    return `${this.file} ${why}. Nothing was imported. Name a file that reprise log export wrote.`
  }
}

/** The archive cannot be written where it was asked for. Nothing was exported; what stands there is as it was. */
export class ArchiveUnwritable extends Schema.TaggedError<ArchiveUnwritable>()("ArchiveUnwritable", {
  file: Schema.String,
  code: Schema.Literal("ENOENT", "ENOTDIR", "EISDIR", "EACCES", "EPERM", "EROFS", "ENAMETOOLONG")
}) {
  override get message() {
    return `Nothing was exported to ${this.file}: ${unwritable[this.code]}. Name a new file, or one to replace, in a folder that exists and that this user may write to.`
  }
}

const unwritable: { readonly [code in ArchiveUnwritable["code"]]: string } = {
  ENOENT: "its folder does not exist",
  ENOTDIR: "what should be its folder is a file",
  EISDIR: "it is a directory",
  EACCES: "this user may not write there",
  EPERM: "this user may not write there",
  EROFS: "the file system is read-only",
  ENAMETOOLONG: "the name is too long"
}

/** The target is in use for something else. Nothing of it was changed. */
export class TargetNotEmpty extends Schema.TaggedError<TargetNotEmpty>()("TargetNotEmpty", {
  target: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.target} cannot be used: ${this.detail}. Nothing was changed. Choose an empty or new one.`
  }
}

/** What is to be copied is damaged: a copy would only hide it. */
export class SourceDamaged extends Schema.TaggedError<SourceDamaged>()("SourceDamaged", {
  source: Schema.String,
  damages: Schema.Array(Schema.String)
}) {
  override get message() {
    return `${this.source} is damaged: ${this.damages.slice(0, 3).join("; ")}. Run: reprise log verify`
  }
}

/** The file was written anew while its rows were read: some may have been skipped. What was read is worth nothing, and was given up. */
export class RewrittenMeanwhile extends Schema.TaggedError<RewrittenMeanwhile>()("RewrittenMeanwhile", {
  file: Schema.String
}) {
  override get message() {
    return `${this.file} was written anew by an erasure while it was read, so that rows of it may have been skipped. Nothing came of this run: run it again when the erasure is over.`
  }
}
