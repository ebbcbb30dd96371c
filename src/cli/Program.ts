/**
 * The command line as a function: words in, an exit code out. What it touches of the outside comes through {@link Io}.
 */
import { CommandDescriptor } from "@effect/cli"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import { Cause, Effect, Either, Layer } from "effect"
import { documents, get } from "./commands/Documents.ts"
import { events } from "./commands/Events.ts"
import { build, recover, replay, verify } from "./commands/Generations.ts"
import { jobs, lanes } from "./commands/Jobs.ts"
import { log } from "./commands/Log.ts"
import { config, doctor, status } from "./commands/Operations.ts"
import { search } from "./commands/Search.ts"
import { serve } from "./commands/Serve.ts"
import { add, init, remove, sync } from "./commands/Sources.ts"
import { erase, gc } from "./commands/Storage.ts"
import { worker } from "./commands/Worker.ts"
import { type CommandEnvironment, type Definition, group } from "./Definition.ts"
import { type CliError, type ExitCode, exitCodeOf } from "./Exit.ts"
import { help } from "./Help.ts"
import { Io } from "./Io.ts"
import { complain, page } from "./Output.ts"
import { interruptible } from "./UntilStopped.ts"
import { type Line, readLine, type Shell } from "./Usage.ts"

export const root = group("reprise", "Keeps a search index correct, fresh and rebuildable.", [
  init,
  add,
  sync,
  remove,
  documents,
  get,
  search,
  status,
  build,
  replay,
  verify,
  recover,
  gc,
  erase,
  events,
  jobs,
  lanes,
  serve,
  worker,
  log,
  config,
  doctor
])

/** Never fails: what goes wrong is said, and shows in the code. */
export const program = (words: ReadonlyArray<string>): Effect.Effect<ExitCode, never, Io> => {
  const end = words.indexOf("--")
  const json = (end === -1 ? words : words.slice(0, end)).includes("--json")
  return Effect.gen(function* () {
    const line = readLine(root, words)
    if (Either.isLeft(line)) return yield* line.left
    return yield* perform(line.right)
  }).pipe(
    Effect.catchAll((error: CliError) => Effect.as(complain(json, error), exitCodeOf(error))),
    Effect.catchAllCause((cause) => {
      if (Cause.isInterruptedOnly(cause)) return Effect.succeed<ExitCode>(130)
      const error: CliError = { _tag: "InternalError", message: internal(cause) }
      return Effect.as(complain(json, error), exitCodeOf(error))
    }),
    Effect.provide(environment)
  )
}

const environment = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

const internal = (cause: Cause.Cause<unknown>): string => {
  const squashed = Cause.squash(cause)
  const what = squashed instanceof Error ? squashed.message : String(squashed)
  return `Something failed that should not: ${what}. What was acknowledged is safe. Run reprise doctor; if that finds nothing, report this.`
}

const perform = (line: Line): Effect.Effect<ExitCode, CliError, CommandEnvironment> => {
  switch (line._tag) {
    case "Version":
      return Effect.flatMap(Io, ({ version }) => printed(`${version}\n`))
    case "Help":
      return Effect.flatMap(page, ({ style }) => printed(help(style, line.path)))
    case "Completions":
      return Effect.flatMap(completions(line.shell), (lines) => printed(`${lines.join("\n")}\n`))
    case "Run":
      return line.leaf.stops ? line.leaf.run(line.line) : interruptible(line.leaf.run(line.line))
  }
}

const printed = (text: string) => Effect.flatMap(Io, (io) => Effect.as(io.out(text), 0 as const))

const completions = (shell: Shell): Effect.Effect<ReadonlyArray<string>> => {
  const tree = descriptorOf(root)
  if (shell === "bash") return CommandDescriptor.getBashCompletions(tree, root.name)
  return shell === "zsh"
    ? CommandDescriptor.getZshCompletions(tree, root.name)
    : CommandDescriptor.getFishCompletions(tree, root.name)
}

const descriptorOf = (definition: Definition): CommandDescriptor.Command<unknown> => {
  if (definition._tag === "Leaf") return definition.descriptor
  const [first, ...others] = definition.children.map(
    (child): readonly [string, CommandDescriptor.Command<unknown>] => [child.name, descriptorOf(child)]
  )
  const parent = CommandDescriptor.withDescription(
    CommandDescriptor.make(definition.name),
    definition.summary
  )
  return first === undefined ? parent : CommandDescriptor.withSubcommands(parent, [first, ...others])
}
