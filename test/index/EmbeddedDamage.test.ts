import {
  closeSync,
  copyFileSync,
  cpSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync
} from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Option, Scope, Stream } from "effect"
import { inert } from "../../src/faults/Failpoints.ts"
import { make } from "../../src/index/EmbeddedIndex.ts"
import type { EngineGeneration, Point } from "../../src/index/Index.ts"
import { expectMismatch, here, mark, point, query, scanned, sparse, there } from "../conformance/index.ts"
import { Embedded } from "./EmbeddedFixture.ts"

const points = Array.from({ length: 40 }, (_, chunk) => point({ chunk, from: 1 }))
const victim = points[7] as Point
const others = points.filter(({ id }) => id !== victim.id)
const word = (value: number) => Buffer.from(Uint32Array.of(value).buffer)
const float = (value: number) => Buffer.from(Float32Array.of(value).buffer)

describe("a field changed by hand shows in what is read back", () => {
  const changes: ReadonlyArray<readonly [field: string, sql: string, parameter: unknown]> = [
    ["payload", "UPDATE points SET payload = ? WHERE id = ?", '{"document":"x","metadata":{},"source":"y"}'],
    ["payload that is no JSON", "UPDATE points SET payload = ? WHERE id = ?", "{"],
    ["vector", "UPDATE points SET dense = ? WHERE id = ?", Buffer.alloc(4 * 24, 1)],
    ["vector of another length", "UPDATE points SET dense = ? WHERE id = ?", Buffer.alloc(7, 1)],
    ["sparse vector", "UPDATE points SET sparse = ? WHERE id = ?", Buffer.alloc(16, 1)],
    ["sparse vector that is cut", "UPDATE points SET sparse = ? WHERE id = ?", Buffer.alloc(11, 1)],
    ["document id", "UPDATE points SET document_id = ? WHERE id = ?", "nobody"],
    ["begin of the window", "UPDATE points SET from_position = ? WHERE id = ?", 0],
    ["end of the window", "UPDATE points SET until_position = ? WHERE id = ?", 77]
  ]
  for (const [field, sql, parameter] of changes)
    it.scoped(`${field}: the point differs, the others do not, and it is mended by inserting it anew`, () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make()
        yield* engine.fill(points)
        assert.strictEqual(engine.byHand(sql, parameter, victim.id), 1)
        const index = yield* engine.open()
        const found = yield* scanned(index, 1)
        assert.lengthOf(found, points.length)
        assert.sameDeepMembers(
          found.filter(({ id }) => id !== victim.id),
          others
        )
        const [stored] = yield* index.lookup(here, [victim.id])
        assert.notDeepEqual(stored, victim)
        yield* mend(index, [victim])
        yield* isSound(index)
      })
    )

  it.scoped("a window that hides it: the point is missing from a scan, and found by its id", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* engine.fill(points)
      engine.byHand("UPDATE points SET until_position = 1 WHERE id = ?", victim.id)
      const index = yield* engine.open()
      assert.lengthOf(yield* scanned(index, 1), points.length - 1)
      assert.deepStrictEqual(yield* index.lookup(here, [victim.id]), [{ ...victim, until: 1 }])
      yield* mend(index, [victim])
      yield* isSound(index)
    })
  )

  it.scoped("a deleted row is missing, an invented row is extra", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* engine.fill(points)
      engine.byHand("DELETE FROM points WHERE id = ?", victim.id)
      engine.byHand(
        `INSERT INTO points SELECT 999, 'invented', chunk_id, document_id, from_position, until_position, payload, sparse, dense
         FROM points LIMIT 1`
      )
      const index = yield* engine.open()
      const found = (yield* scanned(index, 1)).map(({ id }) => String(id))
      assert.notInclude(found, victim.id)
      assert.include(found, "invented")
      assert.deepStrictEqual(
        (yield* index.checkDerived(1)).map(({ id, what }) => [String(id), what]),
        [["invented", "in no segment"]]
      )
      yield* mend(index, [victim], ["invented" as Point["id"]])
      yield* isSound(index)
    })
  )
})

