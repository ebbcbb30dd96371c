import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase, { type Database } from "better-sqlite3"
import { Effect } from "effect"
import { armed, inert } from "../../src/faults/Failpoints.ts"
import { DirectoryInvalid, DirectoryNewer } from "../../src/log/DirectoryFormat.ts"
import { openForWriting } from "../../src/log/LogDatabase.ts"
import { logMigrations, migrate, SchemaNewer, schemaOf } from "../../src/log/migrations/Migrations.ts"
import { snapshotBeforeMigration } from "../../src/log/migrations/Snapshot.ts"
import { readModelTables, tableRows } from "../../src/log/readModels/Rebuild.ts"
import {
  appendOf,
  chunked,
  documentNamed,
  openTestWriter,
  requestOf,
  source,
  submitted
} from "../support/logEvents.ts"
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

/** What the second schema has of a log of today's. */
const asSecondSchema = (log: string): string => `
  ATTACH '${log}' AS today;
  INSERT INTO events SELECT * FROM today.events;
  INSERT INTO documents SELECT * FROM today.documents;
  INSERT INTO jobs SELECT * FROM today.jobs;
  INSERT INTO document_tally SELECT * FROM today.document_tally;
  INSERT INTO job_tally SELECT * FROM today.job_tally;
  INSERT INTO file_states VALUES ('${documentNamed("a")}', '${source}', 'a', 1, '1', '1', 'raw', 'descriptor', 1);
  INSERT INTO file_states VALUES ('${documentNamed("unknown")}', '${source}', 'b', 1, '1', '1', 'raw', 'descriptor', 1);
  DETACH today;`

const tablesOf = (db: Database) => readModelTables.map((table) => [table, [...tableRows(db, table)]] as const)

describe("migrations", () => {
  it.scoped(
    "of the log from its second schema keep every row, and find the documents of remembered files",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { close, core } = openTestWriter(directory)
        for (const name of ["b", "a"])
          core.writeGroup([requestOf([appendOf(`submit ${name}`, name, [submitted(name), chunked(name)])])])
        core.writeGroup([requestOf([appendOf("again", "a", [submitted("a", 2)])])])
        const expected = core.withDatabases(tablesOf)
        close()
        const db = openForWriting(join(directory, "older.sqlite"))
        migrate(db, { 1: logMigrations[1] ?? "", 2: logMigrations[2] ?? "" }, inert, () => {})
        db.exec(asSecondSchema(join(directory, "log.sqlite")))
        migrate(db, logMigrations, inert, () => {})
        const contents = new Set(["versions", "chunkings", "contents"])
        assert.deepStrictEqual(
          tablesOf(db).filter(([table]) => !contents.has(table)),
          expected.filter(([table]) => !contents.has(table))
        )
        assert.deepStrictEqual(db.prepare("SELECT document FROM file_states ORDER BY path").pluck().all(), [
          3,
          null
        ])
        db.close()
      })
  )

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
