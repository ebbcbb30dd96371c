import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Effect } from "effect"
import { defaultScope, documentStream, eventId, Position, sha256 } from "../../events/index.ts"
import { armed, type FailpointName, type FailpointsService } from "../../src/faults/Failpoints.ts"
import { DirectoryInvalid } from "../../src/log/DirectoryFormat.ts"
import { readHeadFile, writeHeadFile } from "../../src/log/HeadFile.ts"
import { LogBehindIndex, LogLocked } from "../../src/log/Log.ts"
import { synchronousOf } from "../../src/log/LogDatabase.ts"
import type { GroupResult, WriteOutcome } from "../../src/log/WriteGroup.ts"
import {
  appendOf,
  blobOf,
  documentNamed,
  model,
  openTestWriter,
  requestOf,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const opened = (directory: string, options: Parameters<typeof openTestWriter>[1] = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => openTestWriter(directory, options)),
    ({ close }) => Effect.sync(close)
  )

const answersOf = (outcome: WriteOutcome | undefined) => {
  if (outcome?._tag !== "Written") throw new Error(`Not written: ${JSON.stringify(outcome)}`)
  return outcome.answers
}
const only = (result: GroupResult) => answersOf(result.outcomes[0])[0]

const submit = (name: string, version = 1, more = {}) =>
  requestOf([appendOf(`submit-${name}-${version}`, name, [submitted(name, version)], more)])

/** The rows of a closed or open log, read by a connection of its own. */
const rows = (directory: string) => {
  const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
  try {
    return db
      .prepare<[], { position: number; id: string; stream: string; version: number; sequence: number }>(
        "SELECT position, id, stream, version, sequence FROM events ORDER BY position"
      )
      .all()
  } finally {
    db.close()
  }
}

