import { copyFileSync, cpSync, existsSync } from "node:fs"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import * as Archive from "../../src/log/Archive.ts"
import { LogBehindIndex, LogLocked } from "../../src/log/Log.ts"
import { bundleChild, runChild } from "../support/bundledChild.ts"
import { reportCount } from "../support/figures.ts"
import { documentNamed, openTestWriter } from "../support/logEvents.ts"
import { randomOf } from "../support/random.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

let script = ""
beforeAll(async () => {
  script = await bundleChild("appendingChild")
})

interface Acknowledged {
  readonly name: string
  readonly lastPosition: number
  readonly hash: string
}

const acknowledgedOf = (lines: ReadonlyArray<string>): ReadonlyArray<Acknowledged> =>
  lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line))

/** The log after a crash: in order, with everything that was acknowledged, each append whole or absent. */
const checkAfterCrash = Effect.fnUntraced(function* (
  directory: string,
  acknowledged: ReadonlyArray<Acknowledged>
) {
  openTestWriter(directory).close()
  const report = yield* Archive.verify(directory)
  assert.deepStrictEqual(report.damages, [])
  const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
  const hashes = db
    .prepare<[], { hash: string }>("SELECT lower(hex(hash)) AS hash FROM events ORDER BY position")
    .all()
  const perStream = db
    .prepare<[], { stream: string; events: number }>(
      "SELECT stream, count(*) AS events FROM events GROUP BY stream"
    )
    .all()
  db.close()
  for (const { hash, lastPosition, name } of acknowledged) {
    assert.strictEqual(hashes[lastPosition - 1]?.hash, hash, `${name} was acknowledged`)
  }
  const names = new Set(
    Array.from({ length: 60 }, (_, n) => `document-${documentNamed(`${Math.floor(n / 3)}-${n % 3}`)}`)
  )
  for (const { events, stream } of perStream) {
    assert.strictEqual(events, 2, `${stream} is whole`)
    assert.isTrue(names.has(stream), `${stream} was asked for`)
  }
})

/** `REPRISE_KILLS`: how often at each of them. */
const repeats = Number(process.env["REPRISE_KILLS"] ?? 1)
/** `REPRISE_PAIRS`: how many ordered pairs of failpoints, `REPRISE_SEED` the first seed. */
const pairs = Number(process.env["REPRISE_PAIRS"] ?? 20)
const firstSeed = Number(process.env["REPRISE_SEED"] ?? 1)

const points: ReadonlyArray<readonly [string, ReadonlyArray<number>]> = [
  ["lock.acquire.before", [1]],
  ["lock.acquire.after", [1]],
  ["migrate.step.before", [1, 2]],
  ["migrate.step.after", [1, 2]],
  ["epoch.write.before", [1]],
  ["epoch.write.after", [1]],
  ["blob.write.before", [1, 4]],
  ["blob.write.after", [1, 4]],
  ["vector.write.before", [1, 4]],
  ["vector.write.after", [1, 4]],
  ["log.begin", [1, 4]],
  ["log.insert", [1, 6, 19]],
  ["log.readmodel", [1, 6, 19]],
  ["log.commit.before", [1, 4]],
  ["log.commit.after", [1, 4]],
  ["head.write.before", [1, 4]],
  ["head.write.after", [1, 4]],
  ["wal.checkpoint.before", [1]],
  ["wal.checkpoint.after", [1]],
  ["log.append.after", [1, 4]]
]

