/** House rules that a program can check. */
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join, relative, resolve } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { failpointNames } from "../src/faults/Failpoints.ts"

const root = join(dirname(fileURLToPath(import.meta.url)), "..")

const filesBelow = (folder: string): ReadonlyArray<string> =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .map((name) => join(folder, name))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))

const product = ["events", "actors", "src"].flatMap(filesBelow)
const source = (file: string) => readFileSync(join(root, file), "utf8")

/** Whatever people wrote here: code, tests, scripts, pages. Fixtures are texts of others. */
const written = ["", "docs", "scripts", "bench", "test", "examples", "events", "actors", "src"]
  .flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: folder !== "", encoding: "utf8" }).map((name) =>
      join(folder, name)
    )
  )
  .filter((file) => /\.(ts|js|md|json)$/.test(file))
  .filter((file) => !/node_modules|^test\/(fixtures|golden)\/|^package-lock\.json$/.test(file))

interface Import {
  readonly from: string
  readonly to: string
}

const importsOf = (file: string): ReadonlyArray<Import> =>
  Array.from(source(file).matchAll(/(?:from|import)\s*\(?\s*"([^"]+)"/g), ([, specifier = ""]) => ({
    from: file,
    to: specifier.startsWith(".") ? relative(root, resolve(root, dirname(file), specifier)) : specifier
  }))

const imports = product.flatMap(importsOf)

/** cli, http, mcp, messaging → runtime → actors → the other rooms of src → events. A room may import from its own level. */
const level = (file: string): number => {
  if (/^src\/(cli|http|mcp|messaging)\//.test(file)) return 4
  if (/^src\/runtime\//.test(file) || /^src\/threads\/entries\//.test(file)) return 3
  if (file.startsWith("actors/")) return 2
  if (file.startsWith("src/")) return 1
  return 0
}

const show = (found: ReadonlyArray<Import>) => found.map(({ from, to }) => `${from} → ${to}`)

describe("architecture", () => {
  it("dependencies point one way: cli → runtime → actors → src → events", () => {
    const against = imports.filter(
      ({ from, to }) => /^(events|actors|src)\//.test(to) && level(to) > level(from)
    )
    assert.deepStrictEqual(show(against), [])
  })

  it("an interface imports no other, but for the command that starts them all", () => {
    const room = (file: string) => /^src\/(cli|http|mcp|messaging)\//.exec(file)?.[1]
    const against = imports.filter(
      ({ from, to }) =>
        from !== "src/cli/commands/Serve.ts" &&
        room(from) !== undefined &&
        room(to) !== undefined &&
        room(from) !== room(to)
    )
    assert.deepStrictEqual(show(against), [])
  })

  it("events depend on nothing but effect and Node's own hashing", () => {
    const foreign = imports.filter(
      ({ from, to }) => from.startsWith("events/") && !/^(events\/|effect$|effect\/|node:crypto$)/.test(to)
    )
    assert.deepStrictEqual(show(foreign), [])
  })

  it("actors import ports, never an implementation", () => {
    const implementations =
      /^src\/.*\/(Sqlite|InProcess|Nats|Embedded|Qdrant|Hashing|OpenAi|Local|Node)[A-Za-z]*\.ts$|^(better-sqlite3|nats|@qdrant\/.*|@effect\/sql.*)$/
    const against = imports.filter(({ from, to }) => from.startsWith("actors/") && implementations.test(to))
    assert.deepStrictEqual(show(against), [])
  })

  it("only tests and the runtime import from test/", () => {
    assert.deepStrictEqual(show(imports.filter(({ to }) => to.startsWith("test/"))), [])
  })

  it("clock, randomness, environment and console are reached through services", () => {
    const forbidden = /\bDate\.now\(|new Date\(\)|\bMath\.random\(|\bprocess\.env\b|\bconsole\./
    const found = product
      .filter((file) => !/^src\/(runtime|cli)\//.test(file))
      .filter((file) => forbidden.test(source(file)))
    assert.deepStrictEqual(found, [])
  })

  it("nobody silences the compiler", () => {
    const silenced = /\bas any\b|: any\b|@ts-(ignore|nocheck|expect-error)|\bas unknown as\b/
    assert.deepStrictEqual(
      product.filter((file) => silenced.test(source(file))),
      []
    )
  })

  it("there are no barrels but events/index.ts", () => {
    const barrels = product.filter((file) => /(^|\/)index\.ts$/.test(file))
    assert.deepStrictEqual(barrels, ["events/index.ts"])
  })

  it("every failpoint stands before or after a durable step somewhere", () => {
    const all = product
      .filter((file) => file !== "src/faults/Failpoints.ts")
      .map(source)
      .join("\n")
    const hit = (name: string) => all.includes(`"${name}"`) || all.includes(`\`${name}\``)
    const stem = (name: string) => name.replace(/\.(before|after)$/, "")
    const unused = failpointNames.filter(
      (name) => !hit(name) && !all.includes(`"${stem(name)}"`) && !all.includes(`"${stem(name)}.`)
    )
    assert.deepStrictEqual(unused, [])
  })

  it("no file names the machine that it was written on", () => {
    const machine = /\/(?:home|Users)\/[a-z]\w*\/|\/work\/(?:main|wt|scratch|shared)\b|\bC:\\Users\\/
    assert.deepStrictEqual(
      written.filter((file) => file !== "test/architecture.test.ts" && machine.test(source(file))),
      []
    )
  })

  it("nothing is left for later in a comment: what is open stands in docs/roadmap.md", () => {
    const later = /\b(?:TODO|FIXME|XXX|HACK)\b/
    assert.deepStrictEqual(
      written.filter((file) => file !== "test/architecture.test.ts" && later.test(source(file))),
      []
    )
  })

  it("files are named by a noun, not by what is left over", () => {
    const leftover = /(?:^|\/)[^/]*(?:util|helper|manager|misc|common)s?[^/]*\.ts$/i
    assert.deepStrictEqual(
      product.filter((file) => leftover.test(file) && file !== "src/embedding/CommonWords.ts"),
      []
    )
  })
})