describe("the log's writer", () => {
  for (const [what, empty] of [
    ["emptied", (log: string) => writeFileSync(log, "")],
    ["deleted", (log: string) => rmSync(log)]
  ] as const)
    it.scoped(`refuses content beside a log that was ${what}, and begins no other log`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { close, core } = openTestWriter(directory)
        core.writeGroup([wholeDocument("one", 1)])
        close()
        const [log, content] = [join(directory, "log.sqlite"), join(directory, "content.sqlite")]
        empty(log)
        const before = readFileSync(content)
        const names = readdirSync(directory).filter((name) => !name.startsWith("content.sqlite-"))
        for (const acceptRollback of [false, true]) {
          const refusal = yield* Effect.flip(
            Effect.try({
              try: () => openTestWriter(directory, { acceptRollback }),
              catch: (cause) => cause
            })
          )
          assert.instanceOf(refusal, DirectoryInvalid)
          assert.include(refusal.message, "its log.sqlite is gone or empty")
        }
        assert.isTrue(!existsSync(log) || readFileSync(log).length === 0)
        assert.isTrue(before.equals(readFileSync(content)))
        const after = readdirSync(directory).filter((name) => !name.startsWith("content.sqlite-"))
        assert.deepStrictEqual(after, names)
      })
    )

  it.scoped("numbers events by position, stream version and the project's sequence", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([submit("a"), submit("b"), submit("a", 2)])
      assert.deepStrictEqual(
        rows(directory).map(({ position, sequence, stream, version }) => [
          position,
          sequence,
          stream,
          version
        ]),
        [
          [1, 1, `document-${documentNamed("a")}`, 1],
          [2, 2, `document-${documentNamed("b")}`, 1],
          [3, 3, `document-${documentNamed("a")}`, 2]
        ]
      )
    })
  )

  it.scoped("counts each project's sequence for itself", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([submit("a"), submit("b", 1, { project: "other" }), submit("c")])
      assert.deepStrictEqual(
        rows(directory).map(({ sequence }) => sequence),
        [1, 1, 2]
      )
    })
  )

  it.scoped("derives event ids from epoch, scope and cause", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([requestOf([appendOf("cause", "a", [submitted("a"), submitted("a", 2)])])])
      assert.deepStrictEqual(
        rows(directory).map(({ id }) => id),
        [eventId(1, defaultScope, "cause", 0), eventId(1, defaultScope, "cause", 1)]
      )
    })
  )

  it.scoped(
    "refuses a stale expected version alone, against the group's earlier members, without a gap",
    () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { core } = yield* opened(directory)
        const stream = `document-${documentNamed("a")}`
        const result = core.writeGroup([
          submit("a", 1, { expected: [{ stream, version: 0 }] }),
          submit("a", 2, { expected: [{ stream, version: 0 }] }),
          submit("b")
        ])
        assert.deepStrictEqual(
          result.outcomes.map((outcome) => answersOf(outcome)[0]?._tag),
          ["Appended", "Refused", "Appended"]
        )
        assert.deepStrictEqual(answersOf(result.outcomes[1])[0], {
          _tag: "Refused",
          refusal: { _tag: "VersionConflict", stream, expected: 0, actual: 1 }
        })
        assert.deepStrictEqual(
          rows(directory).map(({ position }) => position),
          [1, 2]
        )
      })
  )

  it.scoped("refuses a stream that is expected to be new and is not, and nothing beside it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      const stream = `document-${documentNamed("a")}`
      const expected = [{ stream, version: 0 }]
      core.writeGroup([submit("a"), submit("a", 2)])
      const result = core.writeGroup([
        submit("b"),
        submit("a", 3, { expected, requires: { blobs: [sha256("not stored")] } }),
        submit("a", 3)
      ])
      assert.deepStrictEqual(answersOf(result.outcomes[1])[0], {
        _tag: "Refused",
        refusal: { _tag: "VersionConflict", stream, expected: 0, actual: 2 }
      })
      assert.deepStrictEqual(
        rows(directory).map(({ position, version }) => [position, version]),
        [
          [1, 1],
          [2, 2],
          [3, 1],
          [4, 3]
        ]
      )
    })
  )

  it.scoped("answers a repeated cause that expected a new stream where its events stand", () =>
    Effect.gen(function* () {
      const { core } = yield* opened(yield* temporaryDirectory)
      const expected = [{ stream: `document-${documentNamed("a")}`, version: 0 }]
      core.writeGroup([submit("before"), submit("a", 1, { expected })])
      const result = core.writeGroup([submit("after"), submit("a", 1, { expected }), submit("a", 2)])
      assert.deepInclude(answersOf(result.outcomes[1])[0], {
        appended: { firstPosition: 2, lastPosition: 2, lastSequence: 2, repeated: true }
      })
      assert.deepInclude(answersOf(result.outcomes[2])[0], {
        appended: { firstPosition: 4, lastPosition: 4, lastSequence: 4, repeated: false }
      })
    })
  )

  it.scoped("refuses an append whose expected head has moved", () =>
    Effect.gen(function* () {
      const { core } = yield* opened(yield* temporaryDirectory)
      core.writeGroup([submit("a")])
      assert.deepStrictEqual(only(core.writeGroup([submit("b", 1, { expectedHead: 0 })])), {
        _tag: "Refused",
        refusal: { _tag: "HeadMoved", expected: Position.make(0), actual: Position.make(1) }
      })
    })
  )

  it.scoped("answers a repeated cause with its first positions and appends nothing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      // What it expected is no longer so after the first time: it is a retry all the same.
      const expected = [{ stream: documentStream(documentNamed("a")), version: 0 }]
      const twice = requestOf([appendOf("cause", "a", [submitted("a"), submitted("a", 2)], { expected })])
      const [first, second] = core.writeGroup([twice, twice]).outcomes
      core.writeGroup([submit("b")])
      const third = only(core.writeGroup([twice]))
      assert.deepStrictEqual(answersOf(first)[0], {
        _tag: "Appended",
        appended: { firstPosition: 1, lastPosition: 2, lastSequence: 2, repeated: false }
      })
      for (const repeated of [answersOf(second)[0], third]) {
        assert.deepStrictEqual(repeated, {
          _tag: "Appended",
          appended: { firstPosition: 1, lastPosition: 2, lastSequence: 2, repeated: true }
        })
      }
      assert.strictEqual(rows(directory).length, 3)
    })
  )

  it.scoped("answers the head to an append without events", () =>
    Effect.gen(function* () {
      const { core } = yield* opened(yield* temporaryDirectory)
      core.writeGroup([submit("a")])
      assert.deepStrictEqual(only(core.writeGroup([requestOf([appendOf("nothing", "a", [])])])), {
        _tag: "Appended",
        appended: { firstPosition: 1, lastPosition: 1, lastSequence: 1, repeated: false }
      })
    })
  )

  it.scoped(
    "refuses events that name content which is not stored, and takes what the same write stores",
    () =>
      Effect.gen(function* () {
        const { core } = yield* opened(yield* temporaryDirectory)
        const body = blobOf("a body")
        const append = appendOf("cause", "a", [submitted("a")], {
          requires: { blobs: [body.digest], vectors: { model, inputs: [sha256("input")] } }
        })
        assert.deepStrictEqual(only(core.writeGroup([requestOf([append])])), {
          _tag: "Refused",
          refusal: { _tag: "ContentMissing", missing: [body.digest, sha256("input")] }
        })
        const vector = { ...defaultScope, model, inputHash: sha256("input"), vector: Float32Array.of(1, 0) }
        const answer = only(core.writeGroup([requestOf([append], { blobs: [body], vectors: [vector] })]))
        assert.strictEqual(answer?._tag, "Appended")
      })
  )

  it.scoped("keeps content per project", () =>
    Effect.gen(function* () {
      const { core } = yield* opened(yield* temporaryDirectory)
      const body = blobOf("a body")
      core.writeGroup([requestOf([], { blobs: [{ ...body, project: "other" }] })])
      const answer = only(
        core.writeGroup([
          requestOf([appendOf("cause", "a", [submitted("a")], { requires: { blobs: [body.digest] } })])
        ])
      )
      assert.strictEqual(answer?._tag, "Refused")
    })
  )

  it.scoped("refuses a body that does not hash to its digest, and nothing else of the group", () =>
    Effect.gen(function* () {
      const { core } = yield* opened(yield* temporaryDirectory)
      const wrong = { ...blobOf("one"), digest: sha256("another") }
      const { outcomes } = core.writeGroup([requestOf([], { blobs: [wrong] }), submit("a")])
      assert.deepStrictEqual(
        outcomes.map(({ _tag }) => _tag),
        ["Failed", "Written"]
      )
    })
  )

  it.scoped("D1: stays at synchronous=FULL when a file is opened again", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      openTestWriter(directory).close()
      const { core } = yield* opened(directory)
      core.withDatabases((log, content) => {
        assert.deepStrictEqual([synchronousOf(log), synchronousOf(content)], [2, 2])
      })
    })
  )

  it.scoped("D3: a failed COMMIT keeps nothing, is answered as failed, and the next write works", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([submit("a")])
      core.withDatabases((log) => {
        log.exec("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        log.exec("CREATE TABLE children (id INTEGER REFERENCES parents DEFERRABLE INITIALLY DEFERRED)")
        log.exec(
          "CREATE TRIGGER orphan AFTER INSERT ON events WHEN new.version = 2 BEGIN INSERT INTO children VALUES (7); END"
        )
      })
      const failed = core.writeGroup([submit("b"), submit("a", 2)])
      assert.deepStrictEqual(
        failed.outcomes.map(({ _tag }) => _tag),
        ["Failed", "Failed"]
      )
      assert.strictEqual(failed.head.position, 1)
      assert.deepStrictEqual(only(core.writeGroup([submit("c")])), {
        _tag: "Appended",
        appended: { firstPosition: 2, lastPosition: 2, lastSequence: 2, repeated: false }
      })
      assert.deepStrictEqual(
        rows(directory).map(({ stream }) => stream),
        [`document-${documentNamed("a")}`, `document-${documentNamed("c")}`]
      )
    })
  )

  it.scoped("D4: a full disk is a failed write; the log goes on by itself when there is room again", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([submit("a")])
      core.withDatabases((log) =>
        log.pragma(`max_page_count = ${log.pragma("page_count", { simple: true })}`)
      )
      const many = Array.from({ length: 200 }, (_, n) => submit(`full-${n}`))
      assert.isTrue(core.writeGroup(many).outcomes.every(({ _tag }) => _tag === "Failed"))
      assert.strictEqual(rows(directory).length, 1)
      assert.isTrue(core.writeGroup(many).outcomes.every(({ _tag }) => _tag === "Written"))
      assert.strictEqual(rows(directory).length, 201)
    })
  )

  const nothingKept: ReadonlyArray<FailpointName> = [
    "log.begin",
    "log.insert",
    "log.readmodel",
    "log.commit.before",
    "blob.write.before",
    "blob.write.after",
    "vector.write.before",
    "vector.write.after"
  ]
  for (const name of nothingKept) {
    it.scoped(`a failure at ${name} keeps no event, and a retry appends it`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const { core } = yield* opened(directory, { failpoints: armed(`${name}:1:throw`) })
        const request = requestOf([appendOf("cause", "a", [submitted("a")])], {
          blobs: [blobOf("a body")],
          vectors: [{ ...defaultScope, model, inputHash: sha256("input"), vector: Float32Array.of(1, 0) }]
        })
        assert.strictEqual(core.writeGroup([request]).outcomes[0]?._tag, "Failed")
        assert.strictEqual(rows(directory).length, 0)
        assert.deepInclude(only(core.writeGroup([request])), { _tag: "Appended" })
        assert.strictEqual(rows(directory).length, 1)
      })
    )
  }

  const wholeKept: ReadonlyArray<FailpointName> = [
    "log.commit.after",
    "head.write.before",
    "head.write.after",
    "log.append.after"
  ]
  for (const name of wholeKept) {
    it.scoped(
      `A4: an answer lost at ${name} is found again: a retry gets the first positions, and a witness`,
      () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const { core } = yield* opened(directory, { failpoints: armed(`${name}:1:throw`) })
          assert.strictEqual(core.writeGroup([submit("a")]).outcomes[0]?._tag, "Failed")
          assert.deepStrictEqual(only(core.writeGroup([submit("a")])), {
            _tag: "Appended",
            appended: { firstPosition: 1, lastPosition: 1, lastSequence: 1, repeated: true }
          })
          assert.strictEqual(readHeadFile(join(directory, "head"))?.position, 1)
        })
    )
  }

  it.scoped("syncs content before the event that names it", () =>
    Effect.gen(function* () {
      const order: Array<string> = []
      const recording: FailpointsService = { hit: (name) => order.push(name) }
      const { core } = yield* opened(yield* temporaryDirectory, { failpoints: recording })
      order.length = 0
      core.writeGroup([requestOf([appendOf("cause", "a", [submitted("a")])], { blobs: [blobOf("a body")] })])
      assert.deepStrictEqual(order, [
        "blob.write.before",
        "blob.write.after",
        "log.begin",
        "log.insert",
        "log.readmodel",
        "log.commit.before",
        "log.commit.after",
        "head.write.before",
        "head.write.after",
        "log.append.after"
      ])
    })
  )

  it.scoped("moves the WAL into the database from time to time", () =>
    Effect.gen(function* () {
      const hits: Array<string> = []
      const { core } = yield* opened(yield* temporaryDirectory, {
        checkpointPages: 20,
        failpoints: { hit: (name) => hits.push(name) }
      })
      for (let n = 0; n < 10; n++) {
        core.writeGroup([submit(`a${n}`)])
        assert.isUndefined(core.upkeep())
      }
      assert.include(hits, "wal.checkpoint.before")
      assert.include(hits, "wal.checkpoint.after")
    })
  )

  it.scoped("D11: refuses to write once its file was replaced under it", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      renameSync(join(directory, "log.sqlite"), join(directory, "elsewhere"))
      assert.strictEqual(core.writeGroup([submit("a")]).outcomes[0]?._tag, "Failed")
      copyFileSync(join(directory, "elsewhere"), join(directory, "log.sqlite"))
      assert.strictEqual(core.writeGroup([submit("a")]).outcomes[0]?._tag, "Failed")
      renameSync(join(directory, "elsewhere"), join(directory, "log.sqlite"))
    })
  )

  for (const file of ["log.sqlite", "content.sqlite"])
    it.scoped(
      `D11: refuses to write once ${file}'s write-ahead log was deleted, and keeps what it answered`,
      () =>
        Effect.gen(function* () {
          const directory = yield* temporaryDirectory
          const { core } = yield* opened(directory)
          core.writeGroup([wholeDocument("a", 0)])
          rmSync(join(directory, `${file}-wal`))
          const [outcome] = core.writeGroup([wholeDocument("b", 1)]).outcomes
          assert.match(outcome?._tag === "Failed" ? outcome.reason : "", /-wal was replaced or deleted/)
          // What a process that is killed now leaves of the two.
          const left = join(yield* temporaryDirectory, file)
          copyFileSync(join(directory, file), left)
          const db = new SqliteDatabase(left, { readonly: true })
          const table = file === "log.sqlite" ? "events" : "blobs"
          assert.isAbove(Number(db.prepare(`SELECT count(*) FROM ${table}`).pluck().get()), 0)
          db.close()
        })
    )
})

