/** While nobody reads, what was not marked is lost as a whole; what was marked is as safe as ever. */
import { cpSync, existsSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Exit, Stream } from "effect"
import { ProjectName, type ProjectScope, TeamName } from "../../events/Ids.ts"
import { armed, inert } from "../../src/faults/Failpoints.ts"
import { make } from "../../src/index/EmbeddedIndex.ts"
import type { EngineGeneration } from "../../src/index/Index.ts"
import { here, mark, point, query } from "../conformance/index.ts"
import { Embedded, temporaryDirectory } from "./EmbeddedFixture.ts"

const unseen = (index: EngineGeneration, isUnseen: boolean) => index.unseen?.(isUnseen) ?? Effect.void

/** Points that begin at a position. */
const points = (from: number, count = 4, scope: ProjectScope = here) =>
  Array.from({ length: count }, (_, chunk) => point({ chunk, from, seed: chunk, scope }))

const seenBy = (index: EngineGeneration, at: number, scope = here) => Stream.runCount(index.scan(at, scope))

const modeOf = (path: string): unknown => {
  const db = new Database(path, { readonly: true })
  try {
    return db.pragma("journal_mode", { simple: true })
  } finally {
    db.close()
  }
}

describe("a generation that nobody reads", () => {
  it.scoped("loses in a crash all that was not marked, and nothing else", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const index = yield* engine.open()
          yield* unseen(index, true)
          yield* index.insert(points(1))
          yield* mark(index, 1)
          yield* index.insert(points(2))
          yield* index.insert(points(3))
          // Closed without a mark, as a process that ends.
        })
      )
      const index = yield* engine.open()
      assert.strictEqual((yield* index.marker)?.checkpoint, 1)
      assert.lengthOf(
        yield* index.lookup(
          here,
          [...points(2), ...points(3)].map(({ id }) => id)
        ),
        0
      )
      assert.strictEqual(yield* seenBy(index, 1), 4)
      assert.deepStrictEqual(yield* index.checkDerived(1), [])
      yield* unseen(index, true)
      yield* index.insert(points(2))
      yield* mark(index, 2)
      yield* unseen(index, false)
      assert.strictEqual(yield* seenBy(yield* engine.openReadOnly(), 2), 8)
    })
  )

  it.scoped("is as it was marked where it was killed with half of the rest in its file", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make(1024)
      const wide = (from: number, count: number) =>
        Array.from({ length: count }, (_, chunk) => ({
          ...point({ chunk, from, seed: chunk }),
          dense: new Float32Array(1024).fill(1 / 32)
        }))
      const index = yield* engine.open()
      yield* unseen(index, true)
      yield* index.insert(wide(1, 10))
      yield* mark(index, 1)
      const marked = statSync(engine.file()).size
      // More than is kept in memory.
      yield* index.insert(wide(2, 2000))
      yield* index.insert(wide(3, 2000))
      assert.isAbove(statSync(engine.file()).size, 2 * marked)
      const copy = yield* temporaryDirectory
      cpSync(engine.directory, copy, { recursive: true })
      const killed = yield* make({ directory: copy, memoryMiB: 16 }, inert).open(engine.ref)
      assert.strictEqual((yield* killed.marker)?.checkpoint, 1)
      assert.strictEqual(yield* seenBy(killed, 1), 10)
      assert.deepStrictEqual(yield* killed.checkDerived(1), [])
      assert.lengthOf(
        yield* killed.lookup(
          here,
          wide(2, 20).map(({ id }) => id)
        ),
        0
      )
    })
  )

  it.scoped("takes nothing more after a failure that took something back, until it is opened anew", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      const index = yield* engine.open(armed("index.row:7:throw"))
      yield* unseen(index, true)
      yield* index.insert(points(1))
      assert.isTrue(Exit.isFailure(yield* Effect.exit(index.insert(points(2)))))
      for (const next of [index.insert(points(3)), mark(index, 3), unseen(index, false)]) {
        const refused = yield* Effect.flip(next)
        assert.strictEqual(refused._tag === "EngineMismatch" && refused.reason, "damaged")
      }
      assert.notStrictEqual((yield* index.marker)?.checkpoint, 3)
    })
  )

  it.scoped("goes on after a failure that took nothing back but itself", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      const index = yield* engine.open(armed("index.row:3:throw"))
      yield* unseen(index, true)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(index.insert(points(1)))))
      yield* index.insert(points(1))
      yield* mark(index, 1)
      yield* unseen(index, false)
      assert.strictEqual(yield* seenBy(index, 1), 4)
    })
  )

  it.scoped("is read by others as soon as it says so, while it is written", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      const index = yield* engine.open()
      yield* unseen(index, true)
      yield* index.insert(points(1))
      yield* mark(index, 1)
      assert.isFalse(existsSync(`${engine.file()}-wal`))
      yield* unseen(index, false)
      assert.strictEqual(modeOf(engine.file()), "wal")
      const reader = yield* engine.openReadOnly()
      assert.lengthOf(yield* reader.query(query({ at: 1, limit: 100 })), 4)
      yield* index.insert(points(2))
      assert.lengthOf(yield* reader.query(query({ at: 1, limit: 100 })), 4)
      // Who has it open all the same is not locked out.
      yield* unseen(index, true)
      yield* index.insert(points(3))
      assert.lengthOf(yield* reader.query(query({ at: 1, limit: 100 })), 4)
    })
  )

  it.scoped("keeps what it wrote of more projects than it has open", () =>
    Effect.gen(function* () {
      const engine = yield* Embedded.make()
      const scopes = Array.from({ length: 40 }, (_, n) => ({
        team: TeamName.make("many"),
        project: ProjectName.make(`project-${n}`)
      }))
      const index = yield* engine.open()
      yield* unseen(index, true)
      for (const scope of scopes) yield* index.insert(points(1, 2, scope))
      for (const scope of scopes) yield* index.insert(points(2, 2, scope))
      yield* mark(index, 2)
      yield* unseen(index, false)
      const reader = yield* engine.openReadOnly()
      for (const scope of scopes) {
        assert.strictEqual(yield* seenBy(reader, 2, scope), 4)
        const path = join(engine.folder, `${scope.team}.${scope.project}.sqlite`)
        assert.strictEqual(modeOf(path), "wal")
      }
    })
  )
})
