/**
 * Reads a command line up to the point where its options only have to be decoded, and says exactly what is wrong with it.
 *
 * `@effect/cli` takes an unknown option of a command with many arguments for one more argument, lets a switch swallow the
 * word `true`, and names neither the option nor the nearest one. What leaves here is free of all that: known options first,
 * then `--`, then arguments.
 */
import { Either } from "effect"
import { commonShapes, type Definition, type FlagShape, type Group, type Leaf } from "./Definition.ts"
import { UsageError } from "./Exit.ts"

export const shells = ["bash", "zsh", "fish"] as const
export type Shell = (typeof shells)[number]

export type Line =
  | { readonly _tag: "Run"; readonly leaf: Leaf; readonly line: ReadonlyArray<string> }
  | { readonly _tag: "Help"; readonly path: ReadonlyArray<Definition> }
  | { readonly _tag: "Version" }
  | { readonly _tag: "Completions"; readonly shell: Shell }

/** Most words of a line: beyond it, a list of files is better synced as a directory. */
const mostWords = 100_000

/** `words`: without runtime and script. */
export const readLine = (root: Group, words: ReadonlyArray<string>): Either.Either<Line, UsageError> => {
  if (words.length > mostWords) return wrong(`More than ${mostWords} words. Add their directory instead.`)
  const [first, second] = words
  if (first === "--version" || first === "-v") return Either.right({ _tag: "Version" })
  if (first === "--completions") {
    const shell = shells.find((one) => one === second)
    if (shell === undefined) return wrong(`--completions needs one of ${shells.join(", ")}.`)
    return Either.right({ _tag: "Completions", shell })
  }
  const asked = first === "help" ? [...words.slice(1), "--help"] : words
  return readCommand(root, asked)
}

const readCommand = (root: Group, words: ReadonlyArray<string>): Either.Either<Line, UsageError> => {
  const path: Array<Definition> = [root]
  const early: Array<string> = []
  const end = words.indexOf("--")
  const options = end === -1 ? words : words.slice(0, end)
  const help = options.some((word) => word === "--help" || word === "-h")
  let at = 0
  let here: Definition = root
  while (here._tag === "Group") {
    const word = words[at]
    if (word === undefined || word === "--help" || word === "-h") break
    at += 1
    if (word.startsWith("-") && word !== "-") {
      const shape = shapeOf(commonShapes, nameOf(word))
      if (shape === undefined) {
        return wrong(`${word} is not an option of ${spelled(path)}. ${optionsOf(path, commonShapes, word)}`)
      }
      early.push(word)
      if (shape.placeholder !== undefined && !word.includes("=") && words[at] !== undefined) {
        early.push(words[at] ?? "")
        at += 1
      }
      continue
    }
    const child: Definition | undefined = here.children.find(({ name }) => name === word)
    if (child === undefined) {
      const names = here.children.map(({ name }) => name)
      return wrong(
        `${spelled(path)} has no command ${JSON.stringify(word)}. ${suggestion(word, names, "Its commands")}`
      )
    }
    path.push(child)
    here = child
  }
  if (help || (here === root && early.length === 0)) return Either.right({ _tag: "Help", path })
  if (here._tag === "Group") {
    return wrong(`${spelled(path)} needs a command: ${here.children.map(({ name }) => name).join(", ")}.`)
  }
  return readOptions(here, spelled(path), [...early, ...words.slice(at)])
}

