/**
 * Answers to commands: the first one is kept with the digest of the command's body, so that a redelivery gets it again
 * and the same id with another body is a conflict (FOLD.md rule 19).
 *
 * A command of a sync is not kept: its order key and content make it idempotent, and a row a file would double the
 * writes of a sync that finds nothing new.
 */
import { Effect, Schema } from "effect"
import { canonicalJson } from "../../events/Canonical.ts"
import { type Command, CommandAnswer } from "../../events/Commands.ts"
import { type Digest, type ProjectScope, sha256 } from "../../events/Ids.ts"
import {
  type Append,
  type AppendRefused,
  CommandConflict,
  type LogFailed,
  type NewEvent,
  type OperationalChange
} from "../../src/log/Log.ts"
import type { Reply } from "../Actor.ts"
import { type CommandError, CommandRefused } from "../Coordinator.ts"
import type { Desk } from "./Desk.ts"
import type { Step, Turn } from "./Turn.ts"

export type CommandReply = Reply<CommandAnswer, CommandError>

/** What is known of the answer before the write; position and sequence follow from it. */
export type Answer = Omit<CommandAnswer, "position" | "sequence">

/** Reading what is kept: positions are absent where the command left events, whose place the log knows. */
const KeptAnswer = Schema.parseJson(
  Schema.Struct({
    ...CommandAnswer.fields,
    position: Schema.optional(Schema.Int),
    sequence: Schema.optional(Schema.Int)
  })
)
const decodeKept = Schema.decodeUnknownEither(KeptAnswer)

export const isKept = (command: Command): boolean =>
  !((command._tag === "DocumentSubmit" || command._tag === "DocumentRemove") && command.sync !== undefined)

/** Covers everything that the sender said. Bytes stand as their digests; an order of arrival is not the sender's. */
export const bodyDigest = (command: Command): Digest => {
  if (command._tag !== "DocumentSubmit" && command._tag !== "DocumentRemove") {
    return sha256(canonicalJson({ ...command, _tag: command._tag }))
  }
  const orderKey = command.arrivalOrder === true ? undefined : command.orderKey
  if (command._tag === "DocumentRemove") {
    return sha256(canonicalJson({ ...command, _tag: command._tag, orderKey, arrivalOrder: undefined }))
  }
  const { descriptor, documentId, movedFrom, raw, readmit, scope, sourceId, sync } = command
  return sha256(
    canonicalJson({
      _tag: command._tag,
      scope,
      documentId,
      sourceId,
      raw: sha256(raw),
      descriptor,
      orderKey,
      movedFrom,
      readmit,
      sync
    })
  )
}

/** The answer to a command that was answered before, if it was. */
export const answeredBefore = Effect.fnUntraced(function* (
  desk: Desk,
  command: Command,
  body: Digest
): Effect.fn.Return<CommandAnswer | undefined, CommandConflict | LogFailed> {
  const { readModels } = desk.ports
  const { commandId, scope } = command
  const kept = yield* readModels.outcome(scope, commandId)
  if (kept !== undefined && kept.bodyDigest !== body) return yield* new CommandConflict({ commandId })
  const caused = yield* readModels.causedEvents(scope, commandId)
  const answer = kept === undefined ? undefined : decodeKept(kept.answer)
  if (answer?._tag === "Right") {
    const { right } = answer
    const position = right.position ?? caused?.lastPosition
    const sequence = right.sequence ?? caused?.lastSequence
    if (position !== undefined && sequence !== undefined) return { ...right, position, sequence }
  }
  if (caused === undefined) return undefined
  // Its outcome has expired, its events have not: nothing is done twice.
  return { outcome: "done", position: caused.lastPosition, sequence: caused.lastSequence }
})

export const refuse = (
  turn: Turn,
  reply: CommandReply,
  command: string,
  code: string,
  detail: string
): void => {
  fail(turn, reply, new CommandRefused({ command, code, detail }))
}

/** New contents are made under the live generation's spec alone. */
export const refuseForSpec = (desk: Desk, turn: Turn, reply: CommandReply, command: Command["_tag"]): void =>
  refuse(turn, reply, command, "spec-differs", differing(desk))

const differing = ({ live, settings }: Desk): string => {
  const { spec } = settings
  const differences = (["chunker", "model", "analyzer"] as const).flatMap((part) =>
    live === undefined || live.spec[part] === spec[part]
      ? []
      : [
          `${part}: configured is ${spec[part]}, the live generation ${live.generation} has ${live.spec[part]}`
        ]
  )
  return `The configuration differs from what the index was made with (${differences.join("; ")}). Run reprise build to make an index under it, or restore the setting.`
}

export const fail = (turn: Turn, reply: CommandReply, error: CommandError): void => {
  turn.replies.push(() => reply.fail(error))
}

/** A command's append and everything that goes with it. */
export interface Carried {
  readonly command: Command
  readonly reply: CommandReply
  /** Of a command whose answer is kept. */
  readonly body: Digest | undefined
  readonly answer: Answer
  readonly events: ReadonlyArray<NewEvent>
  readonly expected?: Append["expected"]
  readonly requires?: Append["requires"]
  readonly operational: ReadonlyArray<OperationalChange>
  readonly steps: ReadonlyArray<Step>
  /** Memory that follows from the append. */
  readonly appended: (firstPosition: number, lastPosition: number) => void
}

/** Plans the append of a command, or, where nothing is appended, its answer at the head. */
export const carry = (desk: Desk, turn: Turn, carried: Carried): Effect.Effect<void, LogFailed> => {
  const { answer, body, command, events, reply } = carried
  const { commandId, scope } = command
  const kept = (whole: Answer): ReadonlyArray<OperationalChange> =>
    body === undefined
      ? []
      : [
          {
            kind: "commandOutcome",
            ...scope,
            commandId,
            bodyDigest: body,
            answer: JSON.stringify(whole),
            answeredAt: turn.wallClock
          }
        ]
  if (events.length === 0) {
    return Effect.map(headOf(desk, turn, scope), (head) => {
      const whole = { ...answer, ...head }
      turn.operational(...carried.operational, ...kept(whole))
      turn.after.push(() => {
        carried.appended(0, 0)
        turn.replies.push(() => reply.succeed(whole))
      })
    })
  }
  turn.plan(
    {
      append: {
        ...scope,
        cause: commandId,
        actor: "coordinator",
        correlationId: commandId,
        events,
        ...(carried.expected === undefined ? {} : { expected: carried.expected }),
        ...(carried.requires === undefined ? {} : { requires: carried.requires }),
        operational: [...carried.operational, ...kept(answer)]
      },
      appended: ({ firstPosition, lastPosition, lastSequence }) => {
        carried.appended(firstPosition, lastPosition)
        turn.replies.push(() => reply.succeed({ ...answer, position: lastPosition, sequence: lastSequence }))
      },
      refused: (refusal: AppendRefused) => {
        throw refusal
      }
    },
    ...carried.steps
  )
  return Effect.void
}

/** Where the log ends for this project as the turn begins. */
export const headOf = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  scope: ProjectScope
): Effect.fn.Return<{ readonly position: number; readonly sequence: number }, LogFailed> {
  const { position } = yield* desk.ports.log.head
  const known = turn.sequences.get(`${scope.team}/${scope.project}`)
  if (known !== undefined) return { position, sequence: known }
  const sequence = yield* desk.ports.readModels.sequenceAt(scope, position)
  turn.sequences.set(`${scope.team}/${scope.project}`, sequence)
  return { position, sequence }
})
