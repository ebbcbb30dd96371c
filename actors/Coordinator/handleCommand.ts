/**
 * Takes a command from the mailbox to whoever decides about it.
 */
import { Effect } from "effect"
import type { Command } from "../../events/Commands.ts"
import { type Digest, scopeKey } from "../../events/Ids.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import {
  answeredBefore,
  bodyDigest,
  type CommandReply,
  fail,
  isKept,
  refuse,
  refuseForSpec
} from "./answer.ts"
import type { Desk } from "./Desk.ts"
import { remove, submit, submitKeys } from "./documentCommands.ts"
import { jobCommand } from "./jobCommands.ts"
import { sourceCommand, sourceKey } from "./sourceCommands.ts"
import type { Turn } from "./Turn.ts"

/** They lead to new contents, which can be made only under the spec that is live. Whether a retry does depends on the job. */
const needSpec: ReadonlySet<Command["_tag"]> = new Set(["DocumentSubmit", "SourceAdd", "SyncStart"])

/** `again`: to be taken up in the next turn, because this one has decided about the same already. */
type Handled = "done" | "again"

export const handleCommand = (
  desk: Desk,
  turn: Turn,
  message: { readonly command: Command; readonly reply: CommandReply }
): Effect.Effect<Handled, LogFailed> => {
  const { command, reply } = message
  const keys = keysOf(desk, command)
  const touched = turn.isTouched(keys)
  turn.touch(keys)
  if (touched) return Effect.succeed("again")
  if (!isKept(command)) return decide(desk, turn, message, undefined)
  const body = digestOf(command)
  if (body === "malformed") {
    refuse(turn, reply, command._tag, "malformed", "It holds text that has no UTF-8 form.")
    return Effect.succeed("done")
  }
  return Effect.matchEffect(answeredBefore(desk, command, body), {
    onFailure: (failure): Effect.Effect<Handled, LogFailed> => {
      if (failure._tag === "LogFailed") return failure
      fail(turn, reply, failure)
      return Effect.succeed("done")
    },
    onSuccess: (answer) => {
      if (answer === undefined) return decide(desk, turn, message, body)
      turn.replies.push(() => reply.succeed(answer))
      return Effect.succeed("done")
    }
  })
}

/** `body` of a command whose answer is kept. */
const decide = (
  desk: Desk,
  turn: Turn,
  { command, reply }: { readonly command: Command; readonly reply: CommandReply },
  body: Digest | undefined
): Effect.Effect<Handled, LogFailed> => {
  if (desk.differs && needSpec.has(command._tag)) {
    refuseForSpec(desk, turn, reply, command._tag)
    return Effect.succeed("done")
  }
  switch (command._tag) {
    case "DocumentSubmit":
      return submit(desk, turn, command, body, reply)
    case "DocumentRemove":
      return remove(desk, turn, command, body, reply)
    case "JobRetry":
    case "JobCancel":
      return jobCommand(desk, turn, command, body, reply)
    default:
      return sourceCommand(desk, turn, command, body, reply)
  }
}

const keysOf = (desk: Desk, command: Command): ReadonlyArray<string> => {
  const own = `command/${scopeKey(command.scope)}/${command.commandId}`
  switch (command._tag) {
    case "DocumentSubmit":
    case "DocumentRemove":
      return [own, ...submitKeys(desk, command)]
    case "JobRetry":
    case "JobCancel":
      return [own]
    default:
      return [own, sourceKey(command)]
  }
}

const digestOf = (command: Command): Digest | "malformed" => {
  try {
    return bodyDigest(command)
  } catch {
    return "malformed"
  }
}
