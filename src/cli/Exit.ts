/**
 * How a command ends: its exit code, and what is said when it fails.
 */
import { Schema } from "effect"
import type { Receipt } from "../../events/Receipt.ts"

/**
 * 0 all done · 1 done with failures, held removals, or a verification found a difference · 2 wrong usage or configuration
 * · 3 a needed service is unreachable · 4 another process is writing · 130 interrupted
 */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 130

/** Every typed error of the product has these; the message says what happened, to what, why, and what to do. */
export interface CliError {
  readonly _tag: string
  readonly message: string
}

/** The words of a command make no sense together. Nothing was done. */
export class UsageError extends Schema.TaggedError<UsageError>()("UsageError", { detail: Schema.String }) {
  override get message() {
    return this.detail
  }
}

/** There is no log in the data directory, so there is nothing to read. */
export class NothingThere extends Schema.TaggedError<NothingThere>()("NothingThere", {
  directory: Schema.String
}) {
  override get message() {
    return `There is nothing in the data directory ${this.directory} yet. Begin with: reprise add <directory>`
  }
}

/** None of the paths exists, and none is a known source. Nothing was done. */
export class PathsMissing extends Schema.TaggedError<PathsMissing>()("PathsMissing", {
  paths: Schema.Array(Schema.String)
}) {
  override get message() {
    const [first = "", ...others] = this.paths
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`
    return `${first} does not exist${more}. Nothing was added. Check the path, and the working directory it is relative to.`
  }
}

/** There is no job of this id. */
export class JobUnknown extends Schema.TaggedError<JobUnknown>()("JobUnknown", { job: Schema.String }) {
  override get message() {
    return `There is no job ${this.job}. List them with: reprise jobs list`
  }
}

/** Wrong usage or configuration: the same command cannot succeed until something is changed by hand. */
const wrong = new Set([
  "UsageError",
  "NothingThere",
  "ArchiveMissing",
  "ArchiveUnwritable",
  "PathsMissing",
  "JobUnknown",
  "ConfigInvalid",
  "DirectoryNewer",
  "DirectoryInvalid",
  "LogBehindIndex",
  "DocumentUnknown",
  "SourceUnknown",
  "QueryTooLong",
  "ModelDiffers",
  "CommandRefused",
  "ProviderRefused",
  "ProviderUnfit",
  "NativeModuleMissing",
  "TargetNotEmpty",
  "StreamConflict",
  "WorkerNameTaken",
  "AccountTaken",
  "ServerDiffers",
  "SocketRefused",
  "HttpRefused"
])

const unreachable = new Set([
  "NatsUnreachable",
  "NatsUnavailable",
  "BusUnavailable",
  "ProviderUnavailable",
  "ProviderBusy",
  "ProviderAway",
  "EngineUnavailable",
  "IndexAway",
  "ServerGone"
])

export const exitCodeOf = ({ _tag }: CliError): ExitCode => {
  if (_tag === "LogLocked") return 4
  if (unreachable.has(_tag)) return 3
  return wrong.has(_tag) ? 2 : 1
}

type Counted = Pick<Receipt, "requested" | "failed" | "held" | "parked" | "rejected"> &
  Partial<Pick<Receipt, "interrupted" | "skippedSources">>

/** Whether an operation did all that it was asked. Where every path was refused, it was asked the wrong thing. */
export const exitCodeOfReceipt = (receipt: Counted): ExitCode => {
  const { failed, held, interrupted, parked, rejected, requested, skippedSources } = receipt
  if (interrupted === true) return 130
  if (rejected !== undefined && rejected > 0 && rejected === requested) return 2
  return failed + held + parked > 0 || (skippedSources ?? []).length > 0 ? 1 : 0
}

export const ErrorJson = Schema.Struct({
  error: Schema.Struct({ code: Schema.String, message: Schema.String })
})
