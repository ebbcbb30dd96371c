/**
 * The outside as the command line sees it: two streams, the environment, and a person who may press Ctrl-C. Tests give
 * their own.
 */
import { Context, type Deferred, type Effect } from "effect"
import type { Environment } from "../runtime/Config.ts"

export interface IoService {
  /** Answers when it is handed on, so that a slow reader slows us down. */
  readonly out: (text: string) => Effect.Effect<void>
  readonly err: (text: string) => Effect.Effect<void>
  /** Standard input in parts. */
  readonly input: () => AsyncIterable<Uint8Array>
  readonly outIsTerminal: boolean
  readonly errIsTerminal: boolean
  readonly columns: number
  readonly environment: Environment
  readonly cwd: string
  readonly home: string
  /** Of this program. */
  readonly version: string
  /** Done at the first Ctrl-C: nothing new is begun, what is under way is finished. */
  readonly stop: Deferred.Deferred<void>
  /** Whether what asked for the end was a request to terminate, as service managers send it, and no person's Ctrl-C. */
  readonly terminated: Effect.Effect<boolean>
}

export class Io extends Context.Tag("reprise/cli/Io")<Io, IoService>() {}
