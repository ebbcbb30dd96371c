import { rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import SqliteDatabase from "better-sqlite3"
import { Chunk, Context, Effect, Fiber, Layer, Schedule, Stream } from "effect"
import { defaultScope, documentStream, Position, sha256 } from "../../events/index.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import { Content } from "../../src/log/Content.ts"
import { ContentMissing, HeadMoved, Log, LogFailed, LogReader, VersionConflict } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import { ReadModels } from "../../src/log/ReadModels.ts"
import * as SqliteContent from "../../src/log/SqliteContent.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import * as SqliteLogReader from "../../src/log/SqliteLogReader.ts"
import * as SqliteReadModels from "../../src/log/SqliteReadModels.ts"
import {
  appendOf,
  blobOf,
  committed,
  documentNamed,
  model,
  openTestWriter,
  source,
  submitted
} from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const transports = {
  "in its caller's thread": SqliteLog.layerInThread,
  "in a worker": SqliteLog.layer
} as const

type Opened = Log | LogReader | ReadModels | Content

/** The whole room over a directory of its own. */
const room = (transport: keyof typeof transports, directory: string) =>
  Layer.mergeAll(
    SqliteLogReader.layerWithWriter({ directory }),
    SqliteReadModels.layer,
    SqliteContent.layer
  ).pipe(
    Layer.provideMerge(ReadConnections.layer(directory)),
    Layer.provideMerge(transports[transport]({ directory }))
  )

const submit = (name: string, version = 1, more = {}) =>
  appendOf(`submit-${name}-${version}`, name, [submitted(name, version)], more)

for (const transport of ["in its caller's thread", "in a worker"] as const) {
  const inRoom = (name: string, test: Effect.Effect<void, unknown, Opened>) =>
    it.scopedLive(name, () =>
      Effect.flatMap(temporaryDirectory, (directory) => Effect.provide(test, room(transport, directory)))
    )

  describe(`the log ${transport}`, () => {
    inRoom(
      "appends concurrent writes without a gap and answers each with its own positions",
      Effect.gen(function* () {
        const log = yield* Log
        const names = Array.from({ length: 64 }, (_, n) => `document-${n}`)
        const appended = yield* Effect.forEach(names, (name) => log.append(submit(name)), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          appended.map(({ firstPosition }) => firstPosition).toSorted((one, other) => one - other),
          names.map((_, n) => n + 1)
        )
        assert.strictEqual((yield* log.head).position, 64)
      })
    )

    it.scopedLive("follows what is on disk although its answer was lost", () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const failpoints = "log.append.after:1:throw"
        const opened = Layer.provide(
          transports[transport]({ directory, failpoints }),
          Layer.succeed(Failpoints, armed(failpoints))
        )
        yield* Effect.gen(function* () {
          const log = yield* Log
          const next = yield* Effect.fork(Stream.runHead(Stream.filter(log.heads, (one) => one.position > 0)))
          assert.instanceOf(yield* Effect.flip(log.append(submit("one"))), LogFailed)
          assert.strictEqual((yield* log.head).position, 1)
          assert.isTrue((yield* Fiber.join(next))._tag === "Some")
        }).pipe(Effect.provide(opened))
      })
    )

    inRoom(
      "answers refusals as typed errors",
      Effect.gen(function* () {
        const log = yield* Log
        const stream = documentStream(documentNamed("a"))
        assert.instanceOf(
          yield* Effect.flip(log.append(submit("a", 1, { expected: [{ stream, version: 3 }] }))),
          VersionConflict
        )
        assert.instanceOf(yield* Effect.flip(log.append(submit("a", 1, { expectedHead: 9 }))), HeadMoved)
        assert.instanceOf(
          yield* Effect.flip(log.append(submit("a", 1, { requires: { blobs: [sha256("nowhere")] } }))),
          ContentMissing
        )
      })
    )

    inRoom(
      "answers a write of very many appends in their order, and finds them all when it is tried again",
      Effect.gen(function* () {
        const log = yield* Log
        const appends = Array.from({ length: 300 }, (_, n) => submit(`many-${n}`))
        const positions = Effect.map(log.write({ appends }), (answers) =>
          answers.map((answer) => (answer._tag === "Appended" ? answer.appended.firstPosition : undefined))
        )
        const expected = appends.map((_, n) => Position.make(n + 1))
        assert.deepStrictEqual(yield* positions, expected)
        assert.deepStrictEqual(yield* positions, expected)
        assert.strictEqual((yield* log.head).position, 300)
      })
    )

    inRoom(
      "answers a batch append by append, and a body of another digest as a failed write",
      Effect.gen(function* () {
        const log = yield* Log
        const answers = yield* log.write({
          blobs: [blobOf("a body")],
          appends: [submit("a"), submit("b", 1, { expectedHead: 9 }), submit("c")]
        })
        assert.deepStrictEqual(
          answers.map(({ _tag }) => _tag),
          ["Appended", "Refused", "Appended"]
        )
        const wrong = { ...blobOf("one"), digest: sha256("another") }
        assert.instanceOf(yield* Effect.flip(log.write({ blobs: [wrong] })), LogFailed)
      })
    )

    inRoom(
      "reads what was appended, by scope and by type",
      Effect.gen(function* () {
        const log = yield* Log
        const reader = yield* LogReader
        yield* log.append(submit("a"))
        yield* log.append(submit("b", 1, { project: "other" }))
        yield* log.append(appendOf("commit-a", "a", [committed("a")]))
        const read = (after: number, filter = {}) =>
          Stream.runCollect(Stream.map(reader.read(after, filter), ({ position }) => Number(position)))
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* read(0)), [1, 2, 3])
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* read(1)), [2, 3])
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* read(0, defaultScope)), [1, 3])
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* read(0, { types: ["DocumentCommitted"] })), [3])
      })
    )

    inRoom(
      "streams what is there, then what comes",
      Effect.gen(function* () {
        const log = yield* Log
        const reader = yield* LogReader
        for (let n = 0; n < 5; n++) yield* log.append(submit(`before-${n}`))
        const following = yield* Effect.fork(
          Stream.runCollect(
            Stream.take(
              Stream.map(reader.subscribe(2), ({ position }) => Number(position)),
              5
            )
          )
        )
        for (let n = 0; n < 2; n++) yield* log.append(submit(`after-${n}`))
        assert.deepStrictEqual(Chunk.toReadonlyArray(yield* Fiber.join(following)), [3, 4, 5, 6, 7])
      })
    )

    inRoom(
      "tells followers each new head, beginning with the present one",
      Effect.gen(function* () {
        const log = yield* Log
        yield* log.append(submit("a"))
        const following = yield* Effect.fork(
          Stream.runCollect(Stream.takeUntil(log.heads, (head) => head.position >= 3))
        )
        yield* log.append(submit("b"))
        yield* log.append(submit("c"))
        const heads = Chunk.toReadonlyArray(yield* Fiber.join(following))
        assert.strictEqual(heads.at(-1)?.position, 3)
      })
    )

    inRoom(
      "gives content back as it was put, −0 as +0",
      Effect.gen(function* () {
        const log = yield* Log
        const content = yield* Content
        const small = blobOf("small")
        const large = blobOf("the same words again and again ".repeat(1000))
        const vector = Float32Array.of(-0, 0.6, 0.8)
        yield* log.write({
          blobs: [small, large],
          vectors: [{ ...defaultScope, model, inputHash: sha256("input"), vector }]
        })
        for (const blob of [small, large]) {
          assert.deepStrictEqual(
            new Uint8Array((yield* content.blob(defaultScope, blob.digest)) ?? []),
            new Uint8Array(blob.bytes)
          )
        }
        const absent = sha256("absent")
        assert.strictEqual(yield* content.blob(defaultScope, absent), undefined)
        assert.deepStrictEqual(
          [...(yield* content.hasBlobs(defaultScope, [small.digest, absent]))],
          [small.digest]
        )
        const [stored, missing] = yield* content.vectors(defaultScope, model, [sha256("input"), absent])
        assert.deepStrictEqual(stored, Float32Array.of(0, 0.6, 0.8))
        assert.isTrue(Object.is(stored?.[0], 0))
        assert.strictEqual(missing, undefined)
        const digests = yield* content.vectorDigests(defaultScope, model, [sha256("input"), absent])
        assert.deepStrictEqual(
          [...digests],
          [[sha256("input"), sha256(new Uint8Array(Float32Array.of(0, 0.6, 0.8).buffer))]]
        )
      })
    )

    inRoom(
      "answers read models as of the last acknowledged append",
      Effect.gen(function* () {
        const log = yield* Log
        const models = yield* ReadModels
        yield* log.append(submit("a"))
        const open = yield* models.document(documentNamed("a"))
        assert.deepInclude(open, {
          submittedVersion: 1,
          streamVersion: 1,
          live: undefined,
          removed: undefined
        })
        assert.strictEqual(open?.open?.version, 1)
        yield* log.append(appendOf("commit-a", "a", [committed("a")]))
        assert.deepInclude(yield* models.document(documentNamed("a")), {
          open: undefined,
          live: { version: 1, position: 2, chunks: 2 }
        })
        assert.deepStrictEqual(yield* models.counts(), {
          events: 2,
          documents: 1,
          chunks: 2,
          parked: 0,
          open: 0
        })
      })
    )

    inRoom(
      "answers several documents at once as one by one, and what is known of those that are none",
      Effect.gen(function* () {
        const log = yield* Log
        const models = yield* ReadModels
        yield* log.append(submit("a"))
        yield* log.append(submit("b"))
        yield* log.append(appendOf("commit-b", "b", [committed("b")]))
        yield* log.write({
          operational: ["a", "c"].map((name) => ({
            kind: "orderKey",
            documentId: documentNamed(name),
            orderKey: `key ${name}`
          }))
        })
        const ids = ["c", "b", "nowhere", "a"].map(documentNamed)
        const found = yield* models.named(ids)
        assert.deepStrictEqual([...found.keys()], ids)
        for (const id of ids) {
          assert.deepStrictEqual(found.get(id)?.row, yield* models.document(id))
          const key = found.get(id)?.row?.orderKey ?? found.get(id)?.orderKey
          assert.strictEqual(key, yield* models.orderKey(id))
        }
        assert.strictEqual(found.get(documentNamed("c"))?.orderKey, "key c")
      })
    )

    inRoom(
      "remembers a file whose document comes later, and one whose document is there",
      Effect.gen(function* () {
        const log = yield* Log
        const models = yield* ReadModels
        const remember = (name: string) =>
          log.write({
            operational: [
              {
                kind: "fileState",
                path: Buffer.from(name),
                sourceId: source,
                documentId: documentNamed(name),
                size: 1,
                mtimeNs: 1n,
                inode: 1n,
                raw: submitted(name).raw,
                descriptor: submitted(name).descriptor,
                sync: 1
              }
            ]
          })
        const settled = Effect.map(models.fileStates(source, undefined, 10), (files) =>
          files.map((file) => file.settled)
        )
        yield* remember("early")
        yield* log.append(submit("early"))
        yield* log.append(submit("late"))
        yield* remember("late")
        assert.deepStrictEqual(yield* settled, [false, false])
        for (const name of ["early", "late"])
          yield* log.append(appendOf(`commit-${name}`, name, [committed(name)]))
        assert.deepStrictEqual(yield* settled, [true, true])
      })
    )
  })
}

