import { copyFileSync, cpSync, existsSync, readdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect, Either, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import * as Archive from "../../src/log/Archive.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as OpenReading from "../../src/runtime/OpenReading.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { addRoot, replayed, withRuntime } from "../support/embeddedRuntime.ts"
import { writeMixedTree } from "../support/mixedTree.ts"
import { temporaryDirectory, temporaryFolder } from "../support/temporaryDirectory.ts"
import { assertWhole } from "../support/wholeDirectory.ts"

const settings = { files: { jobs: 1 }, embedding: { dimensions: 64 } } as const
const full = { level: "full", recompute: false } as const

const folder = temporaryFolder()
const root = join(folder, "root")
const base = join(folder, "base")
beforeAll(async () => {
  writeMixedTree(root)
  await Effect.runPromise(withRuntime(base, settings, addRoot(root)))
}, 60_000)
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const copyOfBase = Effect.map(temporaryDirectory, (directory) => {
  const data = join(directory, "data")
  cpSync(base, data, { recursive: true })
  return data
})

/** A program that only reads. */
const withReader = <A, E>(path: string, use: Effect.Effect<A, E, Reader>) =>
  Effect.scoped(
    Effect.provide(
      use,
      OpenReading.layer({
        configuration: {
          settings: Schema.decodeSync(Settings)(settings),
          directory: { path, origin: "flag", files: filesIn(path, join) }
        },
        embeds: true
      })
    )
  )

const search = Effect.flatMap(Reader, (reader) =>
  reader.search(
    Schema.decodeUnknownSync(SearchRequest)({
      scope: defaultScope,
      query: "keeper of the lighthouse",
      mode: "hybrid",
      limit: 10
    })
  )
)

const byHand = (file: string, ...statements: ReadonlyArray<string>) => {
  const db = new Sqlite(file)
  let changed = 0
  for (const sql of statements) changed += db.prepare(sql).run().changes
  db.close()
  return changed
}

const projectFile = (data: string) => {
  const generation = readdirSync(join(data, "index")).find((name) => name.startsWith("g")) ?? ""
  return join(data, "index", generation, "default.default.sqlite")
}

const one = "(SELECT ordinal FROM points ORDER BY ordinal LIMIT 1 OFFSET 10)"
const another = "(SELECT ordinal FROM points ORDER BY ordinal LIMIT 1 OFFSET 14)"

/** Every kind of field of an index file: what stands in it, what belongs to searches, what is derived. */
const fields: ReadonlyArray<readonly [field: string, sql: string]> = [
  [
    "a payload",
    `UPDATE points SET payload = (SELECT payload FROM points WHERE ordinal = ${another}) WHERE ordinal = ${one}`
  ],
  ["a payload that is no JSON", `UPDATE points SET payload = '{' WHERE ordinal = ${one}`],
  [
    "a vector",
    `UPDATE points SET dense = (SELECT dense FROM points WHERE ordinal = ${another}) WHERE ordinal = ${one}`
  ],
  ["a vector that is cut", `UPDATE points SET dense = substr(dense, 1, 7) WHERE ordinal = ${one}`],
  [
    "a sparse vector",
    `UPDATE points SET sparse = (SELECT sparse FROM points WHERE ordinal = ${another}) WHERE ordinal = ${one}`
  ],
  ["a sparse vector that is cut", `UPDATE points SET sparse = substr(sparse, 1, 11) WHERE ordinal = ${one}`],
  [
    "a chunk id",
    `UPDATE points SET chunk_id = (SELECT chunk_id FROM points WHERE ordinal = ${another}) WHERE ordinal = ${one}`
  ],
  [
    "every second chunk id, the next one's instead,",
    `UPDATE points SET chunk_id = other.chunk_id FROM
     (SELECT ordinal, lead(chunk_id) OVER (ORDER BY ordinal) AS chunk_id FROM points) AS other
     WHERE other.ordinal = points.ordinal AND other.chunk_id IS NOT NULL AND points.ordinal % 2 = 0`
  ],
  [
    "every chunk id, the next one's instead,",
    `UPDATE points SET chunk_id = other.chunk_id FROM
     (SELECT ordinal, lead(chunk_id, 1, (SELECT chunk_id FROM points ORDER BY ordinal LIMIT 1)) OVER (ORDER BY ordinal) AS chunk_id FROM points) AS other
     WHERE other.ordinal = points.ordinal`
  ],
  ["a chunk id that is none", `UPDATE points SET chunk_id = 'nobody' WHERE ordinal = ${one}`],
  ["a point id", `UPDATE points SET id = 'nobody' WHERE ordinal = ${one}`],
  ["a document id", `UPDATE points SET document_id = 'nobody' WHERE ordinal = ${one}`],
  ["the begin of a window", `UPDATE points SET from_position = from_position - 1 WHERE ordinal = ${one}`],
  ["the end of a window", `UPDATE points SET until_position = 1000000 WHERE ordinal = ${one}`],
  ["a window that hides it", `UPDATE points SET until_position = from_position + 1 WHERE ordinal = ${one}`],
  ["a missing row", `DELETE FROM points WHERE ordinal = ${one}`],
  [
    "an invented row",
    `INSERT INTO points SELECT 99999, 'invented', chunk_id, document_id, from_position, until_position, payload, sparse, dense FROM points WHERE ordinal = ${one}`
  ],
  [
    "a posting's weight",
    "UPDATE postings SET weights = CAST(x'0000a041' || substr(weights, 5) AS BLOB) WHERE (segment, first_token) = (SELECT segment, first_token FROM postings ORDER BY segment, first_token LIMIT 1)"
  ],
  [
    "a missing posting",
    "DELETE FROM postings WHERE (segment, first_token) = (SELECT segment, first_token FROM postings ORDER BY segment, first_token LIMIT 1)"
  ],
  [
    "a code",
    "UPDATE codes SET codes = CAST(x'7f' || substr(codes, 2) AS BLOB) WHERE segment = (SELECT min(segment) FROM codes)"
  ],
  [
    "a code's scale",
    "UPDATE codes SET scales = CAST(x'0000003f' || substr(scales, 5) AS BLOB) WHERE segment = (SELECT min(segment) FROM codes)"
  ],
  [
    "a code's error bound",
    "UPDATE codes SET errors = CAST(x'00000000' || substr(errors, 5) AS BLOB) WHERE segment = (SELECT min(segment) FROM codes)"
  ],
  [
    "a segment's points",
    "UPDATE segments SET ordinals = CAST(substr(ordinals, 1, length(ordinals) - 1) AS BLOB) WHERE rowid = (SELECT min(rowid) FROM segments)"
  ],
  ["lost postings", "DELETE FROM postings"],
  ["lost codes", "DELETE FROM codes"]
]

describe("Q9: a field of an index file, changed by hand,", () => {
  for (const [field, sql] of fields) {
    it.scopedLive(
      `${field}: is found and named by verify, mended by repair, and clean after`,
      () =>
        Effect.gen(function* () {
          const data = yield* copyOfBase
          const before = assertWhole(base, "undamaged").index.fingerprint
          assert.isAbove(byHand(projectFile(data), sql), 0, "nothing was changed")
          const found = yield* withReader(
            data,
            Effect.flatMap(Reader, ({ verify }) => verify(full))
          )
          assert.isFalse(found.clean, JSON.stringify(found.report))
          assert.isNotEmpty(found.report.examples)
          const mended = yield* withRuntime(
            data,
            settings,
            Effect.flatMap(Writer, ({ repair }) => repair(full))
          )
          assert.isTrue(mended.clean, JSON.stringify(mended.report))
          assert.isAbove(mended.report.repaired, 0)
          const after = yield* withReader(
            data,
            Effect.flatMap(Reader, ({ verify }) => verify(full))
          )
          assert.isTrue(after.clean, JSON.stringify(after.report))
          assert.strictEqual(assertWhole(data, "mended").index.fingerprint, before)
        }),
      60_000
    )
  }
})

describe("D9: one byte changed", () => {
  const places: ReadonlyArray<readonly [what: string, file: string, sql: string]> = [
    [
      "an event's data",
      "log.sqlite",
      "UPDATE events SET data = replace(data, '\"version\":1', '\"version\":2') WHERE position = 40"
    ],
    [
      "an event's metadata",
      "log.sqlite",
      "UPDATE events SET metadata = replace(metadata, '\"epoch\":1', '\"epoch\":2') WHERE position = 40"
    ],
    ["an event's time", "log.sqlite", "UPDATE events SET recorded_at = recorded_at + 1 WHERE position = 40"],
    ["an event's type", "log.sqlite", "UPDATE events SET type = type || 'x' WHERE position = 40"],
    [
      "an event's hash",
      "log.sqlite",
      "UPDATE events SET hash = CAST(x'00' || substr(hash, 2) AS BLOB) WHERE position = 40"
    ]
  ]
  for (const [what, file, sql] of places) {
    it.scopedLive(`in ${what} is found by log verify, with its position`, () =>
      Effect.gen(function* () {
        const data = yield* copyOfBase
        const trigger = sql.includes("replace(data")
          ? sql.replace(
              "position = 40",
              `position = (SELECT min(position) FROM events WHERE position >= 40 AND data LIKE '%"version":1%')`
            )
          : sql
        assert.strictEqual(byHand(join(data, file), trigger), 1)
        const { damages } = yield* Archive.verify(data)
        assert.isNotEmpty(damages)
        const positions = JSON.stringify(damages)
        assert.match(positions, /"where":"4\d"/, positions)
      })
    )
  }

  const bodies: ReadonlyArray<readonly [what: string, sql: string]> = [
    [
      "a blob",
      "UPDATE blobs SET bytes = CAST(substr(bytes, 1, length(bytes) - 1) || x'fe' AS BLOB) WHERE rowid = (SELECT max(rowid) FROM blobs)"
    ],
    [
      "a vector",
      "UPDATE vectors SET vector = CAST(substr(vector, 1, length(vector) - 1) || x'01' AS BLOB) WHERE rowid = (SELECT max(rowid) FROM vectors)"
    ]
  ]
  for (const [what, sql] of bodies) {
    it.scopedLive(`in ${what} is found by log verify, and named`, () =>
      Effect.gen(function* () {
        const data = yield* copyOfBase
        assert.strictEqual(byHand(join(data, "content.sqlite"), sql), 1)
        const { damages } = yield* Archive.verify(data)
        assert.isNotEmpty(damages)
        assert.match(JSON.stringify(damages), /[0-9a-f]{64}/, "the damage names the digest")
      })
    )
  }
})

describe("D8, O3: a log that lost its tail", () => {
  it.scopedLive(
    "is refused for writing, read all the same, and works again after its rollback is accepted",
    () =>
      Effect.gen(function* () {
        const data = yield* copyOfBase
        const more = join(yield* temporaryDirectory, "more")
        writeMixedTree(more)
        const older = join(data, "older.sqlite")
        for (const end of ["", "-wal"]) {
          if (existsSync(join(data, `log.sqlite${end}`)))
            copyFileSync(join(data, `log.sqlite${end}`), older + end)
        }
        yield* withRuntime(data, settings, addRoot(more))
        // As after a WAL that was lost: what was there before comes back, everything around it has seen more.
        for (const end of ["", "-wal", "-shm"]) rmSync(join(data, `log.sqlite${end}`), { force: true })
        for (const end of ["", "-wal"]) {
          if (existsSync(older + end)) copyFileSync(older + end, join(data, `log.sqlite${end}`))
          rmSync(older + end, { force: true })
        }

        const refused = yield* Effect.either(Effect.sandbox(withRuntime(data, settings, Effect.void)))
        assert.isTrue(Either.isLeft(refused))
        assert.include(String(Either.isLeft(refused) ? refused.left : ""), "LogBehindIndex")
        const { answer, behind, state } = yield* withReader(
          data,
          Effect.all({
            state: Effect.flatMap(Reader, ({ status }) => status(defaultScope)),
            answer: search,
            behind: Effect.flatMap(Reader, ({ behindWitness }) => behindWitness)
          })
        )
        assert.isNotEmpty(answer.hits)
        assert.include(answer.notes, behind?.message ?? "no witness")
        assert.strictEqual(behind?._tag, "LogBehindIndex")
        assert.deepStrictEqual([state.ready, state.healthy], [false, false])
        assert.include(state.problems.join(), behind?.message ?? "no witness")

        const again = yield* withRuntime(data, settings, Effect.all([addRoot(root), addRoot(more)]), true)
        assert.strictEqual(again[0].unchanged, 27, JSON.stringify(again[0]))
        const result = yield* withRuntime(data, settings, replayed)
        assert.isTrue(result.fingerprint.equal)
        const fresh = join(yield* temporaryDirectory, "fresh")
        yield* withRuntime(fresh, settings, Effect.all([addRoot(root), addRoot(more)]))
        assert.strictEqual(
          assertWhole(data, "rolled back").index.fingerprint,
          assertWhole(fresh, "fresh").index.fingerprint
        )
        const found = yield* withReader(data, search)
        assert.deepStrictEqual([found.degraded, found.notes], [false, []])
      }),
    120_000
  )
})
