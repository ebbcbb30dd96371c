import { spawnSync } from "node:child_process"
import { hash } from "node:crypto"
import { copyFileSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { bundles } from "../support/cliProcess.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** A bundled file and all that is loaded with it. */
const loadedWith = (entry: string): ReadonlySet<string> => {
  const files = new Set<string>()
  const visit = (file: string) => {
    if (files.has(file)) return
    files.add(file)
    const imports = readFileSync(file, "utf8").matchAll(/__required\("(\.[^"]+)"\)/gu)
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

/** How many scripts Node had to compile when it loaded this one with all that it needs; `first` is run before. */
const compiledFor = (
  loader: string,
  script: string,
  {
    environment = {},
    first = loader
  }: { readonly environment?: Record<string, string>; readonly first?: string } = {}
) => {
  const { status, stderr, stdout } = spawnSync(
    process.execPath,
    [
      "-e",
      "require(process.argv[3]); const { compiled, load } = require(process.argv[1]); load(process.argv[2]); console.log(compiled.length)"
    ].concat(loader, script, first),
    { encoding: "utf8", env: environment }
  )
  assert.strictEqual(status, 0, stderr)
  return Number(stdout)
}

describe("compiled code", () => {
  const bin = join(bundles, "bin")

  it("is there for all that every command loads", () => {
    assert.strictEqual(
      compiledFor(join(bin, "load.cjs"), join(bin, "main.js"), { first: join(bin, "start.cjs") }),
      0
    )
  })

  it.scopedLive("is left alone where it is damaged, or that of another script", () =>
    Effect.map(temporaryDirectory, (folder) => {
      copyFileSync(join(bin, "load.cjs"), join(folder, "load.cjs"))
      const loader = join(folder, "load.cjs")
      const script = join(folder, "script.js")
      const write = (answer: string) => {
        const text = `(function (exported) { exported.answer = () => "${answer}"; exported.answer() })`
        writeFileSync(script, `//${hash("sha256", text)}\n${text}`)
      }
      write("one")
      assert.strictEqual(compiledFor(loader, script, { environment: { KEEP_COMPILED_CODE: "1" } }), 1)
      assert.strictEqual(compiledFor(loader, script), 0)
      const kept = readFileSync(`${script}.code`)
      for (const share of [0.01, 0.2, 0.5, 0.99]) {
        const damaged = Buffer.from(kept)
        const at = Math.floor(share * kept.length)
        damaged[at] = (damaged[at] ?? 0) ^ 16
        writeFileSync(`${script}.code`, damaged)
        assert.strictEqual(compiledFor(loader, script), 1, String(share))
      }
      writeFileSync(`${script}.code`, kept.subarray(0, 40))
      assert.strictEqual(compiledFor(loader, script), 1)
      writeFileSync(`${script}.code`, kept)
      write("two")
      assert.strictEqual(compiledFor(loader, script), 1)
    })
  )
})