describe("the log's thread, when it ends", () => {
  for (const [failpoint, isKept] of [
    ["log.commit.before:2:exit", false],
    ["log.commit.after:2:exit", true]
  ] as const)
    it.scopedLive(`at ${failpoint} fails what was in hand, and the next write opens the log anew`, () =>
      Effect.gen(function* () {
        const directory = yield* temporaryDirectory
        const log = yield* openedIn(directory, failpoint)
        yield* log.append(submit("a"))
        assert.instanceOf(yield* Effect.flip(log.append(submit("b"))), LogFailed)
        const anew = <A, E>(effect: Effect.Effect<A, E>) => Effect.promise(() => Effect.runPromise(effect))
        const [again, kept] = yield* anew(Effect.zip(log.append(submit("b")), remembered))
        assert.strictEqual(kept, yield* anew(remembered), "whoever opens it anew remembers nothing of before")
        assert.deepStrictEqual(again, {
          firstPosition: 2,
          lastPosition: 2,
          lastSequence: 2,
          repeated: isKept
        })
        assert.strictEqual((yield* log.head).position, 2)
      })
    )

  it.scopedLive("has answered before it moves what the write-ahead logs hold", () =>
    Effect.gen(function* () {
      const log = yield* openedIn(yield* temporaryDirectory, "wal.checkpoint.before:1:exit", 1)
      assert.strictEqual((yield* log.append(submit("a"))).firstPosition, 1)
    })
  )

  it.scopedLive("fails a write of which only parts have been sent", () =>
    Effect.gen(function* () {
      const log = yield* openedIn(yield* temporaryDirectory, "log.insert:40:exit")
      const appends = Array.from({ length: 400 }, (_, n) => submit(`${n}`))
      assert.instanceOf(yield* Effect.flip(log.write({ appends })), LogFailed)
      // The first part, of 32, is a group of its own where the second one took longer than a group waits for it.
      assert.include([1, 33], (yield* log.append(submit("a"))).firstPosition)
    })
  )

  it.scopedLive("writes nothing while another process has taken the lock, and says which", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const log = yield* openedIn(directory, "log.commit.before:2:exit")
      yield* log.append(submit("a"))
      yield* Effect.flip(log.append(submit("b")))
      const other = yield* Effect.retry(
        Effect.try(() => openTestWriter(directory)),
        { times: 100, schedule: Schedule.spaced("50 millis") }
      )
      const refused = yield* Effect.flip(log.append(submit("b")))
      assert.instanceOf(refused, LogFailed)
      assert.include(refused.message, "is being written by test")
      other.close()
      assert.isFalse((yield* log.append(submit("b"))).repeated)
    })
  )

  it.scopedLive("goes on with no log that lost what was acknowledged here", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const log = yield* openedIn(directory, "log.commit.before:2:exit")
      yield* log.append(submit("a"))
      yield* Effect.flip(log.append(submit("b")))
      const db = yield* Effect.retry(
        Effect.try(() => {
          const { close } = openTestWriter(directory)
          close()
          return new SqliteDatabase(join(directory, "log.sqlite"))
        }),
        { times: 100, schedule: Schedule.spaced("50 millis") }
      )
      db.exec("DELETE FROM events")
      db.close()
      rmSync(join(directory, "head"))
      const refused = yield* Effect.flip(log.append(submit("b")))
      assert.instanceOf(refused, LogFailed)
      assert.include(refused.message, "this process")
    })
  )
})

/** Of the running fiber: how many fibers' values its refs remember. */
const remembered = Effect.map(Effect.getFiberRefs, ({ locals }) =>
  Math.max(...Array.from(locals.values(), ({ length }) => length))
)

const openedIn = (directory: string, failpoints: string, checkpointPages?: number) =>
  Effect.map(
    Layer.build(
      SqliteLog.layer({ directory, failpoints, ...(checkpointPages !== undefined && { checkpointPages }) })
    ),
    (context) => Context.get(context, Log)
  )
