/** The bundled command line as a process: what only a process can show. */
import { spawnSync } from "node:child_process"
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { bundles, CliProcesses, cli } from "../support/cliProcess.ts"

let folder = ""
const processes = new CliProcesses()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reprise-e2e-"))
  mkdirSync(join(folder, "docs"))
  for (let n = 0; n < 5; n++)
    writeFileSync(join(folder, "docs", `n${n}.md`), `# Note ${n}\n\nWhat is said in note ${n}.\n`)
})

afterEach(() => {
  processes.killAll()
  rmSync(folder, { recursive: true, force: true })
})

const start = (words: ReadonlyArray<string>, script = cli) =>
  processes.start(words, { folder, environment: { REPRISE_DATA_DIR: join(folder, "data") }, script })

const run = (...words: ReadonlyArray<string>) => start(words).ended

describe("the process", { timeout: 120_000 }, () => {
  it("answers --version at once, and help and errors with their codes", async () => {
    assert.match((await run("--version")).out, /^\d+\.\d+\.\d+\n$/)
    assert.strictEqual((await run("--help")).code, 0)
    const wrong = await run("serch", "--json")
    assert.deepStrictEqual([wrong.code, JSON.parse(wrong.out).error.code], [2, "UsageError"])
    assert.match(wrong.err, /^error: .*Did you mean search\?\n$/)
  })

  it.skipIf(!existsSync("/dev/full"))("says in a sentence that its output cannot be written", async () => {
    await run("add", "docs")
    const full = openSync("/dev/full", "w")
    const { status, stderr } = spawnSync(process.execPath, [cli, "status", "--json"], {
      env: { PATH: process.env["PATH"], HOME: folder, REPRISE_DATA_DIR: join(folder, "data") },
      stdio: ["ignore", full, "pipe"],
      encoding: "utf8"
    })
    closeSync(full)
    assert.strictEqual(status, 1)
    assert.match(stderr, /^error: The output could not be written: ENOSPC[^\n]*\n$/)
  })

  it("prints one JSON object on standard output and nothing else, and no colours where there is no terminal", async () => {
    const added = await run("add", "docs", "--json")
    assert.strictEqual(added.code, 0, added.err)
    assert.strictEqual(JSON.parse(added.out).added, 5)
    assert.strictEqual(added.out.trimEnd().split("\n").length, 1)
    assert.strictEqual(added.err, "")
    const found = await run("search", "note", "--limit", "2")
    assert.notInclude(found.out, "\u001b")
  })

  it("refuses a second writer with exit 4 and the first one's name, while reads go on", async () => {
    await run("add", "docs")
    const holding = start(["add", "docs", "--full", "--json"])
    const stalled = start(["events", "--follow", "--json"])
    await stalled.seen(() => stalled.out().includes("SourceAdded"))
    await holding.ended
    stalled.child.kill("SIGTERM")
    assert.strictEqual((await stalled.ended).code, 130)
    const { default: SqliteDatabase } = await import("better-sqlite3")
    const lock = new SqliteDatabase(join(folder, "data", "lock.sqlite"))
    try {
      lock.exec("BEGIN EXCLUSIVE")
      writeFileSync(
        join(folder, "data", "holder"),
        JSON.stringify({ hostname: "here", pid: 4711, started: "2026-01-01", command: "reprise sync" })
      )
      const refused = await run("sync", "--json")
      assert.strictEqual(refused.code, 4)
      assert.deepStrictEqual(JSON.parse(refused.out).error.code, "LogLocked")
      assert.match(refused.err, /reprise sync \(pid 4711 on here/)
      assert.strictEqual((await run("search", "note")).code, 0)
    } finally {
      lock.close()
    }
  })

  it("starts only the threads that there is work for", async () => {
    const watch = join(folder, "watch.cjs")
    writeFileSync(
      watch,
      `const threads = require("node:worker_threads")
      threads.Worker = class extends threads.Worker {
        constructor(file, options) {
          require("node:fs").writeSync(2, "thread " + options.name + "\\n")
          super(file, options)
        }
      }`
    )
    const threadsOf = async (...words: ReadonlyArray<string>) => {
      const environment = { REPRISE_DATA_DIR: join(folder, "data"), NODE_OPTIONS: `--require ${watch}` }
      const { code, err } = await processes.start(words, { folder, environment }).ended
      assert.strictEqual(code, 0, err)
      return [...new Set(Array.from(err.matchAll(/^thread (\S+)$/gmu), ([, name]) => name))].sort()
    }
    const news = ["files", "indexer", "log-writer", "prepare"]
    const noNews = ["files", "log-writer"]
    assert.deepStrictEqual(await threadsOf("add", "docs"), news)
    assert.deepStrictEqual(await threadsOf("sync"), noNews)
    assert.deepStrictEqual(await threadsOf("add", "docs"), noNews)
    assert.deepStrictEqual(await threadsOf("search", "note"), [])
  })

  it("ends quietly when nobody reads what it prints", async () => {
    await run("add", "docs")
    const following = start(["events", "--follow"])
    await following.seen(() => following.out().length > 0)
    following.child.stdout?.destroy()
    // The next line has nobody to go to.
    writeFileSync(join(folder, "docs", "more.md"), "# More\n\nMore.\n")
    await run("sync", "--full", "--json")
    const ended = await following.ended
    assert.strictEqual(ended.code, 0)
    assert.strictEqual(ended.err, "")
  })

  it("finishes what is under way at the first Ctrl-C, prints the receipt and exits 130; then goes on", async () => {
    for (let n = 0; n < 400; n++)
      writeFileSync(join(folder, "docs", `many${n}.md`), `# Many ${n}\n\n${`Sentence ${n}. `.repeat(200)}\n`)
    const adding = start(["add", "docs", "--json"])
    await adding.seen(() => existsSync(join(folder, "data", "holder")))
    const events = start(["events", "--follow", "--type", "DocumentCommitted"])
    await events.seen(() => events.out().includes("DocumentCommitted") || adding.child.exitCode !== null)
    adding.child.kill("SIGINT")
    const ended = await adding.ended
    events.child.kill("SIGKILL")
    assert.strictEqual(ended.code, 130, ended.err)
    const receipt = JSON.parse(ended.out)
    assert.isTrue(receipt.interrupted)
    assert.isAbove(receipt.added, 0)
    assert.strictEqual(receipt.failed, 0)
    const rest = JSON.parse((await run("add", "docs", "--json")).out)
    assert.strictEqual(rest.added + rest.unchanged, 405)
    assert.strictEqual((await run("verify")).code, 0)
  })

  it("ends at once at the second Ctrl-C, and loses nothing that was acknowledged", async () => {
    for (let n = 0; n < 400; n++)
      writeFileSync(join(folder, "docs", `many${n}.md`), `# Many ${n}\n\n${`Sentence ${n}. `.repeat(200)}\n`)
    const adding = start(["add", "docs", "--json"])
    await adding.seen(() => existsSync(join(folder, "data", "holder")))
    adding.child.kill("SIGINT")
    await new Promise((wake) => setTimeout(wake, 5))
    adding.child.kill("SIGINT")
    assert.strictEqual((await adding.ended).code, 130)
    const rest = JSON.parse((await run("add", "docs", "--json")).out)
    assert.strictEqual(rest.requested, 405)
    assert.strictEqual((await run("verify")).code, 0)
    assert.strictEqual((await run("log", "verify")).code, 0)
  })

  it("C7: names the remedy where the native module is missing, or made for another Node", async () => {
    const broken = join(folder, "broken")
    cpSync(join(bundles, "bin"), join(broken, "bin"), { recursive: true })
    cpSync(join(bundles, "threads"), join(broken, "threads"), { recursive: true })
    const script = join(broken, "bin", "reprise.js")
    assert.match(
      (await start(["add", "docs"], script).ended).err,
      /better-sqlite3.*npm rebuild better-sqlite3/
    )
    mkdirSync(join(broken, "node_modules", "better-sqlite3"), { recursive: true })
    writeFileSync(
      join(broken, "node_modules", "better-sqlite3", "index.js"),
      'module.exports = class { constructor() { throw new Error("was compiled against a different Node.js version") } }; module.exports.SqliteError = class extends Error {}\n'
    )
    for (const words of [["add", "docs"], ["init"], ["log", "import", "x"]]) {
      const ended = await start([...words, "--json"], script).ended
      assert.deepStrictEqual([ended.code, JSON.parse(ended.out).error.code], [2, "NativeModuleMissing"])
      assert.match(ended.err, /different Node\.js version.*npm rebuild/)
    }
    const doctor = await start(["doctor", "--json"], script).ended
    assert.strictEqual(doctor.code, 1)
    assert.match(JSON.stringify(JSON.parse(doctor.out).checks), /"sqlite","state":"failed"/)
    assert.isFalse(existsSync(join(folder, "data")))
  })
})
