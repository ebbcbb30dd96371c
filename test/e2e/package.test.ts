/**
 * The package as others get it: packed, installed outside of the repository, used by its public names.
 *
 * By default its dependencies are linked from this repository, so that no registry is needed; with
 * REPRISE_TEST_INSTALL=1 (as `.ci/run` sets it) npm installs them, and with REPRISE_TEST_INSTALL=scripts it runs their
 * install scripts, too: better-sqlite3 compiles for two minutes then, what `npm ci` has done here already.
 */
import { execFile } from "node:child_process"
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"

const root = join(import.meta.dirname, "..", "..")
const installs = process.env["REPRISE_TEST_INSTALL"] !== undefined
const runsScripts = process.env["REPRISE_TEST_INSTALL"] === "scripts"
const minutes = 60_000

const run = (cwd: string, command: string, ...args: ReadonlyArray<string>) =>
  promisify(execFile)(command, args, {
    cwd,
    timeout: 9 * minutes,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, NO_COLOR: "1" }
  }).catch((error: { readonly message: string; readonly stdout?: string; readonly stderr?: string }) => {
    throw new Error(`${error.message}\n${error.stdout ?? ""}\n${error.stderr ?? ""}`)
  })

const json = (path: string) => JSON.parse(readFileSync(path, "utf8"))
const manifest = json(join(root, "package.json"))
const lock: { readonly packages: { readonly [path: string]: LockedPackage } } = json(
  join(root, "package-lock.json")
)
/** Rollup's own build needs it, on the machine that releases Rollup; nothing here loads it. */
const buildToolsOfOthers = /@napi-rs\/lzma/

interface LockedPackage {
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly os?: ReadonlyArray<string>
  readonly cpu?: ReadonlyArray<string>
  readonly optional?: boolean
  readonly hasInstallScript?: boolean
  readonly optionalDependencies?: { readonly [name: string]: string }
}

let work = ""
let tarball = ""
let packed: ReadonlyArray<string> = []

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "reprise-package-"))
  const { stdout } = await run(root, "npm", "pack", "--json", "--pack-destination", work)
  // What the build prints stands before npm's own JSON.
  const [answer] = JSON.parse(stdout.slice(stdout.indexOf("[\n")))
  tarball = join(work, answer.filename)
  packed = answer.files.map(({ path }: { readonly path: string }) => path)
}, 4 * minutes)

afterAll(() => rmSync(work, { recursive: true, force: true }))

/** What npm installed: each example's packages are among those of the one before. */
let installed: string | undefined

/** An example as a package of its own outside of the repository, with the tarball installed. */
const consumer = async (example: string): Promise<string> => {
  const folder = join(work, example)
  cpSync(join(root, "examples", example), folder, { recursive: true })
  const modules = join(folder, "node_modules")
  if (installs && installed !== undefined) {
    cpSync(installed, modules, { recursive: true, verbatimSymlinks: true })
    return folder
  }
  if (installs) {
    const scripts = runsScripts ? [] : ["--ignore-scripts"]
    await run(folder, "npm", "install", ...scripts, "--prefer-offline", "--no-audit", "--no-fund", tarball)
    const compiled = join("better-sqlite3", "build")
    if (!runsScripts)
      cpSync(join(root, "node_modules", compiled), join(modules, compiled), { recursive: true })
    installed = modules
    return folder
  }
  mkdirSync(join(modules, "reprise"), { recursive: true })
  await run(work, "tar", "-xzf", tarball, "--strip-components=1", "-C", join(modules, "reprise"))
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (name !== "reprise") symlinkSync(join(root, "node_modules", name), join(modules, name))
  }
  return folder
}

