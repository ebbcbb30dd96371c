import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { armed, inert } from "../../src/faults/Failpoints.ts"
import { DirectoryInvalid, DirectoryNewer } from "../../src/log/DirectoryFormat.ts"
import { openForWriting } from "../../src/log/LogDatabase.ts"
import { migrate, SchemaNewer, schemaOf } from "../../src/log/migrations/Migrations.ts"
import { snapshotBeforeMigration } from "../../src/log/migrations/Snapshot.ts"
import { openTestWriter } from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const opening = (directory: string) =>
  Effect.flip(Effect.try({ try: () => openTestWriter(directory), catch: (cause) => cause }))

const filesOf = (directory: string) =>
  readdirSync(directory)
    .toSorted()
    .map((name) => [name, readFileSync(join(directory, name)).toString("base64")])

describe("a data directory", () => {
  it.scoped("C2: of a newer format is refused, and no byte of it is changed", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      openTestWriter(directory).close()
      writeFileSync(join(directory, "format"), "reprise 99\n")
      const before = filesOf(directory)
      const refusal = yield* opening(directory)
      assert.instanceOf(refusal, DirectoryNewer)
      assert.deepStrictEqual([refusal.found, refusal.known], [99, 1])
      assert.deepStrictEqual(filesOf(directory), before)
    })
  )

  it.scoped("whose format file says something else is refused", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      writeFileSync(join(directory, "format"), "hello\n")
      assert.instanceOf(yield* opening(directory), DirectoryInvalid)
      assert.deepStrictEqual(readdirSync(directory), ["format"])
    })
  )

  it.scoped("with a log of a newer schema is refused as newer", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      openTestWriter(directory).close()
      const db = new SqliteDatabase(join(directory, "log.sqlite"))
      db.pragma("user_version = 42")
      db.close()
      assert.instanceOf(yield* opening(directory), DirectoryNewer)
    })
  )

  it.scoped("whose log and content belong to different logs is refused", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      openTestWriter(directory).close()
      const db = new SqliteDatabase(join(directory, "content.sqlite"))
      db.exec("UPDATE meta SET value = 'another' WHERE key = 'log_id'")
      db.close()
      assert.instanceOf(yield* opening(directory), DirectoryInvalid)
    })
  )
})

const steps = { 1: "CREATE TABLE one (a)", 2: "CREATE TABLE two (a); INSERT INTO one VALUES (2)" }

describe("migrations", () => {
  it.scoped("C3: go forward from where a failure left them, each whole or absent", () =>
    Effect.gen(function* () {
      const path = join(yield* temporaryDirectory, "log.sqlite")
      const db = openForWriting(path)
      assert.throws(() => migrate(db, steps, armed("migrate.step.before:2:throw"), () => {}))
      assert.strictEqual(schemaOf(db), 1)
      assert.throws(() =>
        migrate(db, { ...steps, 2: "INSERT INTO one VALUES (1); nonsense" }, inert, () => {})
      )
      assert.strictEqual(db.prepare("SELECT count(*) FROM one").pluck().get(), 0)
      migrate(db, steps, inert, () => {})
      migrate(db, steps, inert, () => {})
      assert.strictEqual(schemaOf(db), 2)
      assert.strictEqual(db.prepare("SELECT count(*) FROM one").pluck().get(), 1)
      assert.throws(() => migrate(db, { 1: steps[1] }, inert, () => {}), SchemaNewer)
      db.close()
    })
  )

  it.scoped("keep a copy of an existing database as it was before the first step", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const db = openForWriting(join(directory, "log.sqlite"))
      migrate(db, { 1: steps[1] }, inert, () => assert.fail("a new database has nothing to keep"))
      db.exec("INSERT INTO one VALUES (1)")
      migrate(db, steps, inert, (from) => snapshotBeforeMigration(directory, "log", from))
      db.close()
      const copy = new SqliteDatabase(join(directory, "before-migration", "log.1.sqlite"), { readonly: true })
      assert.strictEqual(schemaOf(copy), 1)
      assert.deepStrictEqual(copy.prepare("SELECT a FROM one").pluck().all(), [1])
      copy.close()
    })
  )
})
