/**
 * What the Coordinator is asked, and what of it outlives a restart within its process.
 */
import type { Deferred, Effect, Mailbox, SubscriptionRef } from "effect"
import type { Command, MutationEnd, OperatorCommand } from "../../events/Commands.ts"
import type { Delivery, WorkResult } from "../../src/bus/Bus.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import type { Reply } from "../Actor.ts"
import type { CoordinatorProgress, Mutation } from "../Coordinator.ts"
import type { CommandReply } from "./answer.ts"
import type { Begun, Desk, Ports } from "./Desk.ts"
import type { OperatorReply } from "./generations.ts"
import type { CoordinatorSettings } from "./Settings.ts"
import type { Suspects } from "./Suspects.ts"
import type { Workers } from "./Workers.ts"

export type Message =
  | { readonly _tag: "Command"; readonly command: Command; readonly reply: CommandReply }
  | { readonly _tag: "Operate"; readonly command: OperatorCommand; readonly reply: OperatorReply }
  | { readonly _tag: "Result"; readonly delivery: Delivery<WorkResult> }
  | {
      readonly _tag: "Ended"
      readonly mutations: ReadonlyArray<Mutation>
      /** Told of each as it ends, by its place among them. */
      readonly heard: Mailbox.Mailbox<Heard>
      /** Done when all of them have ended. */
      readonly reply: Reply<void, LogFailed>
    }
  | { readonly _tag: "Idle"; readonly reply: Reply<void, never> }
  | {
      readonly _tag: "Hold"
      readonly granted: Deferred.Deferred<void>
      readonly released: Deferred.Deferred<void>
    }
  | { readonly _tag: "Tick" }

/** How the mutation at this place ended. */
export type Heard = readonly [at: number, end: MutationEnd]

export type Operation = Extract<Message, { readonly _tag: "Operate" }>

/** What outlives a restart of the Coordinator within its process. */
export interface Office {
  readonly ports: Ports
  readonly settings: CoordinatorSettings
  readonly begun: Begun
  readonly progress: SubscriptionRef.SubscriptionRef<CoordinatorProgress>
  /** Submissions wait outside while too many mutations are open. */
  readonly admission: Effect.Latch
  /** The memory as of now; absent while it is being read. Claims look at it between turns. */
  desk: Desk | undefined
  /** Who waits until nothing is left to do. */
  readonly idle: Set<Reply<void, never>>
  readonly workers: Workers
  readonly suspects: Suspects
  /** Where operators' commands go while appends are held. */
  held: Mailbox.Mailbox<Operation> | undefined
  /** How the log failed last, and since when it has again and again. Monotonic milliseconds. */
  refused: { readonly failure: LogFailed; readonly since: number; readonly last: number } | undefined
}

/** Without a failure for so long, the log has taken what it was given. Longer than the pause between two tries. */
const refusalForgotten = 5_000

/** What the log said last, and for how long it has failed by now; not of one that works again. */
export const refusalNow = ({ refused }: Pick<Office, "refused">, now: number) =>
  refused === undefined || now - refused.last >= refusalForgotten
    ? undefined
    : { failure: refused.failure, forMs: now - refused.since }

export const noteRefusal = (office: Pick<Office, "refused">, failure: LogFailed, now: number): void => {
  const before = refusalNow(office, now)
  office.refused = { failure, since: now - (before?.forMs ?? 0), last: now }
}
