/** What `gc` frees, and what it must not, through the whole runtime and a clock that a test moves. */
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Duration, Effect, Schedule, Schema, type Scope } from "effect"
import { defaultScope } from "../../events/index.ts"
import * as Archive from "../../src/log/Archive.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { collections } from "../../src/runtime/Serving.ts"
import { layer, Push, type TestingOptions, TestRuntime } from "../../src/runtime/Testing.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { type ShiftedClock, shiftedClock } from "../support/shiftedClock.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const found = (query: string) =>
  Effect.map(
    Effect.flatMap(Reader, (reader) =>
      reader.search(
        Schema.decodeSync(SearchRequest)({ scope: defaultScope, query, mode: "hybrid", limit: 5 })
      )
    ),
    ({ degraded, hits }) => {
      assert.isFalse(degraded)
      return hits.map(({ text }) => text.trim())
    }
  )

const untilVisible = Effect.flatMap(TestRuntime, (runtime) => runtime.untilVisible)
const push = (id: string, text: string) =>
  Effect.zipRight(
    Effect.flatMap(Push, (pushed) => pushed.push({ id, text }, { scope: defaultScope, source: "crm" })),
    untilVisible
  )
const withdraw = (id: string) =>
  Effect.zipRight(
    Effect.flatMap(Push, (pushed) => pushed.withdraw(id, { scope: defaultScope, source: "crm" })),
    untilVisible
  )
const collect = (dryRun = false) => Effect.flatMap(Writer, (writer) => writer.collect({ dryRun }))
const replay = Effect.flatMap(Writer, (writer) => writer.replay(() => Effect.void))
const clean = Effect.map(
  Effect.flatMap(Writer, (writer) => writer.repair({ level: "full", recompute: true })),
  ({ clean, report }) => clean && report.repaired === 0
)

const stored = Effect.map(TestRuntime, ({ directory }) => {
  const db = new SqliteDatabase(join(directory, "content.sqlite"), { readonly: true })
  const count = (table: string) => Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get())
  const counts = { bodies: count("blobs"), vectors: count("vectors") }
  db.close()
  return counts
})

/** Points in the files of the live generation. */
const points = Effect.map(TestRuntime, ({ directory }) => {
  const index = join(directory, "index")
  const [generation = ""] = readdirSync(index)
  const db = new SqliteDatabase(join(index, generation, "default.default.sqlite"), { readonly: true })
  const count = Number(db.prepare("SELECT count(*) FROM points").pluck().get())
  db.close()
  return count
})

const embedded = Effect.map(stored, ({ vectors }) => vectors)

const small: TestingOptions = { settings: { embedding: { dimensions: 32 } } }

const onClock = <E>(title: string, test: (clock: ShiftedClock) => Effect.Effect<void, E, Scope.Scope>) =>
  it.scopedLive(title, () =>
    Effect.suspend(() => {
      const clock = shiftedClock()
      return Effect.withClock(test(clock), clock.clock)
    })
  )

/** Two chunks of it stay as they are, whatever follows. */
const kept = Array.from(
  { length: 6 },
  (_, at) => `Line ${at}: the keeper of the harbour writes of storms, ropes, lanterns and the price of fish.`
).join("\n\n")

