/**
 * What `--help` prints: how a command is called, its options, and for a group what there is.
 */
import { commonShapes, type Definition, type FlagShape, type Leaf } from "./Definition.ts"
import type { Style } from "./Style.ts"

export const help = (style: Style, path: ReadonlyArray<Definition>): string => {
  const here = path.at(-1)
  if (here === undefined) return ""
  const name = path.map((one) => one.name).join(" ")
  if (here._tag === "Leaf") return leafHelp(style, name, here)
  const lines = here.children.flatMap(
    (child): ReadonlyArray<readonly [string, string]> =>
      child._tag === "Leaf"
        ? [[usageOf(child), child.summary]]
        : [[`${child.name} ${child.children.map((one) => one.name).join("|")}`, child.summary]]
  )
  const root = path.length === 1
  return [
    `${here.summary}`,
    "",
    `${style.bold("Usage:")} ${name} <command> [options]`,
    "",
    style.bold("Commands:"),
    columns(style, lines),
    "",
    style.bold("Options of every command:"),
    columns(style, [...commonShapes.map(described), ["--help", "Explain a command"]]),
    ...(root
      ? [
          "",
          style.bold("Further:"),
          columns(style, [
            ["--version", "Print the version"],
            ["--completions <bash|zsh|fish>", "Print a completion script"]
          ]),
          "",
          style.bold("Begin with:"),
          "  reprise add docs/",
          '  reprise search "how do I begin"'
        ]
      : []),
    ""
  ].join("\n")
}

const usageOf = (leaf: Leaf): string => [leaf.name, argumentOf(leaf)].filter((part) => part !== "").join(" ")

const argumentOf = ({ arguments: { least, most, name, values } }: Leaf): string => {
  if (most === 0) return ""
  const word = values === undefined ? `<${name}>` : values.join("|")
  const repeated = most > 1 ? `${word}…` : word
  return least === 0 ? `[${repeated}]` : repeated
}

const described = ({ description, name, placeholder, repeated }: FlagShape): readonly [string, string] => [
  `--${name}${placeholder === undefined ? "" : ` ${placeholder}`}`,
  repeated === true ? `${description} (may be repeated)` : description
]

const leafHelp = (style: Style, name: string, leaf: Leaf): string => {
  const own = leaf.flags.filter((shape) => !commonShapes.includes(shape))
  const argument = argumentOf(leaf)
  return [
    leaf.summary,
    "",
    `${style.bold("Usage:")} ${name}${argument === "" ? "" : ` ${argument}`} [options]`,
    ...(leaf.details === "" ? [] : ["", leaf.details]),
    ...(own.length === 0 ? [] : ["", style.bold("Options:"), columns(style, own.map(described))]),
    "",
    style.bold("Options of every command:"),
    columns(style, commonShapes.map(described)),
    ""
  ].join("\n")
}

const columns = (style: Style, rows: ReadonlyArray<readonly [string, string]>): string => {
  const width = Math.min(
    36,
    rows.reduce((most, [left]) => Math.max(most, left.length), 0)
  )
  return rows
    .map(([left, right]) =>
      left.length > width
        ? `  ${style.cyan(left)}\n  ${" ".repeat(width)}  ${right}`
        : `  ${style.cyan(left)}${" ".repeat(width - left.length)}  ${right}`
    )
    .join("\n")
}