describe("derived data changed by hand is named, and mended by inserting the point anew", () => {
  /** The victim is member 7 of the only segment. */
  const changes: ReadonlyArray<readonly [what: string, sql: string, ...parameters: ReadonlyArray<unknown>]> =
    [
      [
        "posting changed",
        "UPDATE postings SET weights = CAST(substr(weights, 1, length(weights) - 4) || ? AS BLOB)",
        float(9)
      ],
      [
        "posting missing",
        `UPDATE postings SET tokens = substr(tokens, 1, 4), ends = substr(ends, 1, 4),
           members = substr(members, 1, length(members) - 2), weights = substr(weights, 1, length(weights) - 4)
         WHERE substr(members, -2) = ?`,
        Buffer.from([7, 0])
      ],
      [
        "posting extra",
        "INSERT INTO postings VALUES (1, 12345, ?, ?, ?, ?)",
        word(12345),
        word(1),
        Buffer.from([7, 0]),
        float(9)
      ],
      [
        "code changed",
        "UPDATE codes SET codes = CAST(substr(codes, 1, 7 * 32) || x'7f' || substr(codes, 7 * 32 + 2) AS BLOB)"
      ],
      [
        "code changed",
        "UPDATE codes SET scales = CAST(substr(scales, 1, 28) || x'0000003f' || substr(scales, 33) AS BLOB)"
      ],
      [
        "code changed",
        "UPDATE codes SET errors = CAST(substr(errors, 1, 28) || x'00000000' || substr(errors, 33) AS BLOB)"
      ]
    ]
  for (const [what, sql, ...parameters] of changes)
    it.scoped(`${what}: ${sql.slice(0, 40)}`, () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make()
        // Token 2 is the victim's alone, and the last of the only block.
        const own = points.map((one) => ({ ...one, sparse: one.id === victim.id ? only(2) : only(1) }))
        yield* engine.fill(own)
        assert.strictEqual(engine.byHand(sql, ...parameters), 1)
        const index = yield* engine.open()
        assert.deepStrictEqual(yield* index.checkDerived(1), [{ scope: here, id: victim.id, what }])
        assert.deepStrictEqual(yield* index.checkDerived(0), [])
        yield* mend(
          index,
          own.filter(({ id }) => id === victim.id)
        )
        assert.deepStrictEqual(yield* index.checkDerived(1), [])
      })
    )

  for (const sql of [
    "UPDATE segments SET ordinals = CAST(substr(ordinals, 1, 15) AS BLOB)",
    "UPDATE segments SET points = 3",
    "UPDATE postings SET members = x'ff'",
    "UPDATE postings SET members = CAST(substr(members, 1, length(members) - 2) || x'ffff' AS BLOB)",
    "UPDATE postings SET members = substr(members, 3), weights = substr(weights, 5)",
    "UPDATE postings SET weights = substr(weights, 5)",
    "UPDATE postings SET ends = CAST(substr(ends, 5) || substr(ends, 1, 4) AS BLOB)",
    "UPDATE postings SET tokens = CAST(substr(tokens, 1, 4) || substr(tokens, 1, 4) AS BLOB)",
    "UPDATE postings SET tokens = x'', ends = x'', members = x'', weights = x''",
    "UPDATE postings SET first_token = 0",
    "UPDATE codes SET scales = x''",
    "DELETE FROM codes"
  ])
    it.scoped(`a segment that does not fit together: ${sql}`, () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make()
        yield* engine.fill(points)
        assert.strictEqual(engine.byHand(sql), 1)
        const index = yield* engine.open()
        yield* expectMismatch(index.query(query({ at: 1 })), "damaged")
        const named = yield* index.checkDerived(1)
        assert.sameMembers(
          named.map(({ id }) => id),
          points.map(({ id }) => id)
        )
        yield* mend(index, points)
        yield* isSound(index)
      })
    )
})

