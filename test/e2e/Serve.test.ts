/** `reprise serve` as a process, with command lines that work through it. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "@effect/vitest"
import { CliProcesses } from "../support/cliProcess.ts"

let folder = ""
const processes = new CliProcesses()

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "reprise-serve-"))
  write(5)
})

afterEach(() => {
  processes.killAll()
  rmSync(folder, { recursive: true, force: true })
})

const write = (count: number, name = "docs") => {
  mkdirSync(join(folder, name), { recursive: true })
  for (let n = 0; n < count; n++)
    writeFileSync(join(folder, name, `n${n}.md`), `# Note ${n}\n\nWhat is said in note ${n} of ${name}.\n`)
}

const start = (words: ReadonlyArray<string>, data = join(folder, "data")) =>
  processes.start(words, { folder, environment: { REPRISE_DATA_DIR: data, REPRISE_HTTP_PORT: "0" } })

const run = (words: ReadonlyArray<string>, data?: string) => start(words, data).ended

const json = async (words: ReadonlyArray<string>, data?: string) => {
  const { code, err, out } = await run([...words, "--json"], data)
  assert.match(out, /^[^\n]+\n$/, err)
  return { code, err, value: JSON.parse(out) }
}

const serve = async (words: ReadonlyArray<string> = [], data?: string) => {
  const server = start(["serve", "--json", ...words], data)
  await server.seen(() => server.out().includes("\n"))
  return { ...server, ready: JSON.parse(server.out()) }
}

/** Asks the server, which costs less than a command line, until it has so many documents. */
const untilDocuments = async (http: string, enough: (documents: number) => boolean) => {
  for (let tries = 0; tries < 1000; tries++) {
    const answer: unknown = await (await fetch(`${http}/v1/status`)).json()
    if (enough(Number(Reflect.get(Object(answer), "documents")))) return
    await new Promise((wake) => setTimeout(wake, 20))
  }
  assert.fail("it did not come to that")
}

