/** `REPRISE_KILLS`: how often at each failpoint, spread over its hits. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { eventsIn, faultsOfLog } from "../model/LogFile.ts"
import { bundleChild, type ChildEnd, runChild } from "../support/bundledChild.ts"
import { reportCount } from "../support/figures.ts"
import { reachedByArchive } from "./reached.ts"

const kills = Number(process.env["REPRISE_KILLS"] ?? 1)
const folder = mkdtempSync(join(tmpdir(), "reprise-archives-"))
let script = ""
let reached: ReadonlyArray<string> = []

const home = (name: string): string => {
  const path = join(folder, name)
  mkdirSync(join(path, "elsewhere"), { recursive: true })
  return path
}

const answered = ({ lines }: ChildEnd): string | undefined => lines.at(-1)
const last = JSON.stringify({ answered: "import" })

/** Three directories hold the same log, and nothing is left of what was cut off. */
const assertArchived = (path: string, what: string): void => {
  const rows = eventsIn(join(path, "data", "log.sqlite"))
  assert.deepStrictEqual(faultsOfLog(rows), [], what)
  for (const copy of ["restored", "imported"])
    assert.deepStrictEqual(eventsIn(join(path, copy, "log.sqlite")), rows, `${what}: ${copy}`)
  const left = readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) =>
    /\.part(\/|$)/.test(name)
  )
  assert.deepStrictEqual(left, [], what)
}

describe("D14: backup, restore, export and import, killed and run again, end as if nothing had happened", () => {
  beforeAll(async () => {
    script = await bundleChild("archivingChild")
    const path = home("whole")
    const end = await runChild(script, [path, reachedByArchive.map((name) => `${name}:*:note`).join(",")])
    assert.strictEqual(answered(end), last, end.errors)
    assertArchived(path, "not interrupted")
    reached = [...end.errors.matchAll(/^reached ([a-z.]+)$/gm)].map(([, name = ""]) => name)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  for (const failpoint of reachedByArchive)
    it(`at ${failpoint}`, { timeout: 3_600_000 }, async () => {
      const hits = reached.filter((name) => name === failpoint).length
      assert.isAbove(hits, 0)
      for (let n = 0; n < kills; n++) {
        const hit = 1 + (n % hits)
        const what = `killed at ${failpoint}, hit ${hit}`
        const path = home(`${failpoint}-${n}`)
        const killed = await runChild(script, [path, `${failpoint}:${hit}:kill`])
        assert.strictEqual(killed.signal, "SIGKILL", `${what}: ${killed.errors}`)
        const again = await runChild(script, [path])
        assert.strictEqual(answered(again), last, `${what}: ${again.errors}`)
        assertArchived(path, what)
        reportCount({ figure: "kills, one process", count: 1, of: { [failpoint]: 1 } })
      }
    })
})
