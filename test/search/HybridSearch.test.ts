import { closeSync, cpSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Sqlite from "better-sqlite3"
import { Duration, Effect, Fiber } from "effect"
import { codeFingerprint, defaultScope } from "../../events/Ids.ts"
import { EmbeddingModel, type EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import { eraseDocuments } from "../../src/index/Erasure.ts"
import * as HybridSearch from "../../src/search/HybridSearch.ts"
import {
  commitDocument,
  firstSpec,
  named,
  removeDocument,
  testAnalyzer,
  testVector
} from "../support/corpus.ts"
import { makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

const model: EmbeddingModelService = {
  fingerprint: firstSpec.model,
  name: firstSpec.modelName,
  dimensions: firstSpec.dimensions,
  maxInputTokens: 1_000,
  batchSize: 8,
  concurrency: 1,
  denseWeight: 1,
  timeout: Duration.seconds(1),
  embed: () => Effect.dieMessage("A search embeds nothing but its question."),
  embedQuery: (text) => Effect.succeed(testVector(firstSpec.model, text))
}

/** A log, its index as it is brought up to date, and a search over both that stays open. */
const world = (configured = model, analyzed = (_directory: string) => {}) =>
  Effect.gen(function* () {
    const { contextFor, directory, log, row } = yield* makeDirectory
    const analyzerOf = () => {
      analyzed(directory)
      return testAnalyzer
    }
    const { search } = yield* HybridSearch.make(
      { ...contextFor("."), analyzerOf },
      {
        keptChunks: 100,
        denseWeight: undefined
      }
    ).pipe(Effect.provideService(EmbeddingModel, configured))
    return {
      directory,
      commit: (name: string, version: number, ...words: ReadonlyArray<string>) =>
        Effect.provide(commitDocument(name, paragraphs(...words), version), log),
      remove: (name: string) => Effect.provide(removeDocument(name), log),
      erase: (name: string) =>
        Effect.scoped(
          Effect.flatMap(opened(contextFor("."), row(1)), (projection) =>
            eraseDocuments(projection, [named(name)])
          )
        ),
      index: Effect.scoped(Effect.suspend(() => opened(contextFor("."), row(1)))),
      search: (query: string, more: Partial<Parameters<typeof search>[0]> = {}) =>
        search({ scope: defaultScope, query, mode: "sparse", limit: 10, filter: {}, waitMs: 0, ...more })
    }
  })

describe("a search", () => {
  it.scopedLive("finds again what it found once, whatever older copy of the index is put back", () =>
    Effect.gen(function* () {
      const { commit, directory, index, search } = yield* world()
      yield* commit("a.md", 1, "ferry")
      yield* index
      const before = yield* search("ferry")
      assert.deepStrictEqual([before.hits.length, before.degraded], [1, false])
      for (const part of ["index", "state"])
        cpSync(join(directory, part), join(directory, `old-${part}`), { recursive: true })
      yield* commit("a.md", 2, "lighthouse")
      yield* index
      const found = yield* search("lighthouse")
      assert.deepStrictEqual([found.hits.length, found.degraded], [1, false])
      for (const part of ["index", "state"]) {
        rmSync(join(directory, part), { recursive: true })
        cpSync(join(directory, `old-${part}`), join(directory, part), { recursive: true })
      }
      const again = yield* search("lighthouse")
      assert.deepStrictEqual([again.hits.length, again.degraded], [1, true])
      assert.isAtLeast(again.indexedPosition, found.indexedPosition)
      assert.deepStrictEqual((yield* search("ferry")).hits, [])
    })
  )

  it.scopedLive("is answered by the log where the state begins anew after it was looked at", () =>
    Effect.gen(function* () {
      let beginsAnew = false
      const { commit, index, search } = yield* world(model, (directory) => {
        if (!beginsAnew) return
        beginsAnew = false
        const db = new Sqlite(join(directory, "state", "g001-e1.sqlite"))
        db.exec("UPDATE meta SET value = 0 WHERE key = 'checkpoint'")
        db.exec("UPDATE meta SET value = 1000 WHERE key = 'target'")
        db.close()
      })
      yield* commit("a.md", 1, "ferry")
      yield* index
      const before = yield* search("ferry")
      assert.deepStrictEqual([before.hits.length, before.degraded], [1, false])
      beginsAnew = true
      const after = yield* search("ferry")
      assert.deepStrictEqual([beginsAnew, after.hits.length, after.degraded], [false, 1, true])
      assert.strictEqual(after.indexedPosition, before.indexedPosition)
    })
  )

  for (const damaged of ["words", "tokens", "documents", "ledger", "scopes"])
    it.scopedLive(`is answered by the log where the ${damaged} of the state are damaged`, () =>
      Effect.gen(function* () {
        const { commit, directory, index, search } = yield* world()
        yield* commit("a.md", 1, "ferry")
        yield* commit("b.md", 1, "lighthouse")
        yield* index
        const path = join(directory, "state", "g001-e1.sqlite")
        const db = new Sqlite(path)
        db.pragma("wal_checkpoint(TRUNCATE)")
        const page = Number(
          db.prepare("SELECT rootpage FROM sqlite_master WHERE name = ?").pluck().get(damaged)
        )
        const size = Number(db.pragma("page_size", { simple: true }))
        db.close()
        const file = openSync(path, "r+")
        writeSync(file, Buffer.alloc(size, 0x5a), 0, size, size * (page - 1))
        closeSync(file)
        for (const query of ["ferry", "fery"]) {
          const { degraded, hits, notes } = yield* search(query)
          assert.lengthOf(hits, 1, query)
          if (degraded) assert.match(notes.join(" "), /state|rebuilt/)
        }
      })
    )

  it.scopedLive("is refused where it is to include what the index has not reached", () =>
    Effect.gen(function* () {
      const { commit, index, search } = yield* world()
      yield* commit("a.md", 1, "ferry")
      yield* index
      const { indexedPosition } = yield* search("ferry")
      yield* commit("a.md", 2, "lighthouse")
      const error = yield* Effect.flip(search("lighthouse", { minPosition: indexedPosition + 2 }))
      assert.strictEqual(error._tag, "NotYetVisible")
      // Nothing is to be seen of a submission.
      const before = yield* search("lighthouse", { minPosition: indexedPosition + 1 })
      assert.deepInclude(before, { indexedPosition: indexedPosition + 1, hits: [] })
      yield* index
      assert.lengthOf((yield* search("lighthouse", { minPosition: indexedPosition + 2 })).hits, 1)
    })
  )

  it.scopedLive("I10: has seen no less than it said before, whether or not it was asked how far", () =>
    Effect.gen(function* () {
      const { commit, index, search } = yield* world()
      yield* commit("a.md", 1, "ferry")
      yield* index
      const { indexedPosition } = yield* search("ferry")
      yield* commit("a.md", 2, "lighthouse")
      const submitted = indexedPosition + 1
      assert.strictEqual((yield* search("ferry", { minPosition: submitted })).indexedPosition, submitted)
      assert.strictEqual((yield* search("ferry")).indexedPosition, submitted)
    })
  )

  it.scopedLive("corrects a word by one of another length, in letters of one, two and four bytes too", () =>
    Effect.gen(function* () {
      const { commit, index, search } = yield* world()
      const slips: ReadonlyArray<readonly [slip: string, word: string]> = [
        ["lihthouse", "lighthouse"],
        ["lightthousee", "lighthouse"],
        ["fery", "ferry"],
        ["маяяк", "маяк"],
        ["\u{10428}\u{10429}\u{1042a}\u{1042b}", "\u{10428}\u{10429}\u{1042a}\u{1042b}\u{1042c}"]
      ]
      yield* commit("a.md", 1, slips.map(([, word]) => word).join(" "))
      yield* index
      for (const [slip, word] of slips) {
        const { corrections, hits } = yield* search(slip)
        assert.deepStrictEqual(corrections, [{ from: slip, to: word }])
        assert.isNotEmpty(hits)
      }
    })
  )

  it.scopedLive(
    "corrects a word by one that came in after others of its length were looked for, by none that went",
    () =>
      Effect.gen(function* () {
        const { commit, index, search } = yield* world()
        const corrected = (slip: string) =>
          Effect.map(search(slip), ({ corrections }) => corrections.map(({ to }) => to))
        yield* commit("a.md", 1, "lighthouse")
        yield* index
        assert.deepStrictEqual(yield* corrected("lihthouse"), ["lighthouse"])
        yield* commit("b.md", 1, "breakwater")
        yield* index
        assert.deepStrictEqual(yield* corrected("brekwater"), ["breakwater"])
        yield* commit("a.md", 2, "breakwater")
        yield* index
        assert.deepStrictEqual(yield* corrected("lihthouse"), [])
      })
  )

  it.scopedLive("corrects a word by one that was given the id of an erased one", () =>
    Effect.gen(function* () {
      const { commit, erase, index, remove, search } = yield* world()
      yield* commit("a.md", 1, "lighthouse")
      yield* index
      assert.lengthOf((yield* search("lihthouse")).corrections, 1)
      yield* remove("a.md")
      yield* erase("a.md")
      yield* commit("b.md", 1, "breakwater")
      yield* index
      assert.lengthOf((yield* search("lihthouse")).corrections, 0)
      assert.lengthOf((yield* search("brekwater")).corrections, 1)
    })
  )

  it.scopedLive(
    "keeps what it began to read open to its end, also where another one has opened it anew",
    () =>
      Effect.gen(function* () {
        const isAsked = yield* Effect.makeLatch(false)
        const mayAnswer = yield* Effect.makeLatch(false)
        const { commit, directory, index, search } = yield* world({
          ...model,
          embedQuery: (text) =>
            Effect.zipRight(Effect.zipRight(isAsked.open, mayAnswer.await), model.embedQuery(text))
        })
        yield* commit("a.md", 1, "ferry")
        yield* index
        const first = yield* Effect.fork(search("ferry", { mode: "hybrid" }))
        yield* isAsked.await
        const [state, aside] = [join(directory, "state"), join(directory, "aside")]
        renameSync(state, aside)
        cpSync(aside, state, { recursive: true })
        assert.lengthOf((yield* search("ferry")).hits, 1)
        yield* mayAnswer.open
        const { degraded, hits } = yield* Fiber.join(first)
        assert.deepStrictEqual([hits.length, degraded], [1, false])
      })
  )

  it.scopedLive("compares no vectors of two models, also where they have one length", () =>
    Effect.gen(function* () {
      const other = { ...model, fingerprint: codeFingerprint("other", ["other"]), name: "other" }
      const { commit, index, search } = yield* world(other)
      yield* commit("a.md", 1, "ferry")
      yield* index
      const hybrid = yield* search("ferry", { mode: "hybrid" })
      assert.deepStrictEqual([hybrid.hits.length, hybrid.degraded], [1, true])
      assert.isUndefined(hybrid.hits[0]?.scores.dense)
      assert.strictEqual((yield* Effect.flip(search("ferry", { mode: "dense" })))._tag, "ModelDiffers")
    })
  )
})