describe("reprise serve", { timeout: 60_000 }, () => {
  it("carries out what command lines beside it ask for, with their receipts and exit codes; Ctrl-C ends it with 130", async () => {
    const server = await serve()
    assert.strictEqual(server.ready.ready, true)
    const added = await json(["add", "docs"])
    assert.deepInclude(added.value, { requested: 5, added: 5, failed: 0 })
    assert.strictEqual(added.code, 0)
    const found = await json(["search", "note 3", "--limit", "1"])
    assert.include(found.value.hits[0].text, "note 3")
    assert.strictEqual((await run(["add", "nowhere"])).code, 2)
    assert.strictEqual((await run(["sync", "nowhere"])).code, 2)
    const removed = await json(["remove", "docs/n0.md"])
    assert.deepInclude(removed.value, { requested: 1, removed: 1 })
    const replayed = await json(["replay"])
    assert.deepInclude(replayed.value, { documents: 4 })
    assert.isTrue(replayed.value.fingerprint.equal)
    assert.strictEqual((await run(["verify", "--repair"])).code, 0)
    assert.strictEqual((await run(["lanes", "pause", "embed"])).code, 0)
    const status = (await json(["status"])).value
    assert.isTrue(status.lanes[1].paused)
    assert.deepInclude(status, { runtime: "serve", bus: { kind: "memory", connected: true } })
    const [job] = (await json(["jobs", "list", "--lane", "prepare", "--limit", "1"])).value.jobs
    assert.match(job.attempts[0].worker, /^ingestor-\d$/)
    server.child.kill("SIGINT")
    assert.strictEqual((await server.ended).code, 130)
  })

  it("serves two command lines at once", async () => {
    write(30, "left")
    write(30, "right")
    await serve()
    const [left, right] = await Promise.all([json(["add", "left"]), json(["add", "right"])])
    assert.deepInclude(left.value, { added: 30, failed: 0 })
    assert.deepInclude(right.value, { added: 30, failed: 0 })
    assert.strictEqual((await json(["status"])).value.documents, 60)
  })

  it("frees what nobody needs while it serves", async () => {
    await serve()
    await run(["add", "docs"])
    const { code, value } = await json(["gc", "--dry-run"])
    assert.strictEqual(code, 0)
    assert.deepInclude(value, { dryRun: true, documents: 5, points: 0, bodies: 0, vectors: 0 })
  })

  it("erases while it serves", async () => {
    await serve()
    await run(["add", "docs"])
    const [first] = (await json(["documents"])).value.documents
    const { code, value } = await json(["erase", first.documentId])
    assert.strictEqual(code, 0, JSON.stringify(value))
    assert.deepStrictEqual(value.documents, [first.documentId])
    assert.strictEqual((await json(["status"])).value.documents, 4)
    assert.strictEqual((await run(["erase"])).code, 2)
  })

  it("ends in order with 0 on SIGTERM: a command that runs through it gets the receipt of what was done", async () => {
    write(1500, "many")
    const server = await serve()
    const add = start(["add", "many", "--json"])
    await untilDocuments(server.ready.http, (count) => count > 0)
    server.child.kill("SIGTERM")
    const [stopped, added] = await Promise.all([server.ended, add.ended])
    assert.strictEqual(stopped.code, 0, stopped.err)
    const receipt = JSON.parse(added.out)
    assert.strictEqual(added.code, 130, JSON.stringify(receipt))
    assert.isTrue(receipt.interrupted)
    assert.isBelow(receipt.added, 1500)
    assert.isFalse(readdirSync(join(folder, "data")).includes("serve"))
    const rest = await json(["add", "many"])
    assert.strictEqual(rest.value.added + rest.value.unchanged, 1500)
  })

  it("goes on with a command whose caller pressed Ctrl-C until that has its receipt", async () => {
    write(1500, "many")
    const server = await serve()
    const add = start(["add", "many", "--json"])
    await untilDocuments(server.ready.http, (count) => count > 0)
    add.child.kill("SIGINT")
    const { code, out } = await add.ended
    assert.strictEqual(code, 130)
    assert.isTrue(JSON.parse(out).interrupted)
    assert.isNull(server.child.exitCode)
    assert.deepInclude((await json(["add", "docs"])).value, { added: 5 })
  })

  it("leaves nothing behind that keeps others out when it is killed; who waited hears what to do next", async () => {
    write(900)
    const server = await serve()
    const add = start(["add", "docs", "--json"])
    await untilDocuments(server.ready.http, (count) => count > 0)
    server.child.kill("SIGKILL")
    await server.ended
    const gone = await add.ended
    assert.deepStrictEqual([gone.code, JSON.parse(gone.out).error.code], [3, "ServerGone"])
    assert.include(gone.err, "Run the same command again: it does only what is left")
    assert.isTrue(statSync(server.ready.socket).isSocket())
    const rest = (await json(["add", "docs"])).value
    assert.strictEqual(rest.added + rest.unchanged, 900)
    const again = await serve()
    assert.deepInclude((await json(["sync"])).value, { unchanged: 900 })
    again.child.kill("SIGTERM")
    assert.strictEqual((await again.ended).code, 0)
  })

  it("lets nobody but its owner at its socket, however long the data directory's path is", async () => {
    const deep = join(folder, ...Array.from({ length: 6 }, () => "a".repeat(30)), "data")
    mkdirSync(deep, { recursive: true })
    const server = await serve([], deep)
    assert.isAtMost(Buffer.byteLength(server.ready.socket), 107)
    assert.strictEqual(statSync(server.ready.socket).mode & 0o777, 0o600)
    assert.strictEqual(statSync(join(server.ready.socket, "..")).mode & 0o777, 0o700)
    assert.deepInclude((await json(["add", "docs"], deep)).value, { added: 5 })
  })

  it("is told apart from a second one, which exits 4", async () => {
    await serve()
    const second = await run(["serve", "--json"])
    assert.strictEqual(second.code, 4)
    assert.include(second.out, "reprise serve")
  })

  it("opens nothing where its port is taken; where that is a server of the same directory, it exits 4", async () => {
    const other = createServer()
    await new Promise<void>((done) => other.listen(0, "127.0.0.1", done))
    const address = other.address()
    const port = String(typeof address === "object" ? address?.port : 0)
    const refused = await json(["serve", "--port", port])
    assert.deepStrictEqual([refused.code, refused.value.error.code], [2, "HttpRefused"])
    assert.isFalse(existsSync(join(folder, "data", "log.sqlite")))
    await new Promise((done) => other.close(done))
    const server = await serve(["--port", port])
    assert.strictEqual((await run(["serve", "--port", port, "--json"])).code, 4)
    // Somebody who only holds a connection open does not keep it from ending.
    const silent = connect(Number(port), "127.0.0.1").on("error", () => {})
    await new Promise((done) => silent.once("connect", done))
    server.child.kill("SIGTERM")
    assert.strictEqual((await server.ended).code, 0)
    silent.destroy()
  })

  it("ends at once at the second signal, though somebody is still connected", async () => {
    const server = await serve()
    const connected = connect(server.ready.socket).on("error", () => {})
    await new Promise((done) => connected.once("connect", done))
    server.child.kill("SIGTERM")
    server.child.kill("SIGINT")
    assert.strictEqual((await server.ended).code, 130)
    connected.destroy()
  })

  it("syncs its sources by itself", async () => {
    await run(["add", "docs"])
    writeFileSync(join(folder, "data", "reprise.json"), JSON.stringify({ sync: { interval: "1s" } }))
    const server = await serve()
    write(8)
    await untilDocuments(server.ready.http, (count) => count === 8)
  })
})
