/** The states of generations as witnesses of the log. */
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { sha256 } from "../../events/index.ts"
import { stateWitnesses } from "../../src/runtime/Witnesses.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

describe("the states of generations", () => {
  it.scoped("have seen nothing where what they say is damaged: nobody is kept from writing by them", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      mkdirSync(join(directory, "state"))
      const seen = (name: string, checkpoint: unknown, witness: string) => {
        const db = new SqliteDatabase(join(directory, "state", `${name}-e1.sqlite`))
        db.exec("CREATE TABLE meta (key TEXT PRIMARY KEY, value)")
        const put = db.prepare("INSERT INTO meta VALUES (?, ?)")
        for (const row of Object.entries({ logId: "log", epoch: 1, checkpoint, witness })) put.run(...row)
        db.close()
      }
      seen("g001", 7, sha256("seven"))
      seen("g002", 7, "no digest")
      seen("g003", "many", sha256("seven"))
      assert.deepStrictEqual(
        stateWitnesses(directory).map(({ name }) => name),
        ["state of generation g001"]
      )
    })
  )
})
