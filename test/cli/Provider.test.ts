/** What the command line does with a provider: it is asked only for what is missing, and its absence is said, not waited for. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schedule } from "effect"
import { json, run } from "../support/CommandLine.ts"
import { makeProviderServer } from "../support/ProviderServer.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const place = (url: string) =>
  Effect.map(temporaryDirectory, (cwd) => {
    mkdirSync(join(cwd, "docs"))
    for (let n = 0; n < 12; n++)
      writeFileSync(join(cwd, "docs", `n${n}.md`), `# Note ${n}\n\nWhat is said in note ${n}.\n`)
    return {
      cwd,
      environment: {
        REPRISE_DATA_DIR: join(cwd, "data"),
        REPRISE_EMBEDDING_PROVIDER: "openai",
        REPRISE_EMBEDDING_URL: url,
        REPRISE_EMBEDDING_MODEL: "test",
        REPRISE_EMBEDDING_DIMENSIONS: "8"
      }
    }
  })

describe("a provider", { timeout: 120_000 }, () => {
  it.scopedLive("sees no connection where nothing is to be embedded", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const at = yield* place(server.url)
      assert.strictEqual((yield* json(["add", "docs"], at)).value.embeddings.computed, 12)
      const { opened } = server.connections()
      for (const words of [["add", "docs"], ["sync", "--full"], ["replay"], ["verify"], ["status"]]) {
        const { code } = yield* json(words, at)
        assert.strictEqual(code, 0, words.join(" "))
      }
      yield* json(["search", "note", "--mode", "sparse"], at)
      assert.strictEqual(server.connections().opened, opened)
      const doctor = yield* json(["doctor"], at)
      assert.deepStrictEqual([doctor.code, server.connections().opened > opened], [0, true])
    })
  )

  it.scopedLive(
    "that is away ends add with 3 in seconds; what was prepared is kept, and add goes on from there",
    () =>
      Effect.gen(function* () {
        const server = yield* makeProviderServer()
        const at = yield* place(server.url)
        const away = {
          ...at,
          environment: { ...at.environment, REPRISE_EMBEDDING_URL: "http://127.0.0.1:9" }
        }
        const refused = yield* Effect.timeout(json(["add", "docs"], away), "30 seconds")
        assert.deepStrictEqual([refused.code, refused.value.error.code], [3, "ProviderAway"])
        assert.match(refused.err, /ECONNREFUSED.*run the same command again/)
        const back = yield* json(["add", "docs"], at)
        assert.deepStrictEqual(
          [back.code, back.value.added + back.value.unchanged, back.value.parked],
          [0, 12, 0],
          JSON.stringify(back.value)
        )
        assert.strictEqual((yield* run(["verify"], at)).code, 0)
      })
  )

  it.scopedLive(
    "that refuses the key ends add with 2, blames no document, and add goes on under a good one",
    () =>
      Effect.gen(function* () {
        const server = yield* makeProviderServer()
        const at = yield* place(server.url)
        server.always({ kind: "status", status: 401 })
        const refused = yield* Effect.timeout(json(["add", "docs"], at), "30 seconds")
        assert.deepStrictEqual([refused.code, refused.value.error.code], [2, "ProviderUnfit"])
        assert.match(refused.err, /HTTP 401.*REPRISE_EMBEDDING_API_KEY/)
        assert.strictEqual((yield* json(["status"], at)).value.parked, 0)
        server.always(undefined)
        const mended = yield* json(["add", "docs"], at)
        assert.deepStrictEqual(
          [mended.code, mended.value.added + mended.value.unchanged, mended.value.parked],
          [0, 12, 0],
          JSON.stringify(mended.value)
        )
      })
  )

  it.scopedLive("that is away leaves hybrid search its words, and replay everything", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const at = yield* place(server.url)
      yield* json(["add", "docs"], at)
      const away = { ...at, environment: { ...at.environment, REPRISE_EMBEDDING_URL: "http://127.0.0.1:9" } }
      const hybrid = yield* run(["search", "note 7"], away)
      assert.strictEqual(hybrid.code, 0)
      assert.match(hybrid.err, /note: The dense side is left out/)
      assert.strictEqual((yield* run(["search", "note 7", "--mode", "dense"], away)).code, 3)
      for (const folder of ["index", "state"])
        rmSync(join(at.cwd, "data", folder), { recursive: true, force: true })
      rmSync(join(at.cwd, "docs"), { recursive: true })
      const replayed = yield* json(["replay"], away)
      assert.deepStrictEqual(
        [replayed.code, replayed.value.fingerprint.equal, replayed.value.embeddings.computed],
        [0, true, 0]
      )
    })
  )

  it.scopedLive(
    "that is not the live generation's is refused dense search, and hybrid search says what it leaves out",
    () =>
      Effect.gen(function* () {
        const server = yield* makeProviderServer()
        const at = yield* place(server.url)
        const hashing = { cwd: at.cwd, environment: { REPRISE_DATA_DIR: at.environment.REPRISE_DATA_DIR } }
        yield* json(["add", "docs"], hashing)
        const dense = yield* json(["search", "note 7", "--mode", "dense"], at)
        assert.deepStrictEqual([dense.code, dense.value.error.code], [2, "ModelDiffers"])
        assert.match(dense.value.error.message, /openai:test.*hashing.*reprise build/)
        const hybrid = (yield* json(["search", "note 7"], at)).value
        const sparse = (yield* json(["search", "note 7", "--mode", "sparse"], at)).value
        assert.deepStrictEqual([hybrid.degraded, hybrid.hits], [true, sparse.hits])
        assert.match(hybrid.notes.join(), /The dense side is left out.*openai:test/)
        assert.strictEqual(server.requests.length, 0)
        assert.strictEqual((yield* json(["build"], at)).code, 0)
        assert.strictEqual((yield* json(["search", "note 7", "--mode", "dense"], at)).code, 0)
        assert.strictEqual((yield* json(["search", "note 7", "--mode", "dense"], hashing)).code, 2)
      })
  )

  it.scopedLive(
    "whose model nobody knows yet is not even asked how long its vectors are by what only looks",
    () =>
      Effect.gen(function* () {
        const server = yield* makeProviderServer()
        const at = yield* place(server.url)
        const { REPRISE_EMBEDDING_DIMENSIONS: _, ...unknown } = at.environment
        const hashing = { cwd: at.cwd, environment: { REPRISE_DATA_DIR: at.environment.REPRISE_DATA_DIR } }
        const there = { ...at, environment: unknown }
        const first = yield* json(["add", "docs", "--dry-run"], there)
        assert.deepStrictEqual([first.code, first.value.vectors], [0, { compute: 12, reuse: 0 }])
        yield* json(["add", "docs"], hashing)
        const hybrid = yield* json(["search", "note 7"], there)
        assert.strictEqual(hybrid.code, 0)
        assert.match(hybrid.value.notes.join(), /The dense side is left out.*openai:test/)
        const dense = yield* json(["search", "note 7", "--mode", "dense"], there)
        assert.deepStrictEqual([dense.code, dense.value.error.code], [2, "ModelDiffers"])
        const quote = (yield* json(["build", "--dry-run"], there)).value
        assert.deepStrictEqual([quote.documents, quote.vectors.compute], [12, 12])
        assert.strictEqual(server.connections().opened, 0)
        assert.strictEqual((yield* json(["build"], there)).code, 0)
        assert.strictEqual((yield* json(["search", "note 7", "--mode", "dense"], there)).code, 0)
      })
  )

  it.scopedLive("that gives no answer keeps nobody from ending what has not begun", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      server.always({ kind: "silent" })
      const at = yield* place(server.url)
      const { REPRISE_EMBEDDING_DIMENSIONS: _, ...unknown } = at.environment
      const stop = yield* Deferred.make<void>()
      const asked = Effect.sync(() => server.requests.length > 0).pipe(
        Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("20 millis") })
      )
      yield* Effect.fork(Effect.zipRight(asked, Deferred.succeed(stop, undefined)))
      const stopped = yield* Effect.timeout(
        json(["add", "docs"], { ...at, environment: unknown, stop }),
        "10 seconds"
      )
      assert.deepStrictEqual(
        [stopped.code, stopped.value.interrupted, stopped.value.requested],
        [130, true, 0]
      )
    })
  )

  it.scopedLive("is warned of as far as log.level says, wherever that is set", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const { cwd, environment } = yield* place(server.url)
      const at = { cwd, environment: { ...environment, REPRISE_EMBEDDING_VERIFY_TLS: "false" } }
      const warning = /TLS certificates of the embedding provider .* are not verified/
      assert.match((yield* run(["add", "docs"], at)).err, warning)
      const file = join(cwd, "data", "reprise.json")
      writeFileSync(file, JSON.stringify({ log: { level: "error" } }))
      for (const words of [["sync"], ["search", "note"], ["sync", "--dry-run"]])
        assert.strictEqual((yield* run(words, at)).err, "", words.join(" "))
      writeFileSync(join(cwd, ".env"), "REPRISE_LOG_LEVEL=warning\n")
      assert.match((yield* run(["sync"], at)).err, warning)
    })
  )

  it.scopedLive("quotes a build under another model, and is paid for exactly that", () =>
    Effect.gen(function* () {
      const server = yield* makeProviderServer()
      const at = yield* place(server.url)
      const hashing = { cwd: at.cwd, environment: { REPRISE_DATA_DIR: at.environment.REPRISE_DATA_DIR } }
      yield* json(["add", "docs"], hashing)
      const quote = (yield* json(["build", "--dry-run"], at)).value
      assert.deepStrictEqual([quote.documents, quote.vectors.compute, quote.model], [12, 12, "openai:test"])
      assert.strictEqual(server.embedded(), 0)
      const built = yield* json(["build"], at)
      assert.deepStrictEqual(
        [built.code, built.value.embeddings.computed, built.value.fingerprint.equal],
        [0, 12, true]
      )
      // And the probe, by which a later process knows the model again.
      assert.strictEqual(server.embedded(), 13)
    })
  )
})