const readOptions = (
  leaf: Leaf,
  name: string,
  words: ReadonlyArray<string>
): Either.Either<Line, UsageError> => {
  const given = new Map<FlagShape, Array<string>>()
  const args: Array<string> = []
  let at = 0
  while (at < words.length) {
    const word = words[at] ?? ""
    at += 1
    if (word === "--") {
      args.push(...words.slice(at))
      break
    }
    if (!word.startsWith("-") || word === "-") {
      args.push(word)
      continue
    }
    const shape = shapeOf(leaf.flags, nameOf(word))
    if (shape === undefined) {
      return wrong(
        `${word} is not an option of ${name}. ${optionsOf([leaf], leaf.flags, word)} Put -- before an argument that begins with a dash.`
      )
    }
    const equals = word.indexOf("=")
    if (shape.placeholder === undefined) {
      if (equals !== -1) return wrong(`--${shape.name} takes no value.`)
      given.set(shape, [])
      continue
    }
    const next = words[at]
    const value = equals === -1 ? next : word.slice(equals + 1)
    const isOption = equals === -1 && next?.startsWith("--") === true
    if (value === undefined || isOption) return wrong(`--${shape.name} needs a value: ${shape.placeholder}.`)
    if (equals === -1) at += 1
    if (shape.expected !== undefined && !shape.expected.holds(value)) {
      return wrong(`--${shape.name} is ${JSON.stringify(value)}, expected ${shape.expected.words}.`)
    }
    given.set(shape, shape.repeated ? [...(given.get(shape) ?? []), value] : [value])
  }
  const { least, most, name: argument, values } = leaf.arguments
  if (args.length < least)
    return wrong(`${name} needs ${argument === "" ? "an argument" : `<${argument}>`}. See: ${name} --help`)
  if (args.length > most) {
    return wrong(
      `${name} takes ${most === 0 ? "no argument" : "one argument"}, and ${JSON.stringify(args[most])} is one too many.${most === 1 ? " Put it in quotes if it has several words." : ""}`
    )
  }
  const [first] = args
  if (values !== undefined && first !== undefined && !values.includes(first)) {
    return wrong(`${JSON.stringify(first)} is no ${argument}. ${suggestion(first, values, "There are")}`)
  }
  const line = [...given].flatMap(([shape, found]) =>
    shape.placeholder === undefined
      ? [`--${shape.name}`]
      : found.flatMap((value) => [`--${shape.name}`, value])
  )
  return Either.right({ _tag: "Run", leaf, line: [...line, "--", ...args] })
}

const wrong = (detail: string) => Either.left(new UsageError({ detail }))

const nameOf = (word: string): string => word.replace(/^--?/, "").split("=")[0] ?? ""

const shapeOf = (shapes: ReadonlyArray<FlagShape>, name: string): FlagShape | undefined =>
  shapes.find((one) => one.name === name)

const spelled = (path: ReadonlyArray<Definition>): string => path.map(({ name }) => name).join(" ")

const optionsOf = (
  _path: ReadonlyArray<Definition>,
  shapes: ReadonlyArray<FlagShape>,
  word: string
): string =>
  suggestion(
    nameOf(word),
    shapes.map(({ name }) => name),
    "Its options",
    "--"
  )

const suggestion = (word: string, names: ReadonlyArray<string>, all: string, prefix = ""): string => {
  const close = nearest(word, names)
  return close === undefined
    ? `${all}: ${names.map((name) => prefix + name).join(", ")}.`
    : `Did you mean ${prefix}${close}?`
}

/** The name that the fewest edits away, if it is near enough to be meant. */
export const nearest = (word: string, names: ReadonlyArray<string>): string | undefined => {
  const [best] = names
    .map((name) => ({
      name,
      edits: name.startsWith(word) && word.length > 1 ? 0.5 : editsBetween(word, name)
    }))
    .sort((one, other) => one.edits - other.edits)
  return best !== undefined && best.edits <= Math.max(1, Math.floor(best.name.length / 3))
    ? best.name
    : undefined
}

/** Insertions, deletions, replacements and swaps of neighbours (optimal string alignment), of words of bounded length. */
const editsBetween = (one: string, other: string): number => {
  if (one.length > 40) return Number.POSITIVE_INFINITY
  let before: Array<number> = []
  let row = Array.from({ length: other.length + 1 }, (_, at) => at)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const change = one[i - 1] === other[j - 1] ? 0 : 1
      let least = Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, (row[j - 1] ?? 0) + change)
      if (i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1])
        least = Math.min(least, (before[j - 2] ?? 0) + 1)
      next.push(least)
    }
    before = row
    row = next
  }
  return row[other.length] ?? 0
}
