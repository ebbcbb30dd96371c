/**
 * The second reader of the log: it finds nothing in a sound log, and names the place of every damage.
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Effect } from "effect"
import { Log } from "../../src/log/Log.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import { appendOf, chunker, committed, documentNamed, model, submitted } from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { eventsIn, faultsOfLog, hashOf, type LogRow, liveVersionsAt } from "./LogFile.ts"

const directory = mkdtempSync(join(tmpdir(), "reprise-second-log-reader-"))
let logs = 0
afterAll(() => rmSync(directory, { recursive: true }))

describe("the second reader of the log", () => {
  it("computes the hashes of the definition", () => {
    // Computed once by another implementation, from the same definition.
    const [first, second] = eventsIn(logOf(knownEvents))
    assert.strictEqual(
      first?.hash.toString("hex"),
      "c12612530cf47228f769fd3a8a0ae4a8b5808dbac5bee00ad6664bac3ae8626e"
    )
    assert.strictEqual(
      second?.hash.toString("hex"),
      "1826746068af5b6c3b4e325dbd59e10f0fe46c669072725e63c70030f60cfd70"
    )
  })

  it("finds nothing wrong with a sound log", () => {
    assert.deepStrictEqual(faultsOfLog(eventsIn(logOf(documentEvents))), [])
  })

  it.scopedLive("finds nothing wrong with what the product wrote, its head file as a witness", () =>
    Effect.gen(function* () {
      const written = yield* temporaryDirectory
      yield* Effect.gen(function* () {
        const log = yield* Log
        for (let n = 0; n < 20; n++) {
          const [name, version] = [`d${n % 4}`, 1 + Math.floor(n / 4)] as const
          const events = [submitted(name, version), ...(n % 4 === 0 ? [committed(name, version)] : [])]
          yield* log.append(appendOf(`cause-${n}`, name, events))
        }
        const rows = eventsIn(join(written, "log.sqlite"))
        const head = JSON.parse(readFileSync(join(written, "head"), "utf8"))
        assert.strictEqual(rows.length, 25)
        assert.deepStrictEqual(faultsOfLog(rows, [head, yield* log.head]), [])
        assert.deepStrictEqual(
          [...liveVersionsAt(rows, rows.length, { chunker, model })],
          [[documentNamed("d0"), { scope: "default/default", version: 5, chunks: 2 }]]
        )
      }).pipe(Effect.provide(SqliteLog.layerInThread({ directory: written })))
    })
  )

  const columns = {
    id: "'other'",
    stream: "'other'",
    version: "version + 1",
    type: "'Other'",
    schema_version: "schema_version + 1",
    team: "'other'",
    project: "'other'",
    sequence: "sequence + 1",
    data: "data || ' '",
    metadata: "metadata || ' '",
    recorded_at: "recorded_at + 1"
  }
  for (const [column, value] of Object.entries(columns)) {
    it(`names the event whose ${column} was changed`, () => {
      const path = logOf(documentEvents)
      change(path, `UPDATE events SET ${column} = ${value} WHERE position = 3`)
      const faults = faultsOfLog(eventsIn(path))
      assert.deepInclude(faults, { position: 3, what: "does not hash to what is stored" })
      assert.isTrue(faults.every(({ position }) => position >= 3))
    })
  }

  it("names a changed hash, and no event before it", () => {
    const path = logOf(documentEvents)
    change(path, "UPDATE events SET hash = zeroblob(32) WHERE position = 3")
    assert.deepStrictEqual(
      faultsOfLog(eventsIn(path)).map(({ position }) => position),
      [3, 4]
    )
  })

  it("names the first event after a lost one", () => {
    const path = logOf(documentEvents)
    change(path, "DELETE FROM events WHERE position = 2")
    const [first] = faultsOfLog(eventsIn(path))
    assert.deepStrictEqual(first, { position: 3, what: "stands where 2 should stand" })
  })

  it("sees a lost tail only by a witness", () => {
    const path = logOf(documentEvents)
    const head = eventsIn(path).at(-1)
    const witness = { position: Number(head?.position), hash: head?.hash.toString("hex") ?? "" }
    assert.deepStrictEqual(faultsOfLog(eventsIn(path), [witness]), [])
    change(path, "DELETE FROM events WHERE position = (SELECT max(position) FROM events)")
    const rows = eventsIn(path)
    assert.deepStrictEqual(faultsOfLog(rows), [])
    assert.deepStrictEqual(faultsOfLog(rows, [witness]), [
      { position: witness.position, what: "was seen by a witness and is gone" }
    ])
  })

  it("names a fork by a witness of another hash", () => {
    const faults = faultsOfLog(eventsIn(logOf(documentEvents)), [{ position: 2, hash: "00".repeat(32) }])
    assert.deepStrictEqual(faults, [{ position: 2, what: "was seen by a witness with another hash" }])
  })

  it("names a repeated id, and a writer or an epoch that falls", () => {
    const twice = documentEvents.map((event) => ({ ...event, id: "same" }))
    assert.isTrue(faultsOfLog(eventsIn(logOf(twice))).some(({ what }) => what.includes("id of an earlier")))
    const falling = documentEvents.map((event, n) => ({ ...event, epoch: n === 2 ? 2 : 1 }))
    assert.deepStrictEqual(
      faultsOfLog(eventsIn(logOf(falling))).map(({ position }) => position),
      [4]
    )
  })

  it("names an append that is not whole", () => {
    const cut = documentEvents.map((event, n) => ({ ...event, end: n === 5 ? 9 : event.end }))
    assert.deepStrictEqual(
      faultsOfLog(eventsIn(logOf(cut))).map(({ position }) => position),
      [6]
    )
  })

  it("counts what is live at a position", () => {
    const rows = eventsIn(logOf(documentEvents))
    const at = (position: number, chunker = "c1") => [
      ...liveVersionsAt(rows, position, { chunker, model: "m1" }).entries()
    ]
    assert.deepStrictEqual(at(1), [])
    assert.deepStrictEqual(at(2), [["a", { scope: "t/p", version: 1, chunks: 3 }]])
    assert.deepStrictEqual(at(2, "c2"), [["a", { scope: "t/p", version: 1, chunks: undefined }]])
    assert.deepStrictEqual(at(3, "c2"), [["a", { scope: "t/p", version: 1, chunks: 2 }]])
    assert.deepStrictEqual(at(4), [])
    assert.deepStrictEqual(at(6), [["b", { scope: "t/p", version: 1, chunks: 3 }]])
  })
})

interface Written {
  readonly id: string
  readonly stream: string
  readonly type: string
  readonly data: string
  readonly end: number
  readonly epoch: number
  readonly at: number
}

const event = (
  position: number,
  document: string,
  type: string,
  more: object = {},
  end = position
): Written => ({
  id: `i${position}`,
  stream: `document-${document}`,
  type,
  data: JSON.stringify({ _tag: type, documentId: document, ...more }),
  end,
  epoch: 1,
  at: 1_700_000_000_000 + position
})

const contents = { version: 1, chunker: "c1", model: "m1", count: 3 }
/** A version is committed, built for another pair, and moved to another document in one append. */
const documentEvents: ReadonlyArray<Written> = [
  event(1, "a", "DocumentSubmitted", { version: 1 }),
  event(2, "a", "DocumentCommitted", contents),
  event(3, "a", "DocumentBuilt", { ...contents, chunker: "c2", count: 2 }),
  event(4, "a", "DocumentRemoved", { reason: "moved" }, 5),
  event(5, "b", "DocumentCommitted", contents),
  event(6, "b", "DocumentBuilt", { ...contents, chunker: "c2", count: 2 })
]

