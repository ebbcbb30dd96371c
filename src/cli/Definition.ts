/**
 * A command as it is defined once: its options and arguments decide how its line is checked, decoded, completed and
 * explained.
 */
import { Args, CliConfig, CommandDescriptor, Options } from "@effect/cli"
import type { FileSystem, Path, Terminal } from "@effect/platform"
import { Effect, Option, Record, Schema } from "effect"
import { defaultScope, ProjectName, type ProjectScope, TeamName } from "../../events/Ids.ts"
import { type CliError, type ExitCode, UsageError } from "./Exit.ts"
import type { Io } from "./Io.ts"

/** What is known of an option without its value's type. */
export interface FlagShape {
  /** Without the dashes. */
  readonly name: string
  /** Stands for its value in help: `<n>`; none for a switch. */
  readonly placeholder?: string
  readonly description: string
  readonly repeated?: boolean
  /** What its value must be, in words, and whether a text is that. */
  readonly expected?: { readonly words: string; readonly holds: (text: string) => boolean }
  /** The values there are, for completions and suggestions. */
  readonly values?: ReadonlyArray<string>
}

export interface Flag<A> extends FlagShape {
  readonly options: Options.Options<A>
}

const optional = <A>(options: Options.Options<A>): Options.Options<A | undefined> =>
  Options.map(Options.optional(options), Option.getOrUndefined)

export const flag = (name: string, description: string): Flag<boolean> => ({
  name,
  description,
  options: Options.withDescription(Options.boolean(name), description)
})

export const textFlag = (
  name: string,
  placeholder: string,
  description: string,
  expected?: FlagShape["expected"]
): Flag<string | undefined> => ({
  name,
  placeholder,
  description,
  ...(expected && { expected }),
  options: optional(Options.withDescription(Options.text(name), description))
})

export const textFlags = (
  name: string,
  placeholder: string,
  description: string
): Flag<ReadonlyArray<string>> => ({
  name,
  placeholder,
  description,
  repeated: true,
  options: Options.repeated(Options.withDescription(Options.text(name), description))
})

export const integerFlag = (
  name: string,
  description: string,
  least: number,
  most: number
): Flag<number | undefined> => ({
  name,
  placeholder: "<n>",
  description,
  expected: {
    words: `a whole number from ${least} to ${most}`,
    holds: (text) => /^-?\d{1,16}$/.test(text) && Number(text) >= least && Number(text) <= most
  },
  options: optional(Options.withDescription(Options.integer(name), description))
})

export const choiceFlag = <const Value extends string>(
  name: string,
  values: ReadonlyArray<Value>,
  description: string
): Flag<Value | undefined> => ({
  name,
  placeholder: `<${values.join("|")}>`,
  description,
  values,
  expected: {
    words: `one of ${values.join(", ")}`,
    holds: (text) => values.some((value) => value === text)
  },
  options: optional(Options.withDescription(Options.choice(name, values), description))
})

/** What stands after a command's name and is no option. */
export interface ArgumentsShape {
  readonly name: string
  readonly least: number
  readonly most: number
  readonly values?: ReadonlyArray<string>
}

export interface Arguments<A> extends ArgumentsShape {
  readonly args: Args.Args<A>
}

export const noArguments: Arguments<void> = { name: "", least: 0, most: 0, args: Args.none }

export const oneArgument = (name: string): Arguments<string> => ({
  name,
  least: 1,
  most: 1,
  args: Args.text({ name })
})

export const oneOf = <const Values extends readonly [string, ...Array<string>]>(
  name: string,
  values: Values
): Arguments<Values[number]> => ({
  name,
  least: 1,
  most: 1,
  values,
  args: Args.withSchema(Args.text({ name }), Schema.Literal(...values))
})

export const optionalArgument = (name: string): Arguments<string | undefined> => ({
  name,
  least: 0,
  most: 1,
  args: Args.map(Args.optional(Args.text({ name })), Option.getOrUndefined)
})

export const manyArguments = (name: string, least: number): Arguments<ReadonlyArray<string>> => ({
  name,
  least,
  most: Number.POSITIVE_INFINITY,
  args: Args.repeated(Args.text({ name }))
})

