/** What scripts rely on: exit codes, JSON shapes, and what a refusal says, on real data directories. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Schema } from "effect"
import { Receipt, requestedOf } from "../../events/Receipt.ts"
import { Replayed, Status } from "../../src/runtime/Reprise.ts"
import { SearchAnswer } from "../../src/search/Search.ts"
import { json, run } from "../support/CommandLine.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const documents = {
  "schedule.md": "# Schedules\n\nAn exponential backoff waits longer after each failure.\n",
  "fiber.md": "---\nteam: runtime\nstars: 5\n---\n# Fibers\n\nA fiber is a lightweight thread.\n",
  "stream.md": "# Streams\n\nA stream emits many values over time, with back-pressure.\n"
}

const place = Effect.map(temporaryDirectory, (cwd) => {
  mkdirSync(join(cwd, "docs"))
  for (const [name, text] of Object.entries(documents)) writeFileSync(join(cwd, "docs", name), text)
  return { cwd, environment: { REPRISE_DATA_DIR: join(cwd, "data") } }
})

const decodeReceipt = Schema.decodeUnknownSync(Receipt, { onExcessProperty: "error" })

describe("a data directory from nothing", { timeout: 120_000 }, () => {
  it.scopedLive("is filled, found in, synced, emptied", () =>
    Effect.gen(function* () {
      const at = yield* place
      const added = yield* json(["add", "docs"], at)
      const receipt = decodeReceipt(added.value)
      assert.strictEqual(added.code, 0)
      assert.strictEqual(receipt.added, 3)
      assert.strictEqual(receipt.requested, requestedOf(receipt))
      assert.isAbove(receipt.embeddings.computed, 0)

      for (const mode of ["sparse", "dense", "hybrid"]) {
        const found = yield* json(["search", "exponential backoff", "--mode", mode, "--limit", "1"], at)
        const answer = Schema.decodeUnknownSync(SearchAnswer)(found.value)
        assert.strictEqual(found.code, 0)
        assert.match(answer.hits[0]?.uri ?? "", /schedule\.md$/)
        assert.isFalse(answer.degraded)
      }

      const again = decodeReceipt((yield* json(["sync"], at)).value)
      assert.deepStrictEqual([again.unchanged, again.embeddings.computed], [3, 0])

      writeFileSync(join(at.cwd, "docs", "fiber.md"), "# Fibers\n\nA fiber is cheap.\n")
      const planned = (yield* json(["sync", "--dry-run"], at)).value
      assert.deepStrictEqual([planned.updated, planned.unchanged, planned.vectors.compute], [1, 2, 1])
      assert.deepStrictEqual(
        planned.documents.map((one: { act: string }) => one.act),
        ["update"]
      )
      const updated = decodeReceipt((yield* json(["sync", "docs"], at)).value)
      assert.deepStrictEqual([updated.updated, updated.unchanged], [1, 2])

      const removed = yield* json(["remove", "docs/stream.md"], at)
      assert.deepStrictEqual([removed.code, decodeReceipt(removed.value).removed], [0, 1])
      const listed = (yield* json(["documents"], at)).value.documents
      assert.deepStrictEqual(listed.map((one: { state: string }) => one.state).sort(), [
        "live",
        "live",
        "removed"
      ])
    })
  )

  it.scopedLive("is replayed and verified, with fingerprints that people and programs can compare", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      for (const folder of ["index", "state"])
        rmSync(join(at.cwd, "data", folder), { recursive: true, force: true })
      const degraded = yield* json(["search", "fiber"], at)
      assert.isTrue(degraded.value.degraded)
      assert.isNull(degraded.value.generation)
      const { code, value } = yield* json(["replay"], at)
      const replayed = Schema.decodeUnknownSync(Replayed)(value)
      assert.deepStrictEqual([code, replayed.fingerprint.equal, replayed.embeddings.computed], [0, true, 0])
      const verified = yield* json(["verify", "--level", "full", "--recompute"], at)
      assert.strictEqual(verified.code, 0)
      assert.strictEqual(verified.value.fingerprint.actual, replayed.fingerprint.expected)
      assert.isTrue(verified.value.recomputed.equal)
      const status = Schema.decodeUnknownSync(Status)((yield* json(["status"], at)).value)
      assert.isTrue(status.ready && status.healthy)
      assert.deepStrictEqual(
        status.generations.map(({ lag, state }) => [state, lag]),
        [["live", 0]]
      )
    })
  )

  it.scopedLive("opens no generation on a Qdrant server that is not configured", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      const refused = yield* run(["replay", "--engine", "qdrant"], at)
      assert.strictEqual(refused.code, 2)
      assert.match(refused.err, /engine-not-configured.*qdrant\.url/)
      const status = Schema.decodeUnknownSync(Status)((yield* json(["status"], at)).value)
      assert.deepStrictEqual(
        status.generations.map(({ engine, state }) => [engine, state]),
        [["embedded", "live"]]
      )
    })
  )

  it.scopedLive("is named when it is made in the common place, once", () =>
    Effect.gen(function* () {
      const { cwd } = yield* place
      const at = { cwd, environment: { XDG_DATA_HOME: join(cwd, "xdg") } }
      const first = yield* run(["add", "docs"], at)
      assert.include(first.err, `The data directory is ${join(cwd, "xdg", "reprise")}`)
      assert.include(first.err, "reprise init")
      assert.notInclude((yield* run(["sync"], at)).err, "The data directory is")
    })
  )

  it.scopedLive("is exported, imported elsewhere, backed up and restored", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      assert.strictEqual((yield* json(["log", "verify"], at)).value.damaged, 0)
      assert.strictEqual((yield* run(["log", "export", "log.ndjson"], at)).code, 0)
      assert.strictEqual((yield* run(["log", "backup", "backup"], at)).code, 0)
      const none = yield* json(["log", "import", "none.ndjson"], at)
      assert.deepStrictEqual([none.code, none.value.error.code], [2, "ArchiveMissing"])
      const nowhere = yield* json(["log", "export", "none/log.ndjson"], at)
      assert.deepStrictEqual([nowhere.code, nowhere.value.error.code], [2, "ArchiveUnwritable"])
      const full = yield* json(["log", "backup", "backup"], at)
      assert.deepStrictEqual([full.code, full.value.error.code], [2, "TargetNotEmpty"])
      for (const [name, words] of [
        ["imported", ["log", "import", "log.ndjson"]],
        ["restored", ["log", "restore", "backup"]]
      ] as const) {
        const there = { cwd: at.cwd, environment: { REPRISE_DATA_DIR: join(at.cwd, name) } }
        const result = yield* json(words, there)
        assert.strictEqual(result.code, 0, JSON.stringify(result.value))
        assert.strictEqual((yield* json(["replay"], there)).value.fingerprint.equal, true)
        assert.match(
          (yield* json(["search", "backoff", "--limit", "1"], there)).value.hits[0].uri,
          /schedule/
        )
      }
    })
  )

  it.scopedLive("is not even made for a dry run", () =>
    Effect.gen(function* () {
      const at = yield* place
      const { code, value } = yield* json(["add", "docs", "--dry-run"], at)
      assert.deepStrictEqual([code, value.added, value.vectors.compute], [0, 3, 3])
      assert.isFalse(existsSync(join(at.cwd, "data")))
    })
  )

  it.scopedLive("is made by init, here, and once", () =>
    Effect.gen(function* () {
      const { cwd } = yield* place
      const first = yield* json(["init"], { cwd })
      assert.deepStrictEqual(
        [first.code, first.value.created, first.value.dataDirectory],
        [0, true, join(cwd, ".reprise")]
      )
      assert.isTrue(existsSync(first.value.config))
      assert.isFalse((yield* json(["init"], { cwd })).value.created)
      assert.strictEqual((yield* run(["status"], { cwd: join(cwd, "docs") })).code, 0)
    })
  )
})

describe("documents, events and jobs", { timeout: 120_000 }, () => {
  it.scopedLive("are listed a page at a time, and shown", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      const ids: Array<string> = []
      let cursor: ReadonlyArray<string> = []
      do {
        const { value } = yield* json(["documents", "--limit", "2", ...cursor], at)
        ids.push(...value.documents.map((one: { documentId: string }) => one.documentId))
        cursor = value.nextCursor === undefined ? [] : ["--cursor", value.nextCursor]
      } while (cursor.length > 0)
      assert.strictEqual(new Set(ids).size, 3)

      const shown = (yield* json(["get", "docs/fiber.md"], at)).value
      assert.strictEqual(shown.title, "Fibers")
      assert.deepStrictEqual(shown.metadata, { team: "runtime", stars: 5 })
      assert.match(shown.text, /lightweight thread/)
      assert.strictEqual((yield* json(["get", shown.documentId], at)).value.uri, shown.uri)
      assert.strictEqual((yield* json(["get", shown.uri], at)).value.documentId, shown.documentId)

      const filtered = yield* json(
        ["search", "thread", "--filter", "stars>=4", "--filter", "team=runtime"],
        at
      )
      assert.deepStrictEqual(
        filtered.value.hits.map((hit: { documentId: string }) => hit.documentId),
        [shown.documentId]
      )
      assert.deepStrictEqual((yield* json(["search", "thread", "--filter", "stars<4"], at)).value.hits, [])

      const { out } = yield* run(["events", "--json", "--type", "DocumentCommitted"], at)
      const events = out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line))
      assert.deepStrictEqual(new Set(events.map(({ type }) => type)), new Set(["DocumentCommitted"]))
      assert.strictEqual(events.length, 3)
      const rest = yield* run(["events", "--json", "--from", String(events[1].position), "--limit", "1"], at)
      assert.strictEqual(JSON.parse(rest.out).position, events[1].position)

      const listed = (yield* json(["jobs", "list", "--lane", "prepare"], at)).value.jobs
      assert.isTrue(listed.every((job: { lane: string }) => job.lane === "prepare"))
    })
  )

  it.scopedLive("a lane that is paused stays paused, and says so", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["init"], at)
      assert.deepStrictEqual((yield* json(["lanes", "pause", "embed"], at)).value, {
        lane: "embed",
        paused: true
      })
      const paused = (yield* json(["status"], at)).value.lanes.filter(
        (one: { paused: boolean }) => one.paused
      )
      assert.deepStrictEqual(
        paused.map((one: { lane: string }) => one.lane),
        ["embed"]
      )
      assert.deepStrictEqual((yield* json(["lanes", "resume", "embed"], at)).value, {
        lane: "embed",
        paused: false
      })
    })
  )

  it.scopedLive("a lane that is paused ends add, which would hold the lock that resuming needs", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["lanes", "pause", "embed"], at)
      const held = yield* Effect.timeout(json(["add", "docs"], at), "20 seconds")
      assert.deepStrictEqual([held.code, held.value.error.code], [1, "LanePaused"])
      assert.match(held.err, /reprise lanes resume embed/)
      yield* run(["lanes", "resume", "embed"], at)
      const { code, value } = yield* json(["add", "docs"], at)
      assert.deepStrictEqual([code, value.parked, value.failed], [0, 0, 0])
      assert.strictEqual((yield* run(["verify"], at)).code, 0)
    })
  )

  it.scopedLive("what is not there is named, and how to find what is", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      for (const [words, error, message] of [
        [["get", "nothing.md"], "DocumentUnknown", /No document nothing\.md/],
        [["jobs", "show", "nothing"], "JobUnknown", /no job nothing.*reprise jobs list/],
        [["jobs", "retry", "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a01"], "JobUnknown", /no job 6b3e/],
        [["sync", "elsewhere"], "SourceUnknown", /No source .*elsewhere/],
        [["events", "--type", "DocumentComitted"], "UsageError", /Did you mean DocumentCommitted\?/],
        [["search", "a", "--filter", "stars"], "UsageError", /expected key=value/],
        [
          ["search", "a", "--filter", "stars<=4"],
          "UsageError",
          /expected key=value, key>=value or key<value/
        ],
        [["search", "a", "--filter", "source=x"], "UsageError", /expected source=<id>/],
        [["build", "--exclude", "x"], "UsageError", /expected the id of a document/]
      ] as const) {
        const { code, err, value } = yield* json(words, at)
        assert.deepStrictEqual([code, value.error.code], [2, error], words.join(" "))
        assert.match(value.error.message, message)
        assert.match(err, /^error: /)
      }
    })
  )
})

describe("bad input", { timeout: 120_000 }, () => {
  it.scopedLive(
    "a path that does not exist: 2 if nothing else was accepted, else 1, and nothing is made for it",
    () =>
      Effect.gen(function* () {
        const at = yield* place
        const alone = yield* json(["add", "nowhere"], at)
        assert.deepStrictEqual([alone.code, alone.value.error.code], [2, "PathsMissing"])
        assert.isFalse(existsSync(join(at.cwd, "data")))
        const beside = yield* json(["add", "nowhere", "docs"], at)
        const receipt = decodeReceipt(beside.value)
        assert.deepStrictEqual([beside.code, receipt.added, receipt.failed], [1, 3, 1])
        assert.match(receipt.failures[0]?.uri ?? "", /nowhere$/)
        assert.strictEqual((yield* run(["add", "nowhere"], at)).code, 2)
      })
  )

  it.scopedLive(
    "a name that nothing has exits 2 where nothing else was removed, as it does for get; beside others 1",
    () =>
      Effect.gen(function* () {
        const at = yield* place
        assert.strictEqual((yield* json(["remove", "nosuch"], at)).value.error.code, "NothingThere")
        assert.isFalse(existsSync(join(at.cwd, "data")))
        yield* run(["add", "docs"], at)
        assert.strictEqual((yield* run(["get", "nosuch"], at)).code, 2)
        for (const words of [
          ["remove", "nosuch"],
          ["remove", "nosuch", "--dry-run"]
        ]) {
          const { code, value } = yield* json(words, at)
          assert.strictEqual(code, 2, words.join(" "))
          assert.deepInclude(value, { requested: 1, failed: 1, rejected: 1, removed: 0 })
        }
        const dry = yield* json(["remove", "docs", "nosuch", "--dry-run"], at)
        assert.deepStrictEqual([dry.code, dry.value.removed], [1, 3])
        const beside = yield* json(["remove", "docs/fiber.md", "nosuch"], at)
        assert.deepStrictEqual([beside.code, beside.value.removed, beside.value.failed], [1, 1, 1])
      })
  )

  it.scopedLive("a data directory that is not there is not made by who works on what is in one", () =>
    Effect.gen(function* () {
      const at = yield* place
      const job = "6b3e1f0a-5a0f-5d0e-9a67-0d6c1b2f7a01"
      for (const words of [
        ["sync"],
        ["replay"],
        ["build"],
        ["verify", "--repair"],
        ["gc"],
        ["erase", "--everything"],
        ["jobs", "retry", job],
        ["recover", "--accept-rollback"]
      ]) {
        const { code, value } = yield* json(words, at)
        assert.deepStrictEqual([code, value.error.code], [2, "NothingThere"], words.join(" "))
      }
      assert.deepStrictEqual(readdirSync(at.cwd), ["docs"])
    })
  )

  it.scopedLive("a path is one though nothing stands there any more: of a document, of a source", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      rmSync(join(at.cwd, "docs", "fiber.md"))
      const dry = yield* json(["remove", "docs/fiber.md", "--dry-run"], at)
      assert.deepStrictEqual([dry.code, dry.value.removed], [0, 1])
      const document = yield* json(["remove", "docs/fiber.md"], at)
      assert.deepStrictEqual([document.code, document.value.removed], [0, 1])
      const below = { ...at, cwd: join(at.cwd, "elsewhere") }
      assert.strictEqual((yield* json(["remove", "stream.md"], below)).value.removed, 1)
      rmSync(join(at.cwd, "docs"), { recursive: true })
      const source = yield* json(["remove", "docs/"], at)
      assert.deepStrictEqual([source.code, source.value.removed], [0, 1])
      const erased = yield* json(["erase", "docs"], at)
      assert.deepStrictEqual([erased.code, erased.value.sources.length], [0, 1], JSON.stringify(erased.value))
    })
  )

  it.scopedLive("a root that is gone removes nothing and exits 1", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["add", "docs"], at)
      rmSync(join(at.cwd, "docs"), { recursive: true })
      for (const words of [["sync"], ["add", "docs"]]) {
        const { code, value } = yield* json(words, at)
        assert.deepStrictEqual([code, value.removed, value.failed], [1, 0, 1], words.join(" "))
      }
      assert.strictEqual((yield* json(["documents", "--state", "live"], at)).value.documents.length, 3)
    })
  )

  it.scopedLive(
    "queries that are empty, long or full of operators are answered or refused, never broken",
    () =>
      Effect.gen(function* () {
        const at = yield* place
        yield* run(["add", "docs"], at)
        for (const query of ["", " "]) {
          const empty = yield* json(["search", "--", query], at)
          assert.deepStrictEqual([empty.code, empty.value.error.code], [2, "UsageError"])
        }
        for (const query of [
          '"',
          "*",
          "a-b",
          "nope:x",
          "(".repeat(200),
          "NEAR/2 OR AND NOT",
          "\ud800",
          "' --"
        ])
          for (const mode of ["sparse", "hybrid"]) {
            const { code, value } = yield* json(["search", "--mode", mode, "--", query], at)
            assert.strictEqual(code, 0, JSON.stringify({ query, value }))
          }
        const long = yield* json(["search", "word ".repeat(20_000)], at)
        assert.deepStrictEqual([long.code, long.value.error.code], [2, "QueryTooLong"])
        const many = yield* run(
          ["search", "a", ...Array.from({ length: 2000 }, (_, n) => `--filter=k=${n}`)],
          at
        )
        assert.strictEqual(many.code, 2)
      })
  )

  it.scopedLive("work that is left to workers where none can come exits 2, and nothing is made", () =>
    Effect.gen(function* () {
      const at = yield* place
      for (const [lanes, left] of [
        ["none", "prepare and embed"],
        ["prepare", "embed"]
      ] as const) {
        const refused = yield* json(["serve", "--lanes", lanes], at)
        assert.deepStrictEqual([refused.code, refused.value.error.code], [2, "UsageError"])
        assert.include(refused.value.error.message, `leaves ${left} to workers`)
      }
      assert.deepStrictEqual(readdirSync(at.cwd), ["docs"])
    })
  )

  it.scopedLive("a corrupt reprise.json exits 2 with its path and place", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["init"], at)
      const path = join(at.cwd, "data", "reprise.json")
      for (const [text, message] of [
        ["{", /no JSON/],
        ['{"serch": {}}', /"serch" is no setting/],
        ['{"files": {"jobs": "many"}}', /"files\.jobs" is "many", expected an integer/]
      ] as const) {
        writeFileSync(path, text)
        const { code, value } = yield* json(["add", "docs"], at)
        assert.deepStrictEqual([code, value.error.code], [2, "ConfigInvalid"])
        assert.match(value.error.message, message)
        assert.include(value.error.message, path)
      }
    })
  )

  it.scopedLive("a data directory of a newer version exits 2, and no byte of it changes", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["init"], at)
      writeFileSync(join(at.cwd, "data", "format"), "reprise 99\n")
      const before = readdirSync(join(at.cwd, "data"))
      const { code, value } = yield* json(["add", "docs"], at)
      assert.deepStrictEqual([code, value.error.code], [2, "DirectoryNewer"])
      assert.deepStrictEqual(readdirSync(join(at.cwd, "data")), before)
    })
  )

  it.scopedLive("an unreachable provider exits 3 and is named", () =>
    Effect.gen(function* () {
      const at = yield* place
      const environment = {
        ...at.environment,
        REPRISE_EMBEDDING_PROVIDER: "openai",
        REPRISE_EMBEDDING_URL: "http://127.0.0.1:9",
        REPRISE_EMBEDDING_MODEL: "absent",
        REPRISE_EMBEDDING_PATIENCE: "0s",
        REPRISE_EMBEDDING_ATTEMPTS: "1"
      }
      const { code, value } = yield* json(["add", "docs"], { cwd: at.cwd, environment })
      assert.strictEqual(code, 3, JSON.stringify(value))
      assert.match(value.error.message, /absent/)
    })
  )

  it.scopedLive("names with newlines and escape sequences are indexed, and shown as text", () =>
    Effect.gen(function* () {
      const at = yield* place
      const name = "evil\n\u001b[31m\u202ename.md"
      writeFileSync(join(at.cwd, "docs", name), "# \u001b]0;title\u0007 Zebra\n\nA zebra with stripes.\n")
      assert.strictEqual((yield* run(["add", "docs"], at)).code, 0)
      for (const words of [
        ["search", "zebra stripes"],
        ["documents"],
        ["get", join("docs", name)],
        ["events"]
      ]) {
        const { code, out } = yield* run(words, { ...at, terminal: true })
        assert.strictEqual(code, 0)
        const text = out.replaceAll(/\u001b\[\d+m/g, "")
        assert.notMatch(text, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/)
      }
      const { out } = yield* run(["search", "zebra stripes", "--json"], at)
      assert.notMatch(out.trimEnd(), /[\u0000-\u001f\u202e]/)
    })
  )

  it.scopedLive("removals above the threshold are held, exit 1, and are carried out when approved", () =>
    Effect.gen(function* () {
      const at = yield* place
      for (let n = 0; n < 20; n++)
        writeFileSync(join(at.cwd, "docs", `n${n}.md`), `# Note ${n}\n\nText ${n}.\n`)
      yield* run(["add", "docs"], at)
      for (let n = 0; n < 20; n++) rmSync(join(at.cwd, "docs", `n${n}.md`))
      const held = yield* json(["sync"], at)
      assert.deepStrictEqual([held.code, held.value.held, held.value.removed], [1, 20, 0])
      const doctor = yield* json(["doctor"], at)
      assert.strictEqual(doctor.code, 1)
      const approved = yield* json(["sync", "--approve-removals"], at)
      assert.deepStrictEqual([approved.code, approved.value.held, approved.value.removed], [0, 0, 20])
    })
  )
})

describe("somebody who does not want to wait", { timeout: 60_000 }, () => {
  it.scopedLive("gets the receipt so far, exit 130, and goes on later", () =>
    Effect.gen(function* () {
      const at = yield* place
      const stop = yield* Deferred.make<void>()
      yield* Deferred.succeed(stop, undefined)
      const stopped = yield* json(["add", "docs"], { ...at, stop })
      assert.deepStrictEqual([stopped.code, stopped.value.interrupted], [130, true])
      assert.strictEqual((yield* run(["add", "docs", "--dry-run"], { ...at, stop })).code, 130)
      assert.strictEqual(decodeReceipt((yield* json(["add", "docs"], at)).value).failed, 0)
      assert.strictEqual((yield* json(["documents"], at)).value.documents.length, 3)
    })
  )

  it.scopedLive("ends what only watches", () =>
    Effect.gen(function* () {
      const at = yield* place
      yield* run(["init"], at)
      const stop = yield* Deferred.make<void>()
      yield* Effect.fork(Effect.delay(Deferred.succeed(stop, undefined), "300 millis"))
      assert.strictEqual((yield* run(["events", "--follow"], { ...at, stop })).code, 130)
    })
  )
})

describe("help and completions", () => {
  it.effect("name every command, for people and for shells", () =>
    Effect.gen(function* () {
      const help = yield* run(["--help"], { cwd: "/" })
      assert.strictEqual(help.code, 0)
      for (const name of ["add", "sync", "search", "replay", "doctor", "lanes", "log"])
        assert.include(help.out, name)
      for (const shell of ["bash", "zsh", "fish"]) {
        const { code, out } = yield* run(["--completions", shell], { cwd: "/" })
        assert.strictEqual(code, 0)
        assert.include(out, "approve-removals")
      }
      assert.strictEqual((yield* run(["--version"], { cwd: "/" })).out, "0.0.0\n")
    })
  )
})