const knownEvents: ReadonlyArray<Written> = ['{"a":"🦊"}', "{}"].map((data, n) => ({
  id: `i${n + 1}`,
  stream: "document-ü",
  type: "T",
  data,
  end: 2,
  epoch: 1,
  at: 1_700_000_000_123 + n
}))

/** The file of a log with these events of one project. */
function logOf(events: ReadonlyArray<Written>): string {
  const path = join(directory, `${++logs}.sqlite`)
  const file = new Sqlite(path)
  file.exec(`CREATE TABLE events (position INTEGER PRIMARY KEY, id TEXT, stream TEXT, version INTEGER, type TEXT,
    schema_version INTEGER, team TEXT, project TEXT, sequence INTEGER, data TEXT, metadata TEXT,
    recorded_at INTEGER, hash BLOB)`)
  const insert = file.prepare("INSERT INTO events VALUES (?, ?, ?, ?, ?, 1, 't', 'p', ?, ?, ?, ?, ?)")
  const versions = new Map<string, number>()
  let previous: Uint8Array = Buffer.alloc(32)
  for (const [index, { id, stream, type, data, end, epoch, at }] of events.entries()) {
    const position = index + 1
    const version = (versions.get(stream) ?? 0) + 1
    versions.set(stream, version)
    const metadata = JSON.stringify({ epoch, writer: 1, appendEnd: end })
    const row: Omit<LogRow, "hash"> = {
      position: BigInt(position),
      id: Buffer.from(id),
      stream: Buffer.from(stream),
      version: BigInt(version),
      type: Buffer.from(type),
      schemaVersion: 1n,
      team: Buffer.from("t"),
      project: Buffer.from("p"),
      sequence: BigInt(position),
      data: Buffer.from(data),
      metadata: Buffer.from(metadata),
      recordedAt: BigInt(at)
    }
    previous = hashOf(previous, row)
    insert.run(position, id, stream, version, type, position, data, metadata, at, previous)
  }
  file.close()
  return path
}

function change(path: string, sql: string): void {
  const file = new Sqlite(path)
  file.exec(sql)
  file.close()
}
