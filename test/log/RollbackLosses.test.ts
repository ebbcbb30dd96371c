import { copyFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { sha256 } from "../../events/index.ts"
import * as Archive from "../../src/log/Archive.ts"
import {
  appendOf,
  blobOf,
  documentNamed,
  openTestWriter,
  requestOf,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const edit = (directory: string, file: string, sql: string): void => {
  const db = new SqliteDatabase(join(directory, file))
  db.exec(sql)
  db.close()
}

/** Three whole documents and an open one; the last event is lost, with content that others still name. */
const damaged = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const { close, core } = openTestWriter(directory)
  for (const name of ["a", "b", "c"]) core.writeGroup([wholeDocument(name, 0)])
  const bodies = [blobOf("open 1"), blobOf("descriptor of open 1")]
  core.writeGroup([requestOf([appendOf("open", "open", [submitted("open")])], { blobs: bodies })])
  close()
  const older = join(directory, "older.sqlite")
  copyFileSync(join(directory, "log.sqlite"), older)
  const again = openTestWriter(directory)
  again.core.writeGroup([requestOf([appendOf("last", "last", [submitted("last")])])])
  again.close()
  copyFileSync(older, join(directory, "log.sqlite"))
  edit(
    directory,
    "content.sqlite",
    `DELETE FROM vectors WHERE input = x'${sha256("input 1 of b")}';
     DELETE FROM blobs WHERE digest = x'${sha256("open 1")}'`
  )
  return directory
})

const eventsFrom = (directory: string, position: number) => {
  const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
  try {
    return db
      .prepare<[number], { type: string; data: string }>(
        "SELECT type, data FROM events WHERE position >= ? ORDER BY position"
      )
      .all(position)
      .map(({ data, type }) => `${type} ${JSON.parse(data).documentId}`)
  } finally {
    db.close()
  }
}

describe("FOLD 14: accepting a rollback", () => {
  it.scopedLive(
    "removes what is live without its content, parks what is open without its bytes, keeps the rest",
    () =>
      Effect.gen(function* () {
        const directory = yield* damaged
        openTestWriter(directory, { acceptRollback: true }).close()
        assert.sameMembers(eventsFrom(directory, 8), [
          `DocumentRemoved ${documentNamed("b")}`,
          `DocumentRejected ${documentNamed("open")}`,
          `JobParked ${documentNamed("open")}`
        ])
        assert.deepStrictEqual((yield* Archive.verify(directory)).damages, [])
      })
  )

  it.scopedLive("records its losses once, however often it is opened", () =>
    Effect.gen(function* () {
      const directory = yield* damaged
      for (let n = 0; n < 3; n++) openTestWriter(directory, { acceptRollback: true }).close()
      assert.strictEqual(eventsFrom(directory, 8).length, 3)
    })
  )

  it.scopedLive("records them at the next opening where the first one was cut short", () =>
    Effect.gen(function* () {
      const directory = yield* damaged
      openTestWriter(directory, { acceptRollback: true }).close()
      edit(directory, "log.sqlite", "UPDATE meta SET value = '1' WHERE key = 'reconciled'")
      openTestWriter(directory).close()
      assert.strictEqual(eventsFrom(directory, 8).length, 3)
    })
  )
})
