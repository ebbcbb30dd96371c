import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect } from "effect"
import type { Spec } from "../../events/Generation.ts"
import { makeAnalyzer } from "../../src/documents/Analyzer.ts"
import { denseBytes, digestBytes } from "../../src/index/Fingerprint.ts"
import { pageEvents } from "../../src/index/Fold.ts"
import type { ReadElsewhere } from "../../src/index/Index.ts"
import { openProjection, type ProjectionContext } from "../../src/index/Projection.ts"
import { AheadReader, AheadWords } from "../../src/index/ReadAhead.ts"
import { recompute } from "../../src/index/Recompute.ts"
import { make, type ReadAhead } from "../../src/index/ThreadReadAhead.ts"
import { verify } from "../../src/index/Verify.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import { pointWords } from "../../src/index/VersionPoints.ts"
import { analyzerFor } from "../../src/runtime/Analyzers.ts"
import { commitDocument, firstSpec, openGeneration, removeDocument, testAnalyzer } from "../support/corpus.ts"
import { makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

const history = Effect.gen(function* () {
  yield* commitDocument("a.md", paragraphs("harbour", "ferry", "tide"), 1)
  yield* commitDocument("b.md", paragraphs("engine", "gear", "ferry"), 1)
  yield* commitDocument("a.md", paragraphs("harbour", "lighthouse", "tide"), 2)
  yield* removeDocument("b.md")
  yield* commitDocument("c.md", paragraphs("harbour", "crane", "engines"), 1)
  yield* commitDocument("b.md", paragraphs("engine", "valve"), 2)
})

/** In the test's own thread; `taken` counts the versions that were opened ahead. */
const aheadHere = (context: ProjectionContext, analyzer = testAnalyzer) => {
  const seen = { taken: 0 }
  const readAhead = (spec: Spec) =>
    Effect.sync((): ReadAhead => {
      const reader = new AheadReader(context.snapshot, () => analyzer)
      const words = new AheadWords()
      const pages = new Map<number, ReturnType<AheadWords["take"]>>()
      return {
        worthFrom: 0,
        take: (after, upTo) =>
          Effect.sync(() => {
            const page = Math.floor(after / pageEvents)
            const request = { spec, after: page * pageEvents, upTo: Math.min(upTo, (page + 1) * pageEvents) }
            const versions = pages.get(page) ?? words.take(structuredClone(reader.read(request)))
            if (!pages.has(page)) seen.taken += versions.size
            pages.set(page, versions)
            return versions
          }),
        begin: () => Effect.void,
        release: Effect.void
      }
    })
  return { seen, context: { ...context, readAhead } }
}

describe("versions that are opened ahead of the fold", () => {
  it.scoped("come out as those that the fold opens itself", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const { context, seen } = aheadHere(contextFor("ahead"))
      const ahead = yield* opened(context, row(1))
      assert.strictEqual(seen.taken, 3)
      const alone = yield* opened(contextFor("alone"), row(1))
      assert.strictEqual(ahead.state.fingerprint, alone.state.fingerprint)
      const recomputed = yield* recompute(contextFor("ahead"), ahead)
      assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
      assert.isTrue(isClean(yield* verify(ahead, { level: "full", repair: false })))
    })
  )

  it.scoped("have their words, however often the reader begins a new vocabulary", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const forgetful = {
        ...testAnalyzer,
        spelt: (text: string) => makeAnalyzer({ language: "english", unicodeVersion: "15.0" }).spelt(text)
      }
      const ahead = yield* opened(aheadHere(contextFor("ahead"), forgetful).context, row(1))
      const recomputed = yield* recompute(contextFor("ahead"), ahead)
      assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
    })
  )

  it.scoped("are the same in memory that was another's, and in new memory where that is too small", () =>
    Effect.gen(function* () {
      const { contextFor, log } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const { snapshot } = contextFor(".")
      const request = { spec: firstSpec, after: 0, upTo: snapshot.head().position }
      const read = (memory?: ArrayBuffer) => {
        const piece = new AheadReader(snapshot, () => testAnalyzer).read({
          ...request,
          ...(memory && { memory })
        })
        const versions = [...new AheadWords().take(piece).values()]
        const points = versions.flatMap(({ entries, point }) =>
          entries.map((_, at) => {
            const { dense, leaf, sparse, words } = point(at)
            return { dense, leaf, sparse, words: pointWords(words) }
          })
        )
        return { points, memory: piece.memory }
      }
      const anew = read()
      const used = new Uint8Array(2 * anew.memory.byteLength).fill(255).buffer
      const again = read(used)
      assert.strictEqual(again.memory, used)
      assert.strictEqual(anew.points.length, 9)
      assert.deepStrictEqual(again.points, anew.points)
      assert.deepStrictEqual(read(new ArrayBuffer(8)).points, anew.points)
    })
  )

  it.scoped("are left to the fold where their contents are not as they were committed", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
      yield* Effect.provide(commitDocument("b.md", paragraphs("engine"), 1), log)
      const other = denseBytes(Float32Array.from({ length: 32 }, (_, at) => (at === 0 ? 1 : 0)))
      const content = new Database(join(directory, "content.sqlite"))
      content
        .prepare("UPDATE vectors SET vector = ?, digest = ? WHERE rowid = (SELECT min(rowid) FROM vectors)")
        .run(other, digestBytes(other))
      content.close()
      const { context, seen } = aheadHere(contextFor("."))
      const { state } = yield* opened(context, row(1))
      assert.strictEqual(seen.taken, 1)
      assert.deepStrictEqual(
        state.missing(10).map(({ missing }) => missing),
        ["other vectors"]
      )
    })
  )

  it.scoped(
    "are read for until nothing is left to fold where nobody is served, else until little is left",
    () =>
      Effect.gen(function* () {
        const { contextFor, log, row } = yield* makeDirectory
        yield* Effect.provide(Effect.zipRight(history, openGeneration(2, firstSpec, "replay")), log)
        for (const number of [1, 2]) {
          let released = 0
          const ahead: ReadAhead = {
            worthFrom: 6,
            take: () => Effect.succeed(undefined),
            begin: () => Effect.void,
            release: Effect.sync(() => void released++)
          }
          const limits = { points: 4, events: 4 }
          const context = { ...contextFor(`${number}`), limits, readAhead: () => Effect.succeed(ahead) }
          const projection = yield* openProjection(context, row(number))
          yield* Effect.repeat(projection.advance, { until: ({ atHead }) => atHead })
          assert.strictEqual(released > 0, number === 1)
          yield* projection.advance
          assert.isAbove(released, 0)
        }
      })
  )

  it.scopedLive(
    "come from a thread, for one generation at a time, and the fold goes on without them where it is gone",
    () =>
      Effect.gen(function* () {
        const { contextFor, directory, log, row } = yield* makeDirectory
        yield* Effect.provide(history, log)
        // By name the thread knows the analyzers of this machine, not that of the tests.
        const { fingerprint } = analyzerFor("english")
        const readers = make({ directory })
        const thread = yield* readers({ ...firstSpec, analyzer: fingerprint })
        const other = yield* readers({ ...firstSpec, analyzer: fingerprint })
        const versions = yield* thread.take(0, pageEvents)
        assert.deepStrictEqual(
          Array.from(versions?.values() ?? [], ({ entries }) => entries.length),
          [3, 3, 3]
        )
        assert.isUndefined(yield* other.take(0, pageEvents))
        yield* thread.release
        assert.strictEqual((yield* other.take(0, pageEvents))?.size, 3)
        // What it reads back beside the fold's thread is what that reads.
        const spec = { ...firstSpec, analyzer: fingerprint }
        const context = { ...contextFor("."), analyzerOf: () => analyzerFor("english") }
        const limits = { points: 2, events: 100 }
        const back = yield* opened({ ...context, limits }, { ...row(1), spec })
        const parts: Array<number | undefined> = []
        const elsewhere: ReadElsewhere = {
          part: (part) =>
            Effect.tap(other.elsewhere?.part(part) ?? Effect.succeed(undefined), (read) =>
              Effect.sync(() => parts.push(read?.points?.count))
            )
        }
        assert.isTrue(isClean(yield* verify({ ...back, elsewhere }, { level: "full", repair: false })))
        assert.isAbove(parts.length, 0)
        assert.notInclude(parts, undefined)
        assert.isAbove(Math.max(...parts.map((count) => count ?? 0)), 0)
        const nowhere = (spec: Spec) =>
          Effect.map(make({ directory: join(directory, "nowhere") })(spec), (gone) => ({
            ...gone,
            worthFrom: 0
          }))
        const { state } = yield* opened({ ...contextFor("."), readAhead: nowhere }, row(1))
        assert.strictEqual(state.counts.documents, 3)
      })
  )
})
