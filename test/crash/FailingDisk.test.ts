/**
 * D4, D5: a disk that is full, or that fails, at the nth write, sync or truncation. The system itself answers so: `strace`
 * makes the call of the real process fail, wherever SQLite or Node make it.
 *
 * `REPRISE_FAULTS=all`: every write alone, and every sync. Else in steps, so that one process meets many.
 */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { bundleChild } from "../support/bundledChild.ts"
import { reportCount } from "../support/figures.ts"
import { documentNamed, openTestWriter } from "../support/logEvents.ts"
import { acknowledgedIn, assertLogKept } from "./powercut/LogJudge.ts"
import { canTrace, type Injection, traced } from "./powercut/Trace.ts"

const documents = 18
const names = Array.from({ length: documents }, (_, n) => `${Math.floor(n / 3)}-${n % 3}`)
const streams = new Map(names.map((name) => [`document-${documentNamed(name)}`, 2]))
const thorough = process.env["REPRISE_FAULTS"] === "all"

describe.skipIf(!canTrace)("a log on a disk that fails", () => {
  let script = ""
  let folder = ""
  let runs = 0
  beforeAll(async () => {
    script = await bundleChild("failingChild")
    folder = mkdtempSync(join(tmpdir(), "reprise-failing-"))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** How many calls failed. */
  const survives = async (injection: Injection): Promise<number> => {
    const data = join(folder, `data-${++runs}`)
    const run = await traced(join(folder, "trace"), script, [data, String(documents)], [injection])
    assert.strictEqual(run.code, 0, `${injection}: ${run.errors}`)
    const injected = run.calls.filter(({ isInjected }) => isInjected).length
    const acknowledged = acknowledgedIn(run.lines)
    assert.deepStrictEqual(
      acknowledged.map(({ name }) => name),
      names,
      `${injection}: all was written in the end`
    )
    for (const line of run.lines) {
      const said: Readonly<Record<string, unknown>> = line.startsWith("{") ? JSON.parse(line) : {}
      if ("refused" in said) assert.match(String(said["refused"]), /could not open .+ for writing/)
      if ("failed" in said) assert.match(String(said["reason"]), /disk|I\/O|full|read/, injection)
    }
    openTestWriter(data).close()
    assertLogKept(data, acknowledged, streams, injection)
    rmSync(data, { recursive: true, force: true })
    return injected
  }

  for (const [what, call, error, whens] of [
    ["D4: full at a write", "pwrite64", "ENOSPC", ["9+331", "60+409", "150+373"]],
    ["D4: fails at a write", "pwrite64", "EIO", ["5+347", "70+389", "201+359"]],
    ["D4: fails at a sync", "fsync,fdatasync", "EIO", ["2+9", "5+7"]],
    ["D5: full at a truncation", "ftruncate", "ENOSPC", ["2+3"]],
    ["D4: full at a name", "rename", "ENOSPC", ["2+3"]]
  ] as const) {
    it(`${what}: a typed failure, nothing acknowledged is lost, and it goes on when there is room`, async () => {
      let injected = 0
      for (const when of whens) injected += await survives(`${call}:error=${error}:when=${when}`)
      assert.isAbove(injected, 0)
      if (thorough)
        for (let nth = 1, failed = 1; failed > 0; nth++) {
          failed = await survives(`${call}:error=${error}:when=${nth}`)
          injected += failed
        }
      reportCount({
        figure: "full or EIO at the nth write",
        count: injected,
        of: { [`${call} ${error}`]: injected }
      })
    }, 7_200_000)
  }
})