describe("segments side by side", () => {
  const [front, back] = [points.slice(0, 20), points.slice(20)]
  const inTwo = Effect.gen(function* () {
    const engine = yield* Embedded.make()
    yield* engine.fill(front)
    yield* engine.fill(back)
    return engine
  })
  const isReadBack = (index: EngineGeneration, at: number) =>
    Effect.map(
      Stream.runCollect(index.readBack?.(at, here, undefined) ?? Stream.make(undefined)),
      (pages) => ![...pages].includes(undefined)
    )

  const damages = {
    "mending points that stand in none takes nothing from the others": "DELETE FROM segments",
    "one that counts fewer points than it has, and would go before them, is named and mended":
      "UPDATE segments SET live = 3"
  }
  for (const [title, damage] of Object.entries(damages))
    it.scoped(title, () =>
      Effect.gen(function* () {
        const engine = yield* inTwo
        assert.strictEqual(engine.byHand(`${damage} WHERE first_ordinal > 1`), 1)
        const index = yield* engine.open()
        assert.isFalse(yield* isReadBack(index, 1))
        assert.sameMembers(
          (yield* index.checkDerived(1)).map(({ id }) => id),
          back.map(({ id }) => id)
        )
        yield* mend(index, back)
        assert.isTrue(yield* isReadBack(index, 1))
        yield* isSound(index)
      })
    )

  it.scoped(
    "one whose swept point has come to be another's is named: a search would find that by its words",
    () =>
      Effect.gen(function* () {
        const engine = yield* inTwo
        const swept = front[19] as Point
        yield* Effect.scoped(
          Effect.gen(function* () {
            const index = yield* engine.open()
            yield* index.end([{ id: swept.id, scope: here, until: 2 }])
            yield* mark(index, 2, 2)
            yield* index.sweep(2)
            yield* mark(index, 2, 2)
            assert.isTrue(yield* isReadBack(index, 2))
          })
        )
        const sql =
          "UPDATE segments SET ordinals = CAST(substr(ordinals, 1, length(ordinals) - 4) || ? AS BLOB) WHERE first_ordinal = 1"
        assert.strictEqual(engine.byHand(sql, word(25)), 1)
        const index = yield* engine.open()
        assert.isFalse(yield* isReadBack(index, 2))
        assert.sameMembers(
          (yield* index.checkDerived(2)).map(({ id }) => id),
          front.slice(0, 19).map(({ id }) => id)
        )
        yield* mend(index, front.slice(0, 19))
        assert.isTrue(yield* isReadBack(index, 2))
      })
  )
})

describe("what damage made no number, or no payload", () => {
  const at = (column: string, table: string) =>
    `UPDATE ${table} SET ${column} = CAST(substr(${column}, 1, 28) || ? || substr(${column}, 33) AS BLOB)`
  const nothing = float(Number.NaN)
  const endless = float(Number.NEGATIVE_INFINITY)
  /** The victim is member 7 of the only segment, and of the only posting. */
  const changes: ReadonlyArray<readonly [what: string, sql: string, parameter: unknown]> = [
    ["a weight", at("weights", "postings"), nothing],
    ["a weight", at("weights", "postings"), endless],
    ["a scale", at("scales", "codes"), nothing],
    ["a scale", at("scales", "codes"), endless],
    ["an error", at("errors", "codes"), nothing],
    ["a payload", `UPDATE points SET payload = ? WHERE id = '${victim.id}'`, "{"],
    ["a payload", `UPDATE points SET payload = ? WHERE id = '${victim.id}'`, '{"metadata":null}']
  ]
  const own = points.map((one) => ({ ...one, sparse: only(1) }))
  const questions = [
    query({ at: 2, sparse: sparse([[1, 1]]), limit: 1000 }),
    query({
      at: 2,
      sparse: sparse([[1, 1]]),
      limit: 1000,
      filter: { metadata: [{ key: "year", gte: 0 }] }
    })
  ]
  for (const state of ["lives", "has ended", "was swept"] as const)
    for (const [what, sql, parameter] of changes) {
      if (what === "a payload" && state === "was swept") continue
      it.scoped(
        `${what} of a point that ${state}: ${sql.slice(0, 30)} ${String(parameter).slice(0, 20)}`,
        () =>
          Effect.gen(function* () {
            const engine = yield* Embedded.make()
            yield* engine.fill(own)
            yield* Effect.scoped(
              Effect.gen(function* () {
                const index = yield* engine.open()
                if (state !== "lives") yield* index.end([{ id: victim.id, scope: here, until: 2 }])
                yield* mark(index, 2, state === "was swept" ? 2 : 0)
                if (state === "was swept") yield* index.sweep(2)
                yield* mark(index, 2, state === "was swept" ? 2 : 0)
              })
            )
            const before = yield* Effect.flatMap(engine.openReadOnly(), (index) =>
              Effect.forEach(questions, index.query)
            )
            assert.isAtLeast(before[0]?.length ?? 0, points.length - 1)
            assert.isNotEmpty(before[1])
            assert.strictEqual(engine.byHand(sql, parameter), 1)
            const index = yield* engine.openReadOnly()
            if (state === "lives") {
              const [plain, filtered] = questions.map(index.query)
              if (filtered !== undefined) yield* expectMismatch(filtered, "damaged")
              if (plain !== undefined && what !== "a payload") yield* expectMismatch(plain, "damaged")
            } else assert.deepStrictEqual(yield* Effect.forEach(questions, index.query), before)
          })
      )
    }
})

