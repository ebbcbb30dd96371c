/** What the pages say is there, is there. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { SchemaAST } from "effect"
import { Event, schemaVersions } from "../events/index.ts"
import type { Definition } from "../src/cli/Definition.ts"
import { root as commandLine } from "../src/cli/Program.ts"

const root = join(import.meta.dirname, "..")
const read = (path: string) => readFileSync(join(root, path), "utf8")
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`)
]

/** Of a heading, as GitHub makes it. */
const anchor = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
    .replaceAll(/\s/g, "-")

const anchorsOf = (path: string): ReadonlyArray<string> =>
  Array.from(read(path).matchAll(/^#+ (.+)$/gm), ([, heading = ""]) => anchor(heading))

describe("the pages", () => {
  it("link to files and headings that exist", () => {
    const broken = pages.flatMap((page) =>
      Array.from(read(page).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link)
        .filter((link) => !/^[a-z]+:/.test(link))
        .filter((link) => {
          const [path = "", fragment] = link.split("#")
          const target = path === "" ? page : join(dirname(page), path)
          if (!existsSync(join(root, target))) return true
          return fragment !== undefined && !anchorsOf(target).includes(fragment)
        })
        .map((link) => `${page} → ${link}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("name tests that exist", () => {
    const missing = pages.flatMap((page) =>
      Array.from(
        read(page).matchAll(/`((?:test|src|actors|events|scripts|bench|examples)\/[\w./-]+)`/g),
        ([, path = ""]) => path
      )
        .filter((path) => !existsSync(join(root, path)))
        .map((path) => `${page}: ${path}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("run scripts that package.json has", () => {
    const { scripts } = JSON.parse(read("package.json"))
    const unknown = pages.flatMap((page) =>
      Array.from(
        read(page).matchAll(/\bnpm (?:run ([\w:-]+)|(test))\b/g),
        ([, script, test]) => script ?? test ?? ""
      )
        .filter((script) => scripts[script] === undefined)
        .map((script) => `${page}: npm run ${script}`)
    )
    assert.deepStrictEqual(unknown, [])
  })

  it("run commands that reprise has", () => {
    const known = namesOf(commandLine)
    const unknown = pages.flatMap((page) =>
      commandsOf(read(page))
        .filter((command) => !known.some((name) => command === name || command.startsWith(`${name} `)))
        .map((command) => `${page}: reprise ${command}`)
    )
    assert.deepStrictEqual(unknown, [])
  })
})

/** Every command with its group, as `log backup`. A group by itself is no command. */
const namesOf = (definition: Definition): ReadonlyArray<string> =>
  definition._tag === "Leaf"
    ? []
    : definition.children.flatMap((child) =>
        child._tag === "Leaf" ? [child.name] : namesOf(child).map((name) => `${child.name} ${name}`)
      )

/** What stands behind `reprise` in blocks of shell and in code within lines; flags and names of packages aside. */
const commandsOf = (text: string): ReadonlyArray<string> =>
  Array.from(text.matchAll(/(?:^(?:\$ )?|`|&& )reprise ([a-z][a-z -]*)/gm), ([, words = ""]) =>
    words.trim()
  ).filter((words) => words !== "")

describe("docs/events.md", () => {
  const rows = Array.from(
    read("docs/events.md").matchAll(/^\| `([A-Z]\w+)` \| (\d+) \| (.+?) \| .+ \|$/gm),
    ([, type = "", version = "", fields = ""]) => ({ type, version: Number(version), fields })
  )

  it("lists every event at its version", () => {
    assert.deepStrictEqual(
      Object.fromEntries(rows.map(({ type, version }) => [type, version])),
      schemaVersions
    )
  })

  it("names the fields of each", () => {
    const fieldsOf = (ast: SchemaAST.AST) =>
      SchemaAST.getPropertySignatures(ast)
        .filter(({ name }) => name !== "_tag")
        .map(({ isOptional, name }) => `\`${String(name)}${isOptional ? "?" : ""}\``)
        .join(", ")
    const expected = Object.fromEntries(
      Event.members.map((member) => [member._tag, fieldsOf(SchemaAST.encodedAST(member.ast))])
    )
    assert.deepStrictEqual(Object.fromEntries(rows.map(({ fields, type }) => [type, fields])), expected)
  })
})
