/**
 * What a command line asks of a server that owns its data directory: the writer's operations, with their progress, their
 * receipts and their errors. Spoken over a socket of this machine, between equal versions of the protocol.
 */
import { Rpc, RpcGroup } from "@effect/rpc"
import { Schema } from "effect"
import { ActorRestarted } from "../../../actors/Actor.ts"
import { CommandRefused } from "../../../actors/Coordinator.ts"
import { PromotionRefused } from "../../../actors/Indexer/Promotion.ts"
import { EngineKind } from "../../../events/Generation.ts"
import { DocumentId, GenerationId, JobId, ProjectScope } from "../../../events/Ids.ts"
import { Lane, Pausable } from "../../../events/Job.ts"
import { Receipt } from "../../../events/Receipt.ts"
import { UnknownEvent } from "../../../events/Upcasters.ts"
import { EngineMismatch, EngineUnavailable } from "../../index/Index.ts"
import { ProjectionStopped } from "../../index/Projection.ts"
import { VerifyLevel } from "../../index/VerifyReport.ts"
import { CommandConflict, HeadMoved, LogFailed } from "../../log/Log.ts"
import { ThreadFailed } from "../../threads/Thread.ts"
import { Live } from "../Live.ts"
import { Outage } from "../Outage.ts"
import { DocumentUnknown, Replayed, SourceUnknown, Verified } from "../Reprise.ts"
import { Certificate, Collected } from "../StorageReports.ts"

/** Rises when a message changes its meaning or form. */
export const protocolVersion = 2

/** The server is there and does not do it: it stops, or it went away with the request in hand. */
export class ServerGone extends Schema.TaggedError<ServerGone>()("ServerGone", {
  reason: Schema.Literal("stopping", "lost", "silent"),
  detail: Schema.String
}) {
  override get message() {
    const what = {
      stopping: "The server of this data directory is stopping",
      lost: "The server of this data directory went away while it worked on this",
      silent: "A server holds this data directory and does not answer"
    }[this.reason]
    const next = {
      stopping: "Nothing of it was begun. Run the same command again when it has stopped.",
      lost: "What was acknowledged is kept. Run the same command again: it does only what is left, through the server where that is back, else by itself.",
      silent: "See what it does, or end it: reprise doctor names its process."
    }[this.reason]
    return `${what}${this.detail === "" ? "" : ` (${this.detail})`}. ${next}`
  }
}

/** Another version of the program runs as the server. */
export class ServerDiffers extends Schema.TaggedError<ServerDiffers>()("ServerDiffers", {
  version: Schema.String,
  protocol: Schema.Int
}) {
  override get message() {
    return `The server of this data directory is reprise ${this.version}, which speaks protocol ${this.protocol}, not ${protocolVersion}. Use the same version, or restart the server with this one.`
  }
}

export const ServerHello = Schema.Struct({
  version: Schema.String,
  protocol: Schema.Int,
  pid: Schema.Int,
  /** Of the settings in force: says whether the sender's own are the same. */
  settings: Schema.String
})

const CommandFailed = Schema.Union(
  CommandRefused,
  CommandConflict,
  HeadMoved,
  LogFailed,
  ActorRestarted,
  ServerGone
)
const ProjectionFailed = Schema.Union(
  EngineUnavailable,
  EngineMismatch,
  ProjectionStopped,
  UnknownEvent,
  ThreadFailed,
  LogFailed,
  ServerGone
)
const PromotionFailed = Schema.Union(PromotionRefused, ...ProjectionFailed.members, ...CommandFailed.members)

/** What a promotion sends while it runs, and at its end. */
export const PromotionStep = Schema.Union(
  Schema.TaggedStruct("Progress", {
    generation: GenerationId,
    checkpoint: Schema.Int,
    head: Schema.Int,
    phase: Schema.Literal("applying", "building", "verifying", "promoting")
  }),
  Schema.TaggedStruct("Done", { replayed: Replayed })
)

const Strings = Schema.Array(Schema.String)

/** Chosen by the sender, so that it can ask for an early end of what it began. */
const operation = { operation: Schema.String.pipe(Schema.minLength(1), Schema.maxLength(64)) }

/** How far the server is with everything that it does, whoever asked for it. */
const WorkProgress = Schema.Struct({
  open: Schema.Int,
  prepared: Schema.Int,
  committed: Schema.Int,
  parked: Schema.Int,
  vectorsComputed: Schema.Int,
  vectorsReused: Schema.Int,
  /** A provider that cannot be asked; without one, content that cannot be read. */
  outage: Schema.UndefinedOr(
    Schema.Struct({
      provider: Schema.optionalWith(Schema.String, { exact: true }),
      message: Schema.String,
      refused: Schema.Boolean
    })
  ),
  /** A lane without a worker. */
  unclaimed: Schema.UndefinedOr(Lane)
})

export class Control extends RpcGroup.make(
  Rpc.make("Hello", { success: ServerHello }),
  Rpc.make("Add", {
    payload: {
      ...operation,
      /** Absolute. */
      paths: Strings,
      scope: ProjectScope,
      include: Strings,
      exclude: Strings,
      full: Schema.Boolean
    },
    success: Receipt,
    error: CommandFailed
  }),
  Rpc.make("Sync", {
    payload: {
      ...operation,
      sources: Strings,
      scope: ProjectScope,
      full: Schema.Boolean,
      approveRemovals: Schema.Boolean
    },
    success: Receipt,
    error: Schema.Union(SourceUnknown, ...CommandFailed.members)
  }),
  /** Nothing more is submitted for the operation; its receipt says so. */
  Rpc.make("Stop", { payload: operation }),
  Rpc.make("Remove", {
    payload: { names: Strings, scope: ProjectScope },
    success: Receipt,
    error: CommandFailed
  }),
  Rpc.make("Replay", {
    payload: { engine: Schema.UndefinedOr(EngineKind) },
    success: PromotionStep,
    error: PromotionFailed,
    stream: true
  }),
  Rpc.make("Build", {
    payload: { excluded: Schema.Array(DocumentId) },
    success: PromotionStep,
    error: PromotionFailed,
    stream: true
  }),
  Rpc.make("Repair", {
    payload: { level: Schema.UndefinedOr(VerifyLevel), recompute: Schema.Boolean },
    success: Verified,
    error: ProjectionFailed
  }),
  Rpc.make("Collect", {
    payload: { dryRun: Schema.Boolean },
    success: Collected,
    error: ProjectionFailed
  }),
  Rpc.make("Erase", {
    payload: {
      scope: ProjectScope,
      names: Schema.Union(Strings, Schema.Literal("everything")),
      dryRun: Schema.Boolean
    },
    success: Certificate,
    error: Schema.Union(DocumentUnknown, ...ProjectionFailed.members, ...CommandFailed.members)
  }),
  Rpc.make("Retry", { payload: { scope: ProjectScope, job: JobId }, error: CommandFailed }),
  Rpc.make("Ended", {
    payload: { job: JobId },
    error: Schema.Union(LogFailed, ActorRestarted, ServerGone)
  }),
  Rpc.make("Cancel", { payload: { scope: ProjectScope, job: JobId }, error: CommandFailed }),
  Rpc.make("Pause", { payload: { lane: Pausable, paused: Schema.Boolean }, error: CommandFailed }),
  Rpc.make("Settled"),
  Rpc.make("Live", { success: Live }),
  Rpc.make("Progress", { success: WorkProgress, stream: true }),
  /** Answers when a provider is away for longer than somebody who typed a command waits. */
  Rpc.make("Outage", { success: Outage })
) {}