describe("a file that is not the one that was acknowledged is noticed by the next query", () => {
  const filled = (at = 1) =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* engine.fill([...points, point({ from: 1, scope: there })], at)
      return engine
    })
  const removeFile = (path: string) => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true })
  }

  it.scoped("a project's file deleted under a reader's handle: damaged, other projects are served", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      const reader = yield* engine.openReadOnly()
      assert.isNotEmpty(yield* reader.query(query({ at: 1 })))
      removeFile(engine.file())
      yield* expectMismatch(reader.query(query({ at: 1 })), "damaged")
      yield* expectMismatch(scanned(reader, 1), "damaged")
      assert.lengthOf(yield* reader.query(query({ at: 1, scope: there })), 1)
      yield* expectMismatch(Effect.scoped(engine.open()), "damaged")
    })
  )

  it.scoped("a project's file replaced by an older copy: damaged", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      copyFileSync(engine.file(), `${engine.file()}.copy`)
      yield* engine.fill([point({ chunk: 99, from: 2 })], 2)
      const reader = yield* engine.openReadOnly()
      assert.isNotEmpty(yield* reader.query(query({ at: 2 })))
      removeFile(engine.file())
      renameSync(`${engine.file()}.copy`, engine.file())
      yield* expectMismatch(reader.query(query({ at: 2 })), "damaged")
      yield* expectMismatch(Effect.scoped(engine.open()), "damaged")
    })
  )

  it.scoped("a project's file replaced by another project's: foreign", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      copyFileSync(engine.file(there), engine.file(here))
      const reader = yield* engine.openReadOnly()
      yield* expectMismatch(reader.query(query({ at: 1 })), "foreign")
    })
  )

  it.scoped("a file emptied: damaged", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      rmSync(engine.file())
      closeSync(openSync(engine.file(), "w"))
      const reader = yield* engine.openReadOnly()
      yield* expectMismatch(reader.query(query({ at: 1 })), "damaged")
    })
  )

  it.scoped("the whole folder deleted under a reader: absent, and served again once it is built anew", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      const reader = yield* engine.openReadOnly()
      const before = yield* reader.query(query({ at: 1 }))
      rmSync(engine.folder, { recursive: true })
      yield* expectMismatch(reader.query(query({ at: 1 })), "absent")
      yield* engine.fill(points)
      assert.deepStrictEqual(yield* reader.query(query({ at: 1 })), before)
    })
  )

  it.scoped("the folder deleted under the writer: absent, whatever it asks", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      const index = yield* engine.open()
      rmSync(engine.folder, { recursive: true })
      yield* expectMismatch(index.marker, "absent")
      yield* expectMismatch(index.insert([point({ from: 2 })]), "absent")
      yield* expectMismatch(index.rewind(1), "absent")
      yield* expectMismatch(mark(index, 2), "absent")
    })
  )

  it.scoped("dropped and built anew under an open handle: closing that takes nothing from the new one", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      const old = yield* Scope.make()
      const stale = yield* Scope.extend(engine.open(), old)
      yield* stale.insert([point({ chunk: 50, from: 2 })])
      yield* make({ directory: engine.directory }, inert).drop(engine.ref)
      const fresh = yield* engine.open()
      yield* fresh.insert(points)
      yield* mark(fresh, 1)
      yield* expectMismatch(stale.insert([point({ chunk: 51, from: 2 })]), "absent")
      yield* Scope.close(old, Exit.void)
      yield* isSound(fresh)
      yield* isSound(yield* engine.openReadOnly())
    })
  )

  it.scoped(
    "the generation's own file deleted: what is left vouches for nothing, a writer starts empty",
    () =>
      Effect.gen(function* () {
        const engine = yield* filled()
        removeFile(`${engine.folder}/generation.sqlite`)
        yield* expectMismatch(Effect.scoped(engine.openReadOnly()), "absent")
        const index = yield* engine.open()
        assert.isUndefined(yield* index.marker)
        yield* mark(index, 1)
        assert.deepStrictEqual(yield* scanned(index, 1), [])
      })
  )

  it.scoped("the folder restored from an older copy: behind", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      cpSync(engine.folder, `${engine.folder}.copy`, { recursive: true })
      yield* engine.fill([point({ chunk: 99, from: 2 })], 2)
      const reader = yield* engine.openReadOnly()
      assert.isNotEmpty(yield* reader.query(query({ at: 2 })))
      rmSync(engine.folder, { recursive: true })
      renameSync(`${engine.folder}.copy`, engine.folder)
      yield* expectMismatch(reader.query(query({ at: 2 })), "behind")
    })
  )

  it.scoped("a folder of another log: foreign", () =>
    Effect.gen(function* () {
      const engine = yield* filled()
      const other = { ...engine.ref, logId: "another-log" }
      Object.assign(engine, { ref: other })
      yield* expectMismatch(Effect.scoped(engine.openReadOnly()), "foreign")
      yield* expectMismatch(Effect.scoped(engine.open()), "foreign")
    })
  )
})