describe("gc", () => {
  onClock("is run by a server as often as storage.gcInterval says", ({ forward }) =>
    Effect.gen(function* () {
      yield* push("note", "The meeting is on Monday.")
      const before = yield* stored
      yield* push("note", "The meeting is on Tuesday.")
      yield* Effect.forkScoped(collections(Duration.millis(50)))
      yield* Effect.sleep("200 millis")
      assert.isAbove((yield* stored).bodies, before.bodies)
      yield* forward("8 days")
      yield* stored.pipe(
        Effect.filterOrFail(({ bodies }) => bodies === before.bodies),
        Effect.retry(Schedule.spaced("20 millis")),
        Effect.timeout("20 seconds")
      )
      assert.isTrue(yield* clean)
      // It ends before what it works on is closed, as in a server.
    }).pipe(Effect.scoped, Effect.provide(layer(small)))
  )

  onClock(
    "frees what a superseded version needed once storage.keepFor has passed, and its points",
    ({ forward }) =>
      Effect.gen(function* () {
        yield* push("note", "The meeting is on Monday.")
        const before = yield* stored
        yield* push("note", "The meeting is on Tuesday.")
        yield* forward("6 days")
        const early = yield* collect()
        assert.strictEqual(yield* points, 1)
        assert.deepStrictEqual([early.vectors, early.points], [0, 1], "the point has had its grace")
        yield* forward("2 days")
        const late = yield* collect()
        assert.strictEqual(late.vectors, 1)
        assert.isAbove(late.bodies, 0)
        assert.isAbove(late.bytes, 0)
        assert.deepStrictEqual(yield* stored, before, "as much as one version needs")
        assert.deepStrictEqual(yield* found("meeting"), ["The meeting is on Tuesday."])
        assert.isTrue(yield* clean)
        const again = yield* collect()
        assert.deepStrictEqual([again.bodies, again.vectors, again.points], [0, 0, 0])
      }).pipe(Effect.provide(layer(small)))
  )

  onClock(
    "takes no point that a search could see within the grace, and counts it from the apply",
    ({ forward }) =>
      Effect.gen(function* () {
        yield* push("note", "The meeting is on Monday.")
        yield* push("note", "The meeting is on Tuesday.")
        assert.strictEqual((yield* collect()).points, 0)
        yield* forward("59 minutes")
        assert.strictEqual((yield* collect()).points, 0)
        yield* forward("2 minutes")
        assert.strictEqual((yield* collect()).points, 1)
      }).pipe(Effect.provide(layer(small)))
  )

  onClock(
    "what comes back within storage.keepFor computes nothing; later it is embedded again",
    ({ forward }) =>
      Effect.gen(function* () {
        yield* push("note", "The meeting is on Monday.")
        const once = yield* embedded
        yield* withdraw("note")
        yield* forward("5 days")
        yield* collect()
        assert.strictEqual(yield* embedded, once)
        yield* push("note", "The meeting is on Monday.")
        yield* withdraw("note")
        yield* forward("8 days")
        yield* collect()
        assert.isBelow(yield* embedded, once)
        yield* push("note", "The meeting is on Monday.")
        assert.strictEqual(yield* embedded, once)
        assert.deepStrictEqual(yield* found("meeting"), ["The meeting is on Monday."])
      }).pipe(Effect.provide(layer(small)))
  )

  onClock("keeps the newest storage.keepVersions ended versions of a document, however old", ({ forward }) =>
    Effect.gen(function* () {
      for (const day of ["Monday", "Tuesday", "Wednesday", "Thursday"])
        yield* push("note", `The meeting is on ${day}.`)
      const all = yield* embedded
      yield* forward("100 days")
      assert.strictEqual((yield* collect()).vectors, 1)
      assert.strictEqual(yield* embedded, all - 1)
    }).pipe(Effect.provide(layer({ settings: { ...small.settings, storage: { keepVersions: 2 } } })))
  )

  onClock("leaves what another document has as well", ({ forward }) =>
    Effect.gen(function* () {
      yield* push("one", "The meeting is on Monday.")
      yield* push("two", "The meeting is on Monday.")
      const both = yield* embedded
      yield* withdraw("one")
      yield* forward("8 days")
      yield* collect()
      assert.strictEqual(yield* embedded, both)
      assert.deepStrictEqual(yield* found("meeting"), ["The meeting is on Monday."])
    }).pipe(Effect.provide(layer(small)))
  )

  onClock("with --dry-run says what it would free, and changes nothing", ({ forward }) =>
    Effect.gen(function* () {
      yield* push("note", "The meeting is on Monday.")
      yield* push("note", "The meeting is on Tuesday.")
      yield* forward("8 days")
      const before = yield* stored
      const would = yield* collect(true)
      assert.deepStrictEqual(yield* stored, before)
      const did = yield* collect()
      const numbers = ({ bodies, bytes, documents, generations, points, vectors }: typeof did) => ({
        bodies,
        bytes,
        documents,
        generations,
        points,
        vectors
      })
      assert.deepStrictEqual(numbers(did), numbers(would))
      assert.isAbove(did.points, 0)
    }).pipe(Effect.provide(layer(small)))
  )

  onClock("has no points to take after a replay: what had ended does not come back", () =>
    Effect.gen(function* () {
      yield* push("note", "The meeting is on Monday.")
      // What comes and goes within one batch of the fold leaves no point: this is more than one.
      const others = Array.from({ length: 1400 }, (_, at) => ({ id: `other-${at}`, text: "The ferry." }))
      const { push: pushed } = yield* Push
      const submit = (one: (typeof others)[number]) => pushed(one, { scope: defaultScope, source: "crm" })
      yield* Effect.forEach(others, submit, { concurrency: 64, discard: true })
      yield* push("note", "The meeting is on Tuesday.")
      assert.strictEqual(yield* points, 1402)
      assert.isTrue((yield* replay).fingerprint.equal)
      assert.strictEqual(yield* points, 1401)
      assert.strictEqual((yield* collect()).points, 0)
      assert.strictEqual((yield* found("meeting"))[0], "The meeting is on Tuesday.")
      assert.isTrue(yield* clean)
    }).pipe(Effect.provide(layer(small)))
  )

  onClock("leaves a log from which replay gives the same fingerprint and computes nothing", ({ forward }) =>
    Effect.gen(function* () {
      yield* push("note", `${kept}\n\nIt begins at nine.`)
      yield* push("other", "The ferry to the island leaves at noon.")
      // A chunk that survives two versions: folded anew, its window begins with the version that is left.
      yield* push("note", `${kept}\n\nIt begins at ten, and it lasts until the ferry leaves.`)
      yield* push("gone", "Nobody needs this.")
      yield* withdraw("gone")
      yield* forward("8 days")
      yield* collect()
      assert.isTrue(yield* clean)
      const replayed = yield* replay
      assert.isTrue(replayed.fingerprint.equal)
      assert.strictEqual(replayed.embeddings.computed, 0)
      assert.isTrue(yield* clean)
    }).pipe(
      Effect.provide(
        layer({ settings: { ...small.settings, chunking: { maxTokens: 32, overlapTokens: 0 } } })
      )
    )
  )

  onClock("frees what a retired generation alone needed, and `log verify` misses nothing", ({ forward }) =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const under = (dimensions: number) => layer({ directory, settings: { embedding: { dimensions } } })
      yield* push("note", "The meeting is on Monday.").pipe(Effect.provide(under(32)))
      yield* Effect.gen(function* () {
        yield* Effect.flatMap(Writer, (writer) =>
          writer.build({ excluded: [], onProgress: () => Effect.void })
        )
        const both = yield* embedded
        yield* collect()
        assert.strictEqual(yield* embedded, both, "it was retired a moment ago")
        yield* forward("8 days")
        yield* collect()
        assert.strictEqual(yield* embedded, both / 2)
        assert.isTrue(yield* clean)
      }).pipe(Effect.provide(under(16)))
      assert.deepStrictEqual((yield* Archive.verify(directory)).damages, [])
    })
  )
})
