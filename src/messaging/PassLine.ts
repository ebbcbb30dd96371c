/**
 * Passes over sources that a project asks for over JetStream: one at a time, since each can take hours. A pass answers
 * for all equal commands that stood in the stream before it began, so that however many ask, few passes are made. What
 * waits stays in the stream; nothing of it is held here.
 */
import { Effect, Either, Option } from "effect"
import type { StoredMsg } from "nats"
import type { ProjectScope } from "../../events/Ids.ts"
import { commandSubject } from "../../events/Subjects.ts"
import type { NatsUnavailable } from "../bus/nats/NatsErrors.ts"
import { type Decided, type Received, readReceived } from "./Received.ts"
import type { CommandMessage } from "./WireBody.ts"

export interface PassLinePorts {
  /** The first message of a subject after a number in the stream. */
  readonly next: (subject: string, after: number) => Effect.Effect<StoredMsg | undefined, NatsUnavailable>
  readonly last: (subject: string) => Effect.Effect<StoredMsg | undefined, NatsUnavailable>
  readonly decided: (scope: ProjectScope, command: CommandMessage) => Decided
  /** Answers one as it was answered before, or with what is decided, and takes it out of the stream. */
  readonly settle: (received: Received, decide: Decided) => Effect.Effect<void, NatsUnavailable>
}

interface Waiting {
  readonly sequence: number
  readonly received: Received
  readonly pass: Pass
}

type Pass = Extract<CommandMessage, { readonly command: "SourceSync" }>

/** The pass that a message asks for. */
export const passOf = ({ decoded }: Received): Option.Option<Pass> =>
  Option.filter(Either.getRight(decoded), (command) => command.command === "SourceSync")

const isSame = ({ message: one }: Pass, { message: other }: Pass): boolean =>
  one.source === other.source && one.full === other.full && one.approveRemovals === other.approveRemovals

/** Ends when no pass is asked for. */
export const makePassLine = ({ decided, last, next, settle }: PassLinePorts) => {
  /** What is wrong is not for this line. */
  const nextPass = Effect.fnUntraced(function* (
    scope: ProjectScope,
    after: number
  ): Effect.fn.Return<Waiting | undefined, NatsUnavailable> {
    const subject = commandSubject(scope, "SourceSync")
    let cursor = after
    while (true) {
      const message: StoredMsg | undefined = yield* next(subject, cursor)
      if (message === undefined) return undefined
      cursor = message.seq
      const received = Either.getRight(readReceived(message, scope))
      const pass = Option.flatMap(received, passOf)
      if (Option.isSome(received) && Option.isSome(pass))
        return { sequence: message.seq, received: received.value, pass: pass.value }
    }
  })

  return Effect.fnUntraced(function* (scope: ProjectScope): Effect.fn.Return<void, NatsUnavailable> {
    while (true) {
      const first = yield* nextPass(scope, 0)
      if (first === undefined) return
      const newest = yield* last(commandSubject(scope, "SourceSync"))
      const outcome = yield* Effect.cached(decided(scope, first.pass))
      const answer = ({ pass, received }: Waiting) =>
        isSame(pass, first.pass)
          ? settle(
              received,
              Effect.map(
                outcome,
                Either.map((answer) => ({ ...answer, commandId: received.commandId }))
              )
            )
          : Effect.void
      let one: Waiting | undefined = first
      while (one !== undefined && one.sequence <= (newest?.seq ?? 0)) {
        yield* answer(one)
        one = yield* nextPass(scope, one.sequence)
      }
    }
  })
}
