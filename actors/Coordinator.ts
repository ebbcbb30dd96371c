/**
 * The only actor that appends. It takes commands, deduplicates, opens mutations, hands out jobs, takes results, and
 * decides commit or rollback. It never does slow work itself.
 */
import { Context, type Effect, type Either, Schema, type Stream } from "effect"
import type { Command, CommandAnswer, MutationEnd, OperatorCommand } from "../events/Commands.ts"
import type { DocumentId, GenerationId } from "../events/Ids.ts"
import type { Lane } from "../events/Job.ts"
import type { CommandConflict, HeadMoved, LogFailed } from "../src/log/Log.ts"
import type { ActorRestarted } from "./Actor.ts"
import type { Outage } from "./Coordinator/Outages.ts"
import type { WorkerSeen } from "./Coordinator/Workers.ts"

/** The command cannot be carried out as things stand. `code` is for programs. Change the command, or the state. */
export class CommandRefused extends Schema.TaggedError<CommandRefused>()("CommandRefused", {
  command: Schema.String,
  code: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.command} was refused (${this.code}): ${this.detail}`
  }
}

export type CommandError = CommandRefused | CommandConflict | HeadMoved | LogFailed | ActorRestarted

export interface Mutation {
  readonly documentId: DocumentId
  readonly version: number
}

export interface OperatorAnswer {
  readonly position: number
  readonly generation?: GenerationId
}

export interface CoordinatorService {
  /** Answers when the command's events are on disk. */
  readonly ask: (command: Command) => Effect.Effect<CommandAnswer, CommandError>
  /** In this order; each fails for itself. */
  readonly askAll: (
    commands: ReadonlyArray<Command>
  ) => Effect.Effect<ReadonlyArray<Either.Either<CommandAnswer, CommandError>>>
  readonly operate: (command: OperatorCommand) => Effect.Effect<OperatorAnswer, CommandError>
  /** Waits for the end of the document's mutation with this version (at once if it is over). */
  readonly ended: (
    document: DocumentId,
    version: number
  ) => Effect.Effect<MutationEnd, LogFailed | ActorRestarted>
  /** Over when all of these have ended; `hear` runs with each that has, several at a time, under the key it was given with. */
  readonly endedEach: <Key>(
    mutations: ReadonlyMap<Key, Mutation>,
    hear: (ends: ReadonlyArray<readonly [key: Key, end: MutationEnd]>) => Effect.Effect<void>
  ) => Effect.Effect<void, LogFailed | ActorRestarted>
  /** Resolves when no mutation is open and no job is queued (parked ones aside). */
  readonly idle: Effect.Effect<void>
  /** Builds for open generations that are still at work, and those that are parked. */
  readonly unfinishedBuilds: Effect.Effect<{ readonly open: number; readonly parked: number }>
  /** The paused lane for which everything waits that is left to do. */
  readonly heldBy: Effect.Effect<Lane | undefined>
  /** What the log said, and for how long it has failed again and again; nothing where it works. */
  readonly refused: Effect.Effect<{ readonly failure: LogFailed; readonly forMs: number } | undefined>
  /** Holds all appends while `effect` runs, bounded by a time limit: for the last stretch before a promotion. What is
   * operated within is not held. */
  readonly whileHeld: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Open mutations by lane and what they wait for, whenever it changes: progress for people. */
  readonly progress: Stream.Stream<CoordinatorProgress>
  /** The progress as of now. */
  readonly counted: Effect.Effect<CoordinatorProgress>
  /** Those that asked for work since the program started. */
  readonly workers: Effect.Effect<ReadonlyArray<WorkerSeen>>
}

export interface CoordinatorProgress {
  readonly open: number
  readonly prepared: number
  readonly committed: number
  readonly parked: number
  readonly vectorsComputed: number
  readonly vectorsReused: number
  /** What work waits for: a provider that is away, or refuses; content that cannot be read. */
  readonly outage: Outage | undefined
  /** A lane with work that nobody has taken for as long as an order may stay unclaimed: it has no worker. */
  readonly unclaimed: Lane | undefined
}

export class Coordinator extends Context.Tag("reprise/actors/Coordinator")<
  Coordinator,
  CoordinatorService
>() {}