describe("a log whose writer is killed", () => {
  for (const [name, hits] of points) {
    it.scopedLive(
      `P1: at ${name} keeps what was acknowledged, every append whole or absent, and goes on`,
      () =>
        Effect.forEach(
          Array.from({ length: repeats }, () => hits).flat(),
          Effect.fnUntraced(function* (hit) {
            const directory = join(yield* temporaryDirectory, "data")
            const first = yield* Effect.promise(() =>
              runChild(script, [directory, `${name}:${hit}:kill`, "6", "0"])
            )
            assert.strictEqual(first.signal, "SIGKILL", `hit ${hit} was reached; ${first.errors}`)
            reportCount({ figure: "kills, one process", count: 1, of: { [name]: 1 } })
            const before = acknowledgedOf(first.lines)
            yield* checkAfterCrash(directory, before)
            // The same requests again: what is there is answered, what is missing appended.
            const second = yield* Effect.promise(() => runChild(script, [directory, "", "6", "0"]))
            assert.strictEqual(second.lines.at(-1), "done", second.errors)
            const after = acknowledgedOf(second.lines)
            assert.strictEqual(after.length, 18)
            for (const promised of before) assert.deepInclude(after, promised)
            yield* checkAfterCrash(directory, after)
          }),
          { concurrency: 2, discard: true }
        ),
      repeats > 1 ? 3_600_000 : 120_000
    )
  }

  it.scopedLive(
    "P2: at one failpoint, and again at another while it goes on, keeps what was acknowledged",
    () =>
      Effect.gen(function* () {
        const random = randomOf(firstSeed)
        const any = () => points[Math.floor(random() * points.length)]?.[0] ?? ""
        let killed = 0
        yield* Effect.forEach(
          Array.from({ length: pairs }, () => [any(), any()]),
          Effect.fnUntraced(function* (pair) {
            const directory = join(yield* temporaryDirectory, "data")
            const promised: Array<Acknowledged> = []
            for (const failpoint of [...pair.map((name) => `${name}:1:kill`), ""]) {
              const end = yield* Effect.promise(() => runChild(script, [directory, failpoint, "6", "0"]))
              assert.isTrue(end.signal === "SIGKILL" || end.lines.at(-1) === "done", end.errors)
              if (end.signal === "SIGKILL") killed += 1
              promised.push(...acknowledgedOf(end.lines))
            }
            yield* checkAfterCrash(directory, promised)
          }, Effect.scoped),
          { concurrency: 2, discard: true }
        )
        reportCount({ figure: "ordered pairs of failpoints", count: pairs, seed: firstSeed })
        reportCount({ figure: "kills, one process", count: killed, of: { pairs: killed }, seed: firstSeed })
      }),
    3_600_000
  )

  it.scopedLive(
    "P1: at random moments keeps what was acknowledged",
    () =>
      Effect.gen(function* () {
        const directory = join(yield* temporaryDirectory, "data")
        const promised: Array<Acknowledged> = []
        for (let round = 0; round < 8; round++) {
          const stopAfter = 1 + ((round * 7) % 10)
          let seen = 0
          const end = yield* Effect.promise(() =>
            runChild(script, [directory, "", "20", "0"], {
              onLine: (_, child) => {
                seen += 1
                if (seen === stopAfter) child.kill("SIGKILL")
              }
            })
          )
          promised.push(...acknowledgedOf(end.lines))
          yield* checkAfterCrash(directory, promised)
          reportCount({ figure: "kills, one process", count: 1, of: { "random moments": 1 } })
        }
      }),
    120_000
  )
})

describe("a second process", () => {
  it.scopedLive("O1: is refused while the first one writes, and told who that is", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      let refusal: unknown
      yield* Effect.promise(() =>
        runChild(script, [directory, "log.append.after:2:hang", "6", "0"], {
          onLine: (_, child) => {
            if (refusal !== undefined) return
            try {
              openTestWriter(directory).close()
            } catch (cause) {
              refusal = cause
            }
            child.kill("SIGKILL")
          }
        })
      )
      assert.instanceOf(refusal, LogLocked)
      assert.include(refusal.holder, "test (pid ")
      openTestWriter(directory).close()
    })
  )
})

describe("a log that lost its WAL", () => {
  it.scopedLive("D8: is refused for writing, by the witness of its head", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      yield* Effect.promise(() => runChild(script, [directory, "log.append.after:3:kill", "6", "0"]))
      assert.isTrue(existsSync(join(directory, "log.sqlite-wal")))
      const copy = join(directory, "..", "copy")
      cpSync(directory, copy, {
        recursive: true,
        filter: (path) => !path.endsWith("-shm") && !path.endsWith("log.sqlite-wal")
      })
      copyFileSync(join(directory, "head"), join(copy, "head"))
      const refusal = yield* Effect.flip(
        Effect.try({ try: () => openTestWriter(copy), catch: (cause) => cause })
      )
      assert.instanceOf(refusal, LogBehindIndex)
    })
  )
})
