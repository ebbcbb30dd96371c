/** Each check of the doctor fails when what it checks is broken, says what to do, and is the only one that fails. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { NodeContext } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { writeHeadFile } from "../../src/log/HeadFile.ts"
import { loadConfig } from "../../src/runtime/Config.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import { diagnose, thisMachine } from "../../src/runtime/Doctor.ts"
import type { Diagnosis } from "../../src/runtime/doctor/Check.ts"
import type { Machine } from "../../src/runtime/doctor/MachineChecks.ts"
import { NativeModuleMissing } from "../../src/runtime/NativeModule.ts"
import { json, run } from "../support/CommandLine.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const filled = Effect.gen(function* () {
  const cwd = yield* temporaryDirectory
  mkdirSync(join(cwd, "docs"))
  for (const name of ["a", "b", "c"])
    writeFileSync(join(cwd, "docs", `${name}.md`), `# ${name}\n\nText of ${name}.\n`)
  const at = { cwd, environment: { REPRISE_DATA_DIR: join(cwd, "data") } }
  yield* run(["add", "docs"], at)
  return { ...at, data: join(cwd, "data") }
})

const examined = (
  data: string,
  changes: {
    readonly machine?: Partial<Machine>
    readonly environment?: Readonly<Record<string, string>>
  } = {}
) =>
  diagnose(
    loadConfig({
      directory: { path: data, origin: "flag", files: filesIn(data, join) },
      environment: changes.environment ?? {},
      dotenv: { path: "/.env", variables: {} },
      flags: {}
    }).pipe(Effect.provide(NodeContext.layer)),
    { ...thisMachine, ...changes.machine }
  )

const failing = ({ checks }: Diagnosis) => checks.filter(({ state }) => state === "failed")

/** That it alone failed, that it says what to do, and what it found. */
const assertOnly = (found: Diagnosis, check: string, detail: RegExp, remedy: RegExp) => {
  assert.isFalse(found.healthy)
  const bad = failing(found)
  assert.deepStrictEqual(
    bad.map((one) => one.check),
    [check]
  )
  assert.match(bad[0]?.detail ?? "", detail)
  assert.match(bad[0]?.remedy ?? "", remedy)
}