describe("opening for writing", () => {
  it.scoped("raises the writer's number, which stands in every event's metadata", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      for (const name of ["a", "b"]) {
        const { close, core } = openTestWriter(directory)
        core.writeGroup([submit(name)])
        close()
      }
      const db = new SqliteDatabase(join(directory, "log.sqlite"), { readonly: true })
      const metadata = db
        .prepare<[], { metadata: string }>("SELECT metadata FROM events ORDER BY position")
        .all()
      db.close()
      assert.deepStrictEqual(
        metadata.map((row) => JSON.parse(row.metadata)),
        [
          { correlationId: "submit-a-1", actor: "test", epoch: 1, writer: 1, appendEnd: 1 },
          { correlationId: "submit-b-1", actor: "test", epoch: 1, writer: 2, appendEnd: 2 }
        ]
      )
    })
  )

  it.scoped("is refused to a second writer, which is told who the first one is", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      yield* opened(directory)
      const refusal = yield* Effect.flip(
        Effect.try({ try: () => openTestWriter(directory), catch: (cause) => cause })
      )
      assert.instanceOf(refusal, LogLocked)
      assert.include(refusal.holder, `test (pid ${process.pid} on test`)
    })
  )

  const opening: ReadonlyArray<FailpointName> = [
    "lock.acquire.before",
    "lock.acquire.after",
    "migrate.step.before",
    "migrate.step.after",
    "epoch.write.before",
    "epoch.write.after"
  ]
  for (const name of opening) {
    it.scoped(`an opening that fails at ${name} holds no lock: the same process opens it again`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const failed = yield* Effect.flip(
          Effect.try({
            try: () => openTestWriter(directory, { failpoints: armed(`${name}:1:throw`) }),
            catch: String
          })
        )
        assert.include(failed, `Failpoint ${name} fired.`)
        const { core } = yield* opened(directory)
        assert.deepInclude(only(core.writeGroup([submit("a")])), { _tag: "Appended" })
      })
    )
  }

  it.scoped("leaves a head file that says where the log ends", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { core } = yield* opened(directory)
      core.writeGroup([submit("a")])
      assert.deepStrictEqual(readHeadFile(join(directory, "head")), core.head)
      assert.strictEqual(core.head.position, 1)
    })
  )

  it.scoped("D8: is refused where the head file has seen a later head", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([submit("a"), submit("b")])
      close()
      forgetEventsAfter(directory, 1)
      const refusal = yield* Effect.flip(
        Effect.try({ try: () => openTestWriter(directory), catch: (cause) => cause })
      )
      assert.instanceOf(refusal, LogBehindIndex)
      assert.deepStrictEqual(
        [refusal.log.position, refusal.seen.position, refusal.witness],
        [1, 2, "head file"]
      )
    })
  )

  it.scoped("O3: is refused where the log forked at equal length", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([submit("a")])
      const forked = { ...core.head, hash: sha256("another history") }
      close()
      writeHeadFile(join(directory, "head"), forked)
      const refusal = yield* Effect.flip(
        Effect.try({ try: () => openTestWriter(directory), catch: (cause) => cause })
      )
      assert.instanceOf(refusal, LogBehindIndex)
    })
  )

  it.scoped("opens a new epoch where a rollback is accepted, and takes no cause of the old one for new", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const log = join(directory, "log.sqlite")
      const before = openTestWriter(directory)
      before.core.writeGroup([wholeDocument("a", 0)])
      before.close()
      copyFileSync(log, join(directory, "older"))
      const after = openTestWriter(directory)
      after.core.writeGroup([wholeDocument("b", 1)])
      after.close()
      copyFileSync(join(directory, "older"), log)
      const { core, rolledBack } = yield* opened(directory, { acceptRollback: true })
      assert.instanceOf(rolledBack, LogBehindIndex)
      assert.strictEqual(core.head.epoch, 2)
      assert.deepInclude(only(core.writeGroup([wholeDocument("a", 0)])), {
        appended: { firstPosition: 1, lastPosition: 2, lastSequence: 2, repeated: true }
      })
      core.writeGroup([wholeDocument("b", 1)])
      assert.strictEqual(rows(directory)[2]?.id, eventId(2, defaultScope, "whole-b", 0))
    })
  )

  it.scoped("opens no new epoch where nothing was lost", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      openTestWriter(directory).close()
      const { core } = yield* opened(directory, { acceptRollback: true })
      assert.strictEqual(core.head.epoch, 1)
    })
  )
})

/** What a lost tail looks like: the file is in order, its last events are not there. */
const forgetEventsAfter = (directory: string, position: number): void => {
  const db = new SqliteDatabase(join(directory, "log.sqlite"))
  db.prepare("DELETE FROM events WHERE position > ?").run(position)
  db.close()
}
