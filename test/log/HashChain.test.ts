import { createHash } from "node:crypto"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect, FastCheck } from "effect"
import { type ChainedRow, chainHash, genesis } from "../../src/log/HashChain.ts"
import { appendOf, openTestWriter, requestOf, submitted } from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

/** The definition once more, without any code of the log's. */
const naiveHash = (previous: Uint8Array, columns: ReadonlyArray<string | number>): string => {
  const hash = createHash("sha256")
  const part = (bytes: Uint8Array) => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  part(previous)
  for (const column of columns) {
    if (typeof column === "string") part(Buffer.from(column, "utf8"))
    else {
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(BigInt(column))
      part(bytes)
    }
  }
  return hash.digest("hex")
}

const row: ChainedRow = {
  position: 1,
  id: "id",
  stream: "stream",
  version: 1,
  type: "Type",
  schemaVersion: 1,
  team: "team",
  project: "project",
  sequence: 1,
  data: "{}",
  metadata: "{}",
  recordedAt: 1000
}

describe("the hash chain", () => {
  it("has a known first hash", () => {
    assert.strictEqual(
      chainHash(genesis, row).toString("hex"),
      naiveHash(new Uint8Array(32), [1, "id", "stream", 1, "Type", 1, "team", "project", 1, "{}", "{}", 1000])
    )
  })

  it("tells texts apart however they are cut between columns", () => {
    const one = chainHash(genesis, { ...row, team: "ab", project: "c" })
    const other = chainHash(genesis, { ...row, team: "a", project: "bc" })
    assert.isFalse(one.equals(other))
  })

  it("does not depend on whether a text is given as a string or as its bytes", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "grapheme", maxLength: 40_000 }), (data) => {
        const bytes = new TextEncoder().encode(data)
        assert.isTrue(
          chainHash(genesis, { ...row, data }).equals(chainHash(genesis, { ...row, data: bytes }))
        )
      }),
      { seed: 20261121, numRuns: 200 }
    )
  })

  it.scoped("covers every stored column, as plain SQL reads it back", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([requestOf([appendOf("one", "a", [submitted("a"), submitted("a", 2)])])])
      core.writeGroup([
        requestOf([appendOf("two", "Ünïcödé 🦑", [submitted("Ünïcödé 🦑", 1, "𝒳 \u0000 ü")])])
      ])
      close()
      const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
      const stored = db
        .prepare<[], Record<string, string | number | Buffer>>("SELECT * FROM events ORDER BY position")
        .all()
      db.close()
      let previous: Uint8Array = new Uint8Array(32)
      for (const { hash, ...columns } of stored) {
        const plain = Object.values(columns).map((column) => (Buffer.isBuffer(column) ? "" : column))
        assert.strictEqual(Buffer.from(hash as Buffer).toString("hex"), naiveHash(previous, plain))
        previous = hash as Buffer
      }
      assert.strictEqual(stored.length, 3)
    })
  )
})
