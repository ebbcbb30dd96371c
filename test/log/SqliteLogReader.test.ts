import { execFileSync } from "node:child_process"
import { join } from "node:path"
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { Chunk, Effect, Layer, Stream } from "effect"
import { LogReader } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import * as SqliteLogReader from "../../src/log/SqliteLogReader.ts"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"
import { bundleChild, runChild } from "../support/bundledChild.ts"
import { appendOf, openTestWriter, requestOf, submitted } from "../support/logEvents.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"
import { wholeDocument } from "../support/wholeDocument.ts"

const readerOf = (directory: string) =>
  SqliteLogReader.layer({ directory }).pipe(Layer.provide(ReadConnections.layer(directory)))

const positions = (stream: ReturnType<LogReader["Type"]["read"]>) =>
  Effect.map(Stream.runCollect(Stream.map(stream, ({ position }) => Number(position))), Chunk.toReadonlyArray)

const submit = (name: string) => requestOf([appendOf(`submit-${name}`, name, [submitted(name)])])

let script = ""
beforeAll(async () => {
  script = await bundleChild("appendingChild")
})

describe("a reader", () => {
  it.scopedLive("follows a writer in another process", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      openTestWriter(directory).close()
      const read = yield* Effect.gen(function* () {
        const reader = yield* LogReader
        const child = yield* Effect.fork(Effect.promise(() => runChild(script, [directory, "", "3", "0"])))
        const seen = yield* positions(Stream.take(reader.subscribe(4), 14))
        yield* child.await
        return seen
      }).pipe(Effect.provide(readerOf(directory)))
      assert.deepStrictEqual(
        read,
        Array.from({ length: 14 }, (_, n) => n + 5)
      )
    })
  )

  it.scopedLive("reads a long log page by page, all of it once", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup(Array.from({ length: 1234 }, (_, n) => submit(`a${n}`)))
      close()
      const read = yield* Effect.flatMap(LogReader, (reader) => positions(reader.read(0))).pipe(
        Effect.provide(readerOf(directory))
      )
      assert.deepStrictEqual(
        read,
        Array.from({ length: 1234 }, (_, n) => n + 1)
      )
    })
  )

  it.scopedLive("says so, and goes on, when the log is behind its witness", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([submit("a"), submit("b")])
      core.withDatabases((log) => log.exec("DELETE FROM events WHERE position = 2"))
      close()
      yield* Effect.gen(function* () {
        const reader = yield* LogReader
        const behind = yield* reader.behindWitness
        assert.strictEqual(behind?.seen.position, 2)
        assert.deepStrictEqual(yield* positions(reader.read(0)), [1])
      }).pipe(Effect.provide(readerOf(directory)))
    })
  )

  it.scopedLive("sees no witness ahead of a log that is in order", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([submit("a")])
      close()
      const behind = yield* Effect.flatMap(LogReader, (reader) => reader.behindWitness).pipe(
        Effect.provide(readerOf(directory))
      )
      assert.strictEqual(behind, undefined)
    })
  )

  it.scopedLive("that finds no log says which file is missing", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const failure = yield* Effect.flip(Effect.provide(LogReader, readerOf(directory)))
      assert.include(failure.message, join(directory, "log.sqlite"))
    })
  )
})

const namespaces = (() => {
  try {
    execFileSync("unshare", ["-Urm", "true"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
})()

describe("a data directory on read-only media", () => {
  it.scopedLive.runIf(namespaces)("is read from a private copy", () =>
    Effect.gen(function* () {
      const directory = join(yield* temporaryDirectory, "data")
      const { close, core } = openTestWriter(directory)
      core.writeGroup([wholeDocument("a", 0)])
      close()
      const child = yield* Effect.promise(() => bundleChild("readingChild"))
      const output = yield* Effect.sync(() =>
        execFileSync(
          "unshare",
          [
            "-Urm",
            "sh",
            "-c",
            `mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && exec "$2" "$3" "$1"`,
            "sh",
            directory,
            process.execPath,
            child
          ],
          { encoding: "utf8", timeout: 20_000 }
        )
      )
      assert.deepStrictEqual(JSON.parse(output), { writable: false, position: 2 })
    })
  )
})

describe("a snapshot", () => {
  it.scopedLive("answers versions and contents as of a position", () =>
    Effect.gen(function* () {
      const directory = yield* temporaryDirectory
      const { close, core } = openTestWriter(directory)
      core.writeGroup([wholeDocument("a", 0), wholeDocument("b", 1)])
      const snapshot = openSnapshot(directory)
      assert.deepStrictEqual(
        [1, 2, 3, 4].map(
          (position) => snapshot.versionsAt("default", "default", position, undefined, 10).length
        ),
        [0, 1, 1, 2]
      )
      assert.deepStrictEqual(snapshot.projects(), [{ team: "default", project: "default" }])
      assert.strictEqual(snapshot.head().position, 4)
      assert.deepStrictEqual(
        snapshot.events(1, 3, 10).map(({ type }) => type),
        ["DocumentCommitted", "DocumentSubmitted"]
      )
      assert.deepStrictEqual(
        snapshot.events(0, 4, 10, { types: ["DocumentCommitted"] }).map(({ position }) => Number(position)),
        [2, 4]
      )
      assert.strictEqual(snapshot.sequenceAt("default", "default", 3), 3)
      snapshot.close()
      close()
    })
  )
})