describe("doctor", { timeout: 120_000 }, () => {
  it.scopedLive("finds nothing where all is well, by at least ten checks", () =>
    Effect.gen(function* () {
      const at = yield* filled
      const { code, value } = yield* json(["doctor"], at)
      assert.strictEqual(code, 0, JSON.stringify(value))
      assert.isTrue(value.healthy)
      assert.isAtLeast(value.checks.filter((one: { state: string }) => one.state === "ok").length, 10)
      assert.deepStrictEqual(
        value.checks
          .filter((one: { state: string }) => one.state === "skipped")
          .map((one: { check: string }) => one.check),
        ["provider"]
      )
    })
  )

  it.scopedLive("leaves no file behind", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const before = readdirSync(data).filter((name) => !/-(wal|shm)$/.test(name))
      yield* examined(data)
      assert.deepStrictEqual(
        readdirSync(data).filter((name) => !/-(wal|shm)$/.test(name)),
        before
      )
    })
  )

  it.scopedLive("has nothing against a directory that is not there yet", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const found = yield* examined(join(cwd, "data"))
      assert.isTrue(found.healthy)
      assert.deepStrictEqual(readdirSync(cwd), [])
    })
  )

  it.scopedLive("node: an old one", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      for (const node of ["18.20.0", "20.18.3"])
        assertOnly(yield* examined(data, { machine: { node } }), "node", /older than 20\.19/, /Install/)
      assert.isTrue((yield* examined(data, { machine: { node: "24.0.0" } })).healthy)
    })
  )

  it.scopedLive("sqlite: a native module that does not load", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const nativeModule = new NativeModuleMissing({ detail: "was compiled against NODE_MODULE_VERSION 93" })
      const found = yield* examined(data, { machine: { nativeModule } })
      assertOnly(found, "sqlite", /NODE_MODULE_VERSION 93/, /npm rebuild better-sqlite3/)
    })
  )

  it.scopedLive("configuration: a setting that is none", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      writeFileSync(join(data, "reprise.json"), '{"serch": 1}')
      assertOnly(yield* examined(data), "configuration", /serch/, /Correct/)
    })
  )

  it.scopedLive("directory: the format of a newer version", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      writeFileSync(join(data, "format"), "reprise 99\n")
      assertOnly(yield* examined(data), "directory", /format 99/, /version of Reprise/)
    })
  )

  it.scopedLive("durability: synchronous that is not FULL, or a disk that takes nothing", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const normal = yield* examined(data, { machine: { synchronous: () => 1 } })
      assertOnly(normal, "durability", /synchronous=1, not 2/, /npm ci/)
      const readOnly = () => {
        throw new Error("attempt to write a readonly database")
      }
      const refused = yield* examined(data, { machine: { synchronous: readOnly } })
      assertOnly(refused, "durability", /readonly/, /may write/)
    })
  )

  it.scopedLive("disk: too little space", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const found = yield* examined(data, { machine: { freeBytes: () => Promise.resolve(1 << 20) } })
      assertOnly(found, "disk", /^1 MiB free/, /Free space/)
    })
  )

  it.scopedLive("lock: one that cannot be looked at; one that is held is no failure and is named", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const lock = new SqliteDatabase(join(data, "lock.sqlite"))
      try {
        lock.exec("BEGIN EXCLUSIVE")
        writeFileSync(
          join(data, "holder"),
          JSON.stringify({
            hostname: "here",
            pid: 4711,
            started: "2026-01-01T00:00:00.000Z",
            command: "reprise serve"
          })
        )
        const held = yield* examined(data)
        assert.isTrue(held.healthy, JSON.stringify(held))
        assert.match(
          held.checks.find(({ check }) => check === "lock")?.detail ?? "",
          /reprise serve \(pid 4711/
        )
      } finally {
        lock.close()
      }
      rmSync(join(data, "lock.sqlite"))
      writeFileSync(
        join(data, "lock.sqlite"),
        "this is no database, and longer than its header must be. ".repeat(20)
      )
      assertOnly(yield* examined(data), "lock", /not a database/, /read and write/)
    })
  )

  it.scopedLive("log: behind a witness", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const head = JSON.parse(readFileSync(join(data, "head"), "utf8"))
      writeHeadFile(join(data, "head"), { ...head, position: head.position + 5 })
      assertOnly(yield* examined(data), "log", /has seen/, /recover --accept-rollback/)
    })
  )

  it.scopedLive("log: a file that is none", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      for (const suffix of ["-wal", "-shm"]) rmSync(join(data, `log.sqlite${suffix}`), { force: true })
      writeFileSync(join(data, "log.sqlite"), "this is no database either. ".repeat(200))
      assertOnly(yield* examined(data), "log", /not a database/, /log verify/)
    })
  )

  it.scopedLive("index: deleted state", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      rmSync(join(data, "state"), { recursive: true })
      assertOnly(yield* examined(data), "index", /its state cannot be used/, /reprise replay/)
    })
  )

  it.scopedLive("analyzer: one that this program does not have", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const log = new SqliteDatabase(join(data, "log.sqlite"))
      const { changes } = log
        .prepare("UPDATE generations SET spec = json_set(spec, '$.analyzer', 'words-english-000000000000')")
        .run()
      log.close()
      assert.isAbove(changes, 0)
      const found = yield* examined(data)
      const bad = failing(found).find(({ check }) => check === "analyzer")
      assert.match(bad?.detail ?? "", /does not have/)
      assert.strictEqual(bad?.remedy, "reprise replay")
    })
  )

  it.scopedLive("model: another one, or another chunking, than the live generation's", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      const model = yield* examined(data, { environment: { REPRISE_EMBEDDING_DIMENSIONS: "256" } })
      assertOnly(model, "model", /hashing-256 is configured.*hashing-512/, /reprise build/)
      const chunking = yield* examined(data, { environment: { REPRISE_CHUNKING_MAX_TOKENS: "200" } })
      assertOnly(chunking, "model", /chunking/, /reprise build/)
    })
  )

  it.scopedLive("provider: one that does not answer", () =>
    Effect.gen(function* () {
      const cwd = yield* temporaryDirectory
      const found = yield* examined(join(cwd, "data"), {
        environment: {
          REPRISE_EMBEDDING_PROVIDER: "openai",
          REPRISE_EMBEDDING_URL: "http://127.0.0.1:9",
          REPRISE_EMBEDDING_MODEL: "absent",
          REPRISE_EMBEDDING_DIMENSIONS: "8"
        }
      })
      assertOnly(found, "provider", /could not be reached/, /embedding\.url \(http:\/\/127\.0\.0\.1:9\)/)
    })
  )

  it.scopedLive("bus, engine: a server that the settings name and that is not there", () =>
    Effect.gen(function* () {
      const { data } = yield* filled
      for (const directory of [data, `${data}-none`])
        for (const [check, environment, remedy] of [
          ["bus", { REPRISE_BUS: "nats", REPRISE_NATS_URL: "nats://127.0.0.1:9" }, /nats\.url/],
          ["engine", { REPRISE_INDEX: "qdrant", REPRISE_QDRANT_URL: "http://127.0.0.1:9" }, /qdrant\.url/]
        ] as const)
          assertOnly(yield* examined(directory, { environment }), check, /127\.0\.0\.1:9/, remedy)
    })
  )

  it.scopedLive("index: paused, with something to apply; what writes would wait for it", () =>
    Effect.gen(function* () {
      const at = yield* filled
      yield* run(["lanes", "pause", "index"], at)
      writeFileSync(join(at.cwd, "docs", "d.md"), "# d\n\nText of d.\n")
      yield* run(["sync"], at)
      assertOnly(yield* examined(at.data), "index", /paused/, /^reprise lanes resume index$/)
    })
  )

  it.scopedLive(
    "model: one that nobody knows is asked for nothing to tell it from the live generation's",
    () =>
      Effect.gen(function* () {
        const { data } = yield* filled
        const found = yield* examined(data, {
          environment: {
            REPRISE_EMBEDDING_PROVIDER: "openai",
            REPRISE_EMBEDDING_URL: "http://127.0.0.1:9",
            REPRISE_EMBEDDING_MODEL: "absent"
          }
        })
        const model = found.checks.find(({ check }) => check === "model")
        assert.match(model?.detail ?? "", /openai:absent is configured.*hashing-512/)
      })
  )

  it.scopedLive("work: a source whose last sync failed", () =>
    Effect.gen(function* () {
      const at = yield* filled
      rmSync(join(at.cwd, "docs"), { recursive: true })
      yield* run(["sync"], at)
      assertOnly(yield* examined(at.data), "work", /last sync of .*docs failed/, /reprise sync/)
    })
  )
})