describe("damaged pages", () => {
  it.scoped("a file that is no database is damaged", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* engine.fill(points)
      overwrite(engine.file(), 0, Buffer.alloc(100, 0x5a))
      yield* expectMismatch(
        Effect.flatMap(engine.openReadOnly(), (index) => index.query(query({ at: 1 }))),
        "damaged"
      )
      yield* expectMismatch(Effect.scoped(engine.open()), "damaged")
    })
  )

  it.scoped(
    "wherever bytes are overwritten, every operation ends in an answer or in a typed failure",
    () =>
      Effect.gen(function* () {
        const engine = yield* Embedded.make()
        yield* engine.fill(Array.from({ length: 300 }, (_, chunk) => point({ chunk, from: 1 })))
        const sound = readFileSync(engine.file())
        let failures = 0
        for (let round = 0; round < 120; round++) {
          overwrite(engine.file(), 0, sound)
          const at = 100 + ((round * 7919 * 4099) % (statSync(engine.file()).size - 164))
          overwrite(engine.file(), at, Buffer.alloc(1 + (round % 64), (round * 37) & 0xff))
          for (const operation of operations) {
            const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(engine.openReadOnly(), operation)))
            if (Exit.isSuccess(exit)) continue
            failures++
            const failure = Cause.failureOption(exit.cause)
            assert.isTrue(Option.isSome(failure), `round ${round}: ${Cause.pretty(exit.cause)}`)
          }
          rmSync(`${engine.file()}-wal`, { force: true })
          rmSync(`${engine.file()}-shm`, { force: true })
        }
        assert.isAbove(failures, 0)
      }),
    60_000
  )
})

const operations: ReadonlyArray<(index: EngineGeneration) => Effect.Effect<unknown, unknown>> = [
  (index) => index.query(query({ at: 1 })),
  (index) => index.query(query({ at: 1, filter: { metadata: [{ key: "year", gte: 2001 }] } })),
  (index) => scanned(index, 1),
  (index) => index.lookup(here, [victim.id]),
  (index) => index.checkDerived(1)
]

const only = (token: number) => ({ ids: Uint32Array.of(token), weights: Float32Array.of(0.5) })

const overwrite = (path: string, at: number, bytes: Uint8Array) => {
  const descriptor = openSync(path, "r+")
  writeSync(descriptor, bytes, 0, bytes.length, at)
  closeSync(descriptor)
}

const mend = (
  index: EngineGeneration,
  broken: ReadonlyArray<Point>,
  extra: ReadonlyArray<Point["id"]> = []
) =>
  Effect.gen(function* () {
    yield* index.remove(here, [...broken.map(({ id }) => id), ...extra])
    yield* index.insert(broken)
  })

const isSound = (index: EngineGeneration) =>
  Effect.gen(function* () {
    assert.sameDeepMembers(yield* scanned(index, 1), [...points])
    assert.deepStrictEqual(yield* index.checkDerived(1), [])
    const found = yield* index.query(query({ at: 1, limit: 1000 }))
    assert.sameMembers(
      found.map(({ pointId }) => pointId),
      points.map(({ id }) => id)
    )
  })