describe("the tarball", () => {
  it("holds what is built, what is documented and the licence; no tests and no sources", () => {
    for (const wanted of ["LICENSE", "README.md", "ARCHITECTURE.md", "CHANGELOG.md", "docs/configuration.md"])
      assert.include(packed, wanted)
    const foreign = packed.filter(
      (path) =>
        !/^(dist|docs|examples)\//.test(path) &&
        !/^(LICENSE|README\.md|ARCHITECTURE\.md|CHANGELOG\.md|package\.json)$/.test(path)
    )
    assert.deepStrictEqual(foreign, [])
    assert.deepStrictEqual(
      packed
        .filter((path) => /^dist\/(test|bench)\/|\.test\.|node_modules|\.sqlite/.test(path))
        .filter((path) => !path.startsWith("examples/")),
      []
    )
  })

  it("has a command and exports that are in it", () => {
    const named = [
      ...Object.values<string>(manifest.bin),
      ...Object.values<string | { readonly types: string; readonly default: string }>(
        manifest.exports
      ).flatMap((target) => (typeof target === "string" ? [target] : [target.types, target.default]))
    ].map((path) => path.replace(/^\.\//, ""))
    assert.deepStrictEqual(
      named.filter((path) => !packed.includes(path)),
      []
    )
  })

  it("has every thread that is started by name", () => {
    for (const name of ["log-writer", "indexer", "prepare"])
      assert.include(packed, `dist/threads/${name}.cjs`)
  })
})

describe("outside of the repository", () => {
  it(
    "a consumer's tests run against reprise/testing, and its types check",
    async () => {
      const folder = await consumer("test-your-integration")
      await run(folder, process.execPath, "node_modules/typescript/bin/tsc", "--noEmit")
      const { stdout } = await run(folder, process.execPath, "node_modules/vitest/vitest.mjs", "run")
      assert.match(stdout, /Tests +3 passed/)
    },
    10 * minutes
  )

  it(
    "a program embeds reprise, with its workers in threads; the command line reads what it wrote",
    async () => {
      const folder = await consumer("embed-in-your-program")
      const { stdout } = await run(folder, process.execPath, "main.js", "data")
      assert.strictEqual(stdout.trim(), "Refunds: A refund takes five working days.")
      const bin = join(folder, "node_modules", "reprise", manifest.bin.reprise)
      const answer = await run(
        folder,
        process.execPath,
        bin,
        "search",
        "invoice",
        "--json",
        "--data-dir",
        "data"
      )
      assert.strictEqual(JSON.parse(answer.stdout).hits[0].title, "Invoices")
      const version = await run(folder, process.execPath, bin, "--version")
      assert.strictEqual(version.stdout.trim(), manifest.version)
    },
    10 * minutes
  )
})

describe("the lock file", () => {
  const packages = Object.entries(lock.packages)

  it("names no registry, and has a digest of everything", () => {
    assert.deepStrictEqual(
      packages.filter(([, { resolved }]) => resolved !== undefined).map(([path]) => path),
      []
    )
    assert.deepStrictEqual(
      packages
        .filter(([path, { integrity }]) => path !== "" && integrity === undefined)
        .map(([path]) => path),
      []
    )
  })

  it("locks every optional package of every platform, so that npm ci takes it anywhere", () => {
    const missing = packages.flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies)
        .filter(
          (name) =>
            lock.packages[`${path}/node_modules/${name}`] === undefined &&
            lock.packages[`node_modules/${name}`] === undefined
        )
        .map((name) => `${path} → ${name}`)
    )
    assert.deepStrictEqual(missing, [])
  })

  it("has what is native for linux on x64 and on arm64, or its sources", () => {
    const families = new Map<string, Set<string>>()
    for (const [path, { cpu = [], os = [] }] of packages) {
      if (!os.includes("linux") || buildToolsOfOthers.test(path)) continue
      const family = path.replace(
        /[-/](linux|gnu|musl|x64|arm64|arm|ia32|s390x|ppc64|loong64|mips64el|riscv64|gnueabihf|musleabihf|eabi|gnueabi).*$/,
        ""
      )
      const known = families.get(family) ?? new Set()
      for (const one of cpu) known.add(one)
      families.set(family, known)
    }
    const partial = [...families].filter(([, cpus]) => !(cpus.has("x64") && cpus.has("arm64")))
    assert.deepStrictEqual(
      partial.map(([family]) => family),
      []
    )
    // The one native dependency of the product itself compiles where its binary cannot be had.
    assert.isTrue(existsSync(join(root, "node_modules", "better-sqlite3", "binding.gyp")))
    assert.isTrue(lock.packages["node_modules/better-sqlite3"]?.hasInstallScript)
  })

  it("lets no install script run that is not listed", () => {
    const listed: { readonly [name: string]: boolean } = manifest.allowScripts
    const scripts = packages
      .filter(([, { hasInstallScript }]) => hasInstallScript === true)
      .map(([path]) => path.replace(/^.*node_modules\//, ""))
    assert.deepStrictEqual(
      scripts.filter((name) => listed[name] === undefined && name !== "fsevents"),
      []
    )
  })
})
