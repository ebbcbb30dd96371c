/** What the index does about stored content that is damaged, as `indexing.recovery` says, by the command line. */
import { rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { json, type Outside, run } from "../support/CommandLine.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** Two documents; the text of the first one is damaged, and nothing but the log knows anything of them any more. */
const damaged = (recovery: string) =>
  Effect.gen(function* () {
    const cwd = yield* temporaryDirectory
    const data = join(cwd, "data")
    const at: Outside = {
      cwd,
      environment: { REPRISE_DATA_DIR: data, REPRISE_INDEXING_RECOVERY: recovery }
    }
    writeFileSync(join(cwd, "one.md"), "# One\n\nThe keeper of the lighthouse.\n")
    yield* json(["add", "one.md"], at)
    const using = <A>(file: string, use: (db: Sqlite.Database) => A): A => {
      const db = new Sqlite(join(data, file))
      const answer = use(db)
      db.close()
      return answer
    }
    const text = using("log.sqlite", (db) =>
      db
        .prepare<[], string>("SELECT data ->> '$.textBlob' FROM events WHERE type = 'DocumentChunked'")
        .pluck()
        .get()
    )
    const where = `WHERE digest = x'${text}'`
    const intact = using("content.sqlite", (db) =>
      db.prepare(`SELECT bytes FROM blobs ${where}`).pluck().get()
    )
    const put = (bytes: unknown) =>
      using("content.sqlite", (db) => {
        const { changes } = db.prepare(`UPDATE blobs SET bytes = ? ${where}`).run(bytes)
        assert.strictEqual(changes, 1)
      })
    put(Buffer.from("damaged"))
    const restore = () => put(intact)
    for (const name of ["state", "index"]) rmSync(join(data, name), { recursive: true })
    writeFileSync(join(cwd, "two.md"), "# Two\n\nThe harbour and its master.\n")
    return { at, restore }
  })

const wordsOf = (value: { readonly hits: ReadonlyArray<{ readonly title: string }> }) =>
  value.hits.map(({ title }) => title)

describe("indexing.recovery, over damaged content,", { timeout: 120_000 }, () => {
  it.scopedLive(
    "stop: ends what waits for the index, says where it stands, and goes on once it is restored",
    () =>
      Effect.gen(function* () {
        const { at, restore } = yield* damaged("stop")
        const stopped = yield* json(["add", "two.md"], at)
        assert.deepStrictEqual([stopped.code, stopped.value.error.code], [1, "IndexStopped"])
        assert.match(stopped.err, /does not match its digest.*reprise lanes resume index/)
        restore()
        assert.strictEqual((yield* json(["add", "two.md"], at)).code, 0)
        assert.strictEqual((yield* run(["verify"], at)).code, 0)
      })
  )

  it.scopedLive(
    "retry: ends what has waited for ten seconds, and goes on by itself once it is restored",
    () =>
      Effect.gen(function* () {
        const { at, restore } = yield* damaged("retry")
        const stopped = yield* json(["add", "two.md"], at)
        assert.deepStrictEqual([stopped.code, stopped.value.error.code], [1, "IndexStopped"])
        assert.match(stopped.err, /does not match its digest/)
        restore()
        assert.strictEqual((yield* json(["add", "two.md"], at)).code, 0)
        assert.strictEqual((yield* run(["verify"], at)).code, 0)
      })
  )

  it.scopedLive(
    "skip: leaves the document out, says so wherever one looks, and takes it in once it is restored",
    () =>
      Effect.gen(function* () {
        const { at, restore } = yield* damaged("skip")
        assert.deepInclude(yield* json(["add", "two.md"], at), { code: 0 })
        const found = (yield* json(["search", "lighthouse harbour"], at)).value
        assert.deepStrictEqual([wordsOf(found), found.degraded], [["Two"], true])
        assert.match(found.notes.join(), /1 document\(s\) are left out: their stored content is damaged/)
        const { generations, healthy, problems } = (yield* json(["status"], at)).value
        assert.deepStrictEqual([generations[0].skipped, generations[0].documents, healthy], [1, 1, false])
        assert.match(problems.join(), /1 document\(s\) are left out.*then: reprise replay/)
        const verified = yield* json(["verify"], at)
        assert.deepStrictEqual([verified.code, verified.value.skipped, verified.value.missing], [1, 1, 0])
        // A generation can be made anew without it, and has the record, too.
        assert.strictEqual((yield* json(["replay"], at)).code, 0)
        assert.strictEqual((yield* json(["status"], at)).value.generations[0].skipped, 1)
        restore()
        assert.strictEqual((yield* json(["replay"], at)).code, 0)
        assert.strictEqual((yield* run(["verify"], at)).code, 0)
        assert.sameMembers(wordsOf((yield* json(["search", "lighthouse harbour"], at)).value), ["One", "Two"])
      })
  )
})
