/**
 * A data directory as version 0.1.0 wrote it: three documents, one changed and one removed, replayed once. It must open,
 * answer and replay for ever. A new format gets a new directory beside it; this one is never changed.
 */
import { cpSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import * as Archive from "../../src/log/Archive.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import { SearchRequest } from "../../src/search/Search.ts"
import { temporaryDirectory } from "../support/temporaryDirectory.ts"

const kept = join(dirname(fileURLToPath(import.meta.url)), "data-directory-v1")
/** As printed by the program that wrote it; plain ASCII text, so that other Unicode tables change nothing. */
const fingerprint = "d59c425a79fbcc47ab82903f86fe4640c1414a4f1e85f1b6e3064fd279fe746b"

const copied = Effect.tap(temporaryDirectory, (directory) =>
  Effect.sync(() => cpSync(kept, directory, { recursive: true }))
)

const open = (path: string) =>
  Layer.build(
    Embedded.layer({
      configuration: {
        settings: Schema.decodeSync(Settings)({}),
        directory: { path, origin: "flag", files: filesIn(path, join) }
      },
      command: "test"
    })
  )

describe("the golden data directory of format 1", () => {
  it.scopedLive("is undamaged as its own program judges it", () =>
    Effect.gen(function* () {
      const report = yield* Archive.verify(yield* copied)
      assert.strictEqual(report.damaged, 0)
    })
  )

  it.scopedLive("is read once a writer has brought it up to date", () =>
    Effect.gen(function* () {
      const directory = yield* copied
      const refusal = yield* Effect.flip(Layer.build(ReadConnections.layer(directory)))
      assert.strictEqual(refusal._tag, "DirectoryInvalid")
      assert.include(refusal.message, "reprise sync")
      yield* Effect.scoped(open(directory))
      yield* Layer.build(ReadConnections.layer(directory))
    })
  )

  it.scopedLive("opens, answers, and replays to the fingerprint that it was written with", () =>
    Effect.gen(function* () {
      const directory = yield* copied
      yield* Effect.gen(function* () {
        const { documents, search } = yield* Reader
        const { replay } = yield* Writer
        const listed = yield* documents({ scope: defaultScope, state: "live", limit: 10 })
        assert.deepStrictEqual(listed.documents.map(({ uri }) => uri).sort(), [
          "file:///srv/notes/crm/account.json",
          "file:///srv/notes/harbour.md"
        ])
        const replayed = yield* replay(() => Effect.void)
        assert.isTrue(replayed.fingerprint.equal)
        assert.strictEqual(replayed.fingerprint.actual, fingerprint)
        assert.strictEqual(replayed.embeddings.computed, 0)
        const answer = yield* search(
          Schema.decodeSync(SearchRequest)({ scope: defaultScope, query: "ferry", mode: "hybrid", limit: 3 })
        )
        assert.include(answer.hits[0]?.snippet, "half hour")
      }).pipe(Effect.provide(yield* open(directory)))
      // Tables that a migration made anew are what the events give.
      assert.deepStrictEqual((yield* Archive.verify(directory)).damaged, 0)
    })
  )
})