const scopeName = {
  words: "lower-case letters, digits, - and _, at most 63, a letter or digit first",
  holds: Schema.is(TeamName)
}

/** On each command. */
const commonFlags = {
  json: flag("json", "Print JSON, and nothing else, on standard output"),
  dataDir: textFlag(
    "data-dir",
    "<directory>",
    "The data directory (else REPRISE_DATA_DIR, .reprise/ upwards, XDG)"
  ),
  team: textFlag("team", "<name>", "The team (default: default)", scopeName),
  project: textFlag("project", "<name>", "The project (default: default)", scopeName)
}

export const commonShapes: ReadonlyArray<FlagShape> = Object.values(commonFlags)

/** What each command is told besides its own options. */
export interface Common {
  readonly json: boolean
  readonly dataDir: string | undefined
  readonly scope: ProjectScope
  /** Set where a team or a project was named: views that span all projects are narrowed to it. */
  readonly namedScope: ProjectScope | undefined
}

type Values<Flags> = { readonly [Key in keyof Flags]: Flags[Key] extends Flag<infer A> ? A : never }

export type CommandEnvironment = Io | FileSystem.FileSystem | Path.Path | Terminal.Terminal

export interface Leaf {
  readonly _tag: "Leaf"
  readonly name: string
  readonly summary: string
  readonly details: string
  readonly flags: ReadonlyArray<FlagShape>
  readonly arguments: ArgumentsShape
  /** Ends by itself, with its receipt, when `Io.stop` is done; others are interrupted. */
  readonly stops: boolean
  readonly descriptor: CommandDescriptor.Command<unknown>
  /** `line`: options with their values, then `--`, then arguments. */
  readonly run: (line: ReadonlyArray<string>) => Effect.Effect<ExitCode, CliError, CommandEnvironment>
}

export interface Group {
  readonly _tag: "Group"
  readonly name: string
  readonly summary: string
  readonly children: ReadonlyArray<Definition>
}

export type Definition = Leaf | Group

export const group = (name: string, summary: string, children: ReadonlyArray<Definition>): Group => ({
  _tag: "Group",
  name,
  summary,
  children
})

const config = CliConfig.make({ showBuiltIns: false })

export const command = <Flags extends { readonly [key: string]: Flag<unknown> }, A>(definition: {
  readonly name: string
  readonly summary: string
  /** Further lines for its own help. */
  readonly details?: string
  readonly flags: Flags
  readonly arguments: Arguments<A>
  readonly stops?: boolean
  readonly run: (
    values: Values<Flags>,
    argument: A,
    common: Common
  ) => Effect.Effect<ExitCode, CliError, CommandEnvironment>
}): Leaf => {
  const { details, flags, name, run, stops, summary } = definition
  const all = { ...flags, ...commonFlags }
  const descriptor = CommandDescriptor.withDescription(
    CommandDescriptor.make(
      name,
      // A mapped type over a generic record is beyond what `Options.all` can say of itself.
      Options.all(Record.map(all, ({ options }) => options)) as Options.Options<
        Values<Flags> & Values<typeof commonFlags>
      >,
      definition.arguments.args
    ),
    summary
  )
  return {
    _tag: "Leaf",
    name,
    summary,
    details: details ?? "",
    flags: Object.values(all),
    arguments: definition.arguments,
    stops: stops ?? false,
    descriptor,
    run: (line) =>
      Effect.gen(function* () {
        const directive = yield* Effect.mapError(
          CommandDescriptor.parse(descriptor, [name, ...line], config),
          () => new UsageError({ detail: `The options of reprise ${name} could not be read.` })
        )
        if (directive._tag !== "UserDefined" || directive.leftover.length > 0)
          return yield* new UsageError({ detail: `The options of reprise ${name} could not be read.` })
        const { args, options } = directive.value
        return yield* run(options, args, commonOf(options))
      })
  }
}

const commonOf = ({ dataDir, json, project, team }: Values<typeof commonFlags>): Common => {
  const scope = {
    team: team === undefined ? defaultScope.team : TeamName.make(team),
    project: project === undefined ? defaultScope.project : ProjectName.make(project)
  }
  const named = team !== undefined || project !== undefined
  return { json, dataDir, scope, namedScope: named ? scope : undefined }
}
