/**
 * Takes a command from the mailbox to whoever decides about it.
 */
import { Deferred, Effect } from "effect"
import type { Command } from "../../events/Commands.ts"
import { type Digest, scopeKey } from "../../events/Ids.ts"
import type { LogFailed } from "../../src/log/Log.ts"
import { answeredBefore, bodyDigest, type CommandReply, fail, isKept, refuse } from "./answer.ts"
import type { Desk } from "./Desk.ts"
import { remove, submit, submitKeys } from "./documentCommands.ts"
import { jobCommand } from "./jobCommands.ts"
import { sourceCommand, sourceKey } from "./sourceCommands.ts"
import type { Turn } from "./Turn.ts"

/** They lead to new contents, which can be made only under the spec that is live. */
const needSpec: ReadonlySet<Command["_tag"]> = new Set([
  "DocumentSubmit",
  "SourceAdd",
  "SyncStart",
  "JobRetry"
])

/** `again`: to be taken up in the next turn, because this one has decided about the same already. */
export const handleCommand = Effect.fnUntraced(function* (
  desk: Desk,
  turn: Turn,
  message: { readonly command: Command; readonly reply: CommandReply }
): Effect.fn.Return<"done" | "again", LogFailed> {
  const { command, reply } = message
  const keys = keysOf(desk, command)
  const touched = turn.isTouched(keys)
  turn.touch(keys)
  if (touched) return "again"
  const body = isKept(command) ? digestOf(command) : undefined
  if (body === "malformed") {
    refuse(turn, reply, command._tag, "malformed", "It holds text that has no UTF-8 form.")
    return "done"
  }
  if (body !== undefined) {
    const before = yield* Effect.either(answeredBefore(desk, command, body))
    if (before._tag === "Left") {
      if (before.left._tag === "LogFailed") return yield* before.left
      fail(turn, reply, before.left)
      return "done"
    }
    const answer = before.right
    if (answer !== undefined) {
      turn.sends.push(Effect.asVoid(Deferred.succeed(reply, answer)))
      return "done"
    }
  }
  if (desk.differs && needSpec.has(command._tag)) {
    refuse(turn, reply, command._tag, "spec-differs", differing(desk))
    return "done"
  }
  switch (command._tag) {
    case "DocumentSubmit":
      return yield* submit(desk, turn, command, body, reply)
    case "DocumentRemove":
      return yield* remove(desk, turn, command, body, reply)
    case "JobRetry":
    case "JobCancel":
      return yield* jobCommand(desk, turn, command, body, reply)
    default:
      return yield* sourceCommand(desk, turn, command, body, reply)
  }
})

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
