import { readFileSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { bundles } from "../support/cliProcess.ts"

/** A bundled file and all that is loaded with it. */
const loadedWith = (entry: string): ReadonlySet<string> => {
  const files = new Set<string>()
  const visit = (file: string) => {
    if (files.has(file)) return
    files.add(file)
    const imports = readFileSync(file, "utf8").matchAll(
      /^(?:import|(?:import [^\n]*|\}) from) ?"(\.[^"]+)"/gmu
    )
    for (const [, path = ""] of imports) visit(join(dirname(file), path))
  }
  visit(entry)
  return files
}

describe("every command", () => {
  const files = [...loadedWith(join(bundles, "bin", "main.js"))]

  it("loads no package that only some commands, languages or engines need", () => {
    const packages = files.flatMap((file) =>
      Array.from(
        readFileSync(file, "utf8").matchAll(/^\/\/ .*node_modules\/((?:@[^/\n]+\/)?[^/\n]+)\//gmu),
        ([, name]) => name
      )
    )
    assert.include(packages, "effect")
    for (const one of [
      "fast-check",
      "find-my-way-ts",
      "ini",
      "markdown-it",
      "nats",
      "snowball-stemmers",
      "toml",
      "undici",
      "yaml"
    ])
      assert.notInclude(packages, one)
  })

  it("loads less than a megabyte and a half: half of the time of a search is loading", () => {
    assert.isAbove(files.length, 3)
    assert.isBelow(
      files.reduce((bytes, file) => bytes + statSync(file).size, 0),
      1_500_000
    )
  })
})
