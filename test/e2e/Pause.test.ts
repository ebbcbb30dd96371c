/** Holding the index back: through a server, over its death, and off again. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { CliProcesses } from "../support/cliProcess.ts"

let folder = ""
const processes = new CliProcesses()

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "reprise-pause-"))
  for (const name of ["early", "late"]) {
    mkdirSync(join(folder, name))
    for (let n = 0; n < 3; n++)
      writeFileSync(join(folder, name, `n${n}.md`), `# ${name} ${n}\n\nWhat is said ${name} in note ${n}.\n`)
  }
})

afterAll(() => {
  processes.killAll()
  rmSync(folder, { recursive: true, force: true })
})

const start = (words: ReadonlyArray<string>) =>
  processes.start(words, {
    folder,
    environment: { REPRISE_DATA_DIR: join(folder, "data"), REPRISE_HTTP_PORT: "0" }
  })

const json = async (...words: ReadonlyArray<string>) => {
  const { code, err, out } = await start([...words, "--json"]).ended
  assert.match(out, /^[^\n]+\n$/, err)
  return { code, err, value: JSON.parse(out) }
}

const serve = async () => {
  const server = start(["serve", "--json"])
  await server.seen(() => server.out().includes("\n"))
  return { ...server, http: String(JSON.parse(server.out()).http) }
}

const found = async () => (await json("search", "what is said late", "--mode", "sparse")).value.hits.length

describe("an index that is paused", { timeout: 120_000 }, () => {
  it("sees nothing new, takes in what was accepted meanwhile once it is resumed, and forgets neither in a kill", async () => {
    const server = await serve()
    assert.strictEqual((await json("add", "early")).code, 0)
    assert.deepStrictEqual((await json("lanes", "pause", "index")).value, { lane: "index", paused: true })
    const held = await json("add", "late")
    assert.deepStrictEqual([held.code, held.value.error.code], [1, "LanePaused"])
    assert.match(held.err, /reprise lanes resume index/)
    // Notes of `early` have two of the three words.
    const before = await found()
    const status = (await json("status")).value
    assert.deepInclude(status, { documents: 6, ready: true, indexing: { paused: true } })
    assert.deepInclude(status.generations[0], { documents: 3 })
    assert.include(await (await fetch(`${server.http}/metrics`)).text(), "reprise_index_paused 1")
    server.child.kill("SIGKILL")
    await server.ended

    await serve()
    assert.deepInclude((await json("status")).value, { documents: 6, indexing: { paused: true } })
    assert.strictEqual(await found(), before)
    await json("lanes", "resume", "index")
    assert.deepInclude((await json("add", "late")).value, { unchanged: 3 })
    assert.strictEqual(await found(), before + 3)
    assert.isTrue((await json("verify")).value.fingerprint.equal)
  })
})
