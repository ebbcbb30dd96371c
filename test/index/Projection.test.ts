import { copyFileSync, cpSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Exit, FastCheck as fc, Stream } from "effect"
import { defaultScope, ProjectName, type ProjectScope, TeamName } from "../../events/Ids.ts"
import { documentTerms } from "../../src/documents/SparseVector.ts"
import { armed, FailpointFired, Failpoints } from "../../src/faults/Failpoints.ts"
import { eraseDocuments } from "../../src/index/Erasure.ts"
import { noFilter } from "../../src/index/Filter.ts"
import { denseBytes, digestBytes } from "../../src/index/Fingerprint.ts"
import { GenerationState } from "../../src/index/GenerationState.ts"
import { LogIndex } from "../../src/index/LogIndex.ts"
import { openForReading, openProjection, openStateForReading, refOf } from "../../src/index/Projection.ts"
import { make as makeProjections } from "../../src/index/Projections.ts"
import { recompute } from "../../src/index/Recompute.ts"
import { sweep } from "../../src/index/Sweep.ts"
import { verify } from "../../src/index/Verify.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import { readIndex } from "../model/IndexFile.ts"
import {
  buildDocument,
  commitDocument,
  firstSpec,
  generation,
  named,
  openGeneration,
  promoteGeneration,
  removeDocument,
  retireGeneration,
  secondSpec,
  testAnalyzer,
  testVector
} from "../support/corpus.ts"
import { catchUp, makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

const other = { team: TeamName.make("other"), project: ProjectName.make("crm") }

const history = Effect.gen(function* () {
  yield* commitDocument("a.md", paragraphs("harbour", "ferry", "tide"), 1)
  yield* commitDocument("b.md", paragraphs("engine", "gear"), 1)
  yield* commitDocument("c.md", paragraphs("harbour", "crane"), 1, firstSpec, other)
  yield* commitDocument("a.md", paragraphs("harbour", "lighthouse", "tide"), 2)
  yield* removeDocument("b.md")
  yield* commitDocument("b.md", paragraphs("engine", "valve"), 2)
})

describe("a projection", () => {
  it.scoped("holds what the log says, however its history came about", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const incremental = yield* opened(contextFor("incremental"), row(1))
      yield* Effect.provide(history, log)
      yield* catchUp(incremental)
      const replayed = yield* opened(contextFor("replayed"), row(1))
      assert.strictEqual(incremental.state.fingerprint, replayed.state.fingerprint)
      assert.isTrue(isClean(yield* verify(incremental, { level: "full", repair: false })))
      assert.isTrue(isClean(yield* verify(replayed, { level: "full", repair: false })))
      const recomputed = yield* recompute(contextFor("incremental"), incremental)
      assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
    })
  )

  it.scoped("has the fingerprint that a second reader finds in the files", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const projection = yield* opened(contextFor("."), row(1))
      const read = readIndex(join(directory, "index", "g001-e1"), projection.state.checkpoint)
      assert.strictEqual(read.fingerprint, projection.state.fingerprint)
    })
  )

  it.scoped("counts a word in the chunks that live, and no more in those that ended", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const { state } = yield* opened(contextFor("."), row(1))
      const counted = state.db
        .prepare<[], { scope: number; token: number }>("SELECT scope, token FROM tokens")
        .all()
        .map(({ scope, token }) => ({ scope, token, frequency: state.frequency(scope, token) }))
      assert.isTrue(counted.some(({ frequency }) => frequency === 0))
      for (const { scope, token, frequency } of counted) {
        const living = state.chunksWith(scope, new Set([token]), state.checkpoint)
        assert.strictEqual(frequency, living.size, `token ${token} of scope ${scope}`)
      }
    })
  )

  it.scoped("counts a word again that was erased", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour", "ferry"), 1), log)
      const projection = yield* opened(contextFor("."), row(1))
      yield* Effect.provide(removeDocument("a.md"), log)
      yield* catchUp(projection)
      yield* eraseDocuments(projection, [named("a.md")])
      yield* Effect.provide(commitDocument("b.md", paragraphs("harbour", "ferry"), 1), log)
      yield* catchUp(projection)
      const recomputed = yield* recompute(contextFor("."), projection)
      assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
    })
  )

  it.scoped("leaves a chunk that survives into the next version untouched", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const projection = yield* opened(contextFor("."), row(1))
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour", "ferry", "tide"), 1), log)
      yield* catchUp(projection)
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour", "bridge", "tide"), 2), log)
      const applied = yield* projection.advance
      assert.deepStrictEqual([applied.inserted, applied.ended], [1, 1])
    })
  )

  it.scoped("gives a chunk that survives the metadata of its new version", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const text = paragraphs("harbour", "ferry")
      const { engine, state, ...projection } = yield* opened(contextFor("."), row(1))
      yield* Effect.provide(commitDocument("a.md", text, 1), log)
      yield* catchUp({ engine, state, ...projection })
      yield* Effect.provide(commitDocument("a.md", text, 2, firstSpec, defaultScope, "changed"), log)
      const applied = yield* projection.advance
      assert.deepStrictEqual([applied.inserted, applied.ended], [2, 2])
      const points = yield* Stream.runCollect(engine.scan(state.checkpoint, defaultScope))
      assert.deepStrictEqual(
        [...points].map(({ payload }) => JSON.parse(payload).metadata),
        [{ kind: "changed" }, { kind: "changed" }]
      )
    })
  )

  it.scoped("takes no version whose stored vectors are not those that it was committed with", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
      yield* Effect.provide(commitDocument("b.md", paragraphs("engine"), 1), log)
      const other = new Float32Array(32)
      other[0] = 1
      const bytes = denseBytes(other)
      const content = new Database(join(directory, "content.sqlite"))
      content
        .prepare("UPDATE vectors SET vector = ?, digest = ? WHERE rowid = (SELECT min(rowid) FROM vectors)")
        .run(bytes, digestBytes(bytes))
      content.close()
      const { state } = yield* opened(contextFor("."), row(1))
      assert.deepStrictEqual(
        state.missing(10).map(({ missing }) => missing),
        ["other vectors"]
      )
      assert.deepStrictEqual(state.counts, { documents: 1, chunks: 1 })
    })
  )

  it.scoped("comes to the same state after a crash at any step of an apply", () =>
    Effect.gen(function* () {
      const points = [
        "index.apply.before",
        "index.row",
        "index.marker.before",
        "index.marker.after",
        "state.commit.before",
        "state.commit.after",
        "index.apply.after"
      ]
      const { contextFor, log, row, snapshot } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const whole = yield* opened(contextFor("whole"), row(1))
      for (const point of points) {
        for (const hit of [1, 2, 3]) {
          const folder = `${point}-${hit}`
          const failpoints = armed(`${point}:${hit}:throw`)
          const crashed = yield* Effect.scoped(opened(contextFor(folder, failpoints), row(1))).pipe(
            Effect.provideService(Failpoints, failpoints),
            Effect.exit
          )
          assert.isTrue(
            Exit.isFailure(crashed) && String(crashed.cause).includes(FailpointFired.name),
            `${folder} did not fire`
          )
          yield* Effect.scoped(
            Effect.gen(function* () {
              const { checkpoint } = yield* openStateForReading(contextFor(folder), row(1))
              const engine = yield* contextFor(folder).engine.openReadOnly(refOf(row(1), snapshot.head()))
              const marker = yield* engine.marker
              assert.isAtLeast(
                marker?.checkpoint ?? 0,
                checkpoint,
                `${folder}: the engine is behind its state`
              )
            })
          )
          yield* Effect.scoped(
            Effect.gen(function* () {
              const again = yield* opened(contextFor(folder), row(1))
              assert.strictEqual(again.state.fingerprint, whole.state.fingerprint, folder)
              assert.isTrue(isClean(yield* verify(again, { level: "full", repair: false })), folder)
            })
          )
        }
      }
    })
  )

  it.scoped("refills an engine that was deleted, from its ledger", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const context = contextFor(".")
      const before = yield* Effect.scoped(
        Effect.map(opened(context, row(1)), ({ state }) => state.fingerprint)
      )
      rmSync(join(directory, "index"), { recursive: true })
      const again = yield* opened(context, row(1))
      const report = yield* verify(again, { level: "full", repair: false })
      assert.isTrue(isClean(report), JSON.stringify(report))
      assert.strictEqual(report.fingerprint.actual, before)
    })
  )

  it.scoped("folds a state anew that was deleted, and serves nobody before it has reached the head", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row, snapshot } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const context = contextFor(".")
      const before = yield* Effect.scoped(
        Effect.map(opened(context, row(1)), ({ state }) => state.fingerprint)
      )
      rmSync(join(directory, "state"), { recursive: true })
      const again = yield* openProjection(context, row(1))
      assert.strictEqual(again.state.checkpoint, 0)
      assert.strictEqual(again.state.target, snapshot.head().position)
      yield* catchUp(again)
      assert.strictEqual(again.state.fingerprint, before)
    })
  )

  it.scoped("notices an engine that is deleted while it is open", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      const context = contextFor(".")
      const projection = yield* opened(context, row(1))
      yield* Effect.provide(history, log)
      rmSync(join(directory, "index"), { recursive: true })
      const failure = yield* Effect.flip(projection.advance)
      assert.strictEqual(failure._tag, "EngineMismatch")
    })
  )

  it.scoped("of a second pair lists what is not built, and takes each build as it comes", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* commitDocument("a.md", paragraphs("harbour", "ferry"), 1)
          yield* commitDocument("b.md", paragraphs("engine"), 1)
          yield* openGeneration(2, secondSpec, "build")
          yield* buildDocument("a.md", paragraphs("harbour", "ferry"), 1, secondSpec)
        }),
        log
      )
      const second = yield* opened(contextFor("."), row(2))
      assert.deepStrictEqual([second.state.missingCount, second.state.counts.chunks], [1, 2])
      yield* Effect.provide(buildDocument("b.md", paragraphs("engine"), 1, secondSpec), log)
      yield* catchUp(second)
      assert.deepStrictEqual([second.state.missingCount, second.state.counts.chunks], [0, 3])
    })
  )

  it.scoped("folded after its builds equals one folded while they came", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const first = paragraphs("harbour", "ferry")
      const changed = paragraphs("harbour", "bridge")
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* commitDocument("a.md", first, 1)
          yield* openGeneration(2, secondSpec, "build")
        }),
        log
      )
      const during = yield* opened(contextFor("during"), row(2))
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* buildDocument("a.md", first, 1, secondSpec)
          yield* commitDocument("a.md", changed, 2)
          yield* buildDocument("a.md", changed, 2, secondSpec)
        }),
        log
      )
      yield* catchUp(during)
      const after = yield* opened(contextFor("after"), row(2))
      assert.strictEqual(during.state.fingerprint, after.state.fingerprint)
      assert.strictEqual(after.state.missingCount, 0)
    })
  )

  it.scoped("takes a build only of the version that is still the committed one", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* commitDocument("a.md", paragraphs("harbour"), 1)
          yield* commitDocument("a.md", paragraphs("bridge"), 2)
          yield* openGeneration(2, secondSpec, "build")
          yield* buildDocument("a.md", paragraphs("harbour"), 1, secondSpec)
        }),
        log
      )
      const second = yield* opened(contextFor("."), row(2))
      assert.deepStrictEqual([second.state.missingCount, second.state.counts.chunks], [1, 0])
    })
  )

  it.scoped("ends its fold at the promotion that replaces it", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const replacedAt = yield* Effect.provide(
        Effect.gen(function* () {
          yield* commitDocument("a.md", paragraphs("harbour"), 1)
          yield* openGeneration(2, firstSpec, "replay")
          const position = yield* promoteGeneration(2)
          yield* commitDocument("a.md", paragraphs("bridge"), 2)
          return position
        }),
        log
      )
      const first = yield* opened(contextFor("."), row(1))
      const second = yield* opened(contextFor("."), row(2))
      assert.strictEqual(first.state.checkpoint, replacedAt)
      assert.notStrictEqual(first.state.fingerprint, second.state.fingerprint)
    })
  )

  it.scoped("is not made again for whoever still asks for it once it is retired and deleted", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log } = yield* makeDirectory
      const projections = yield* makeProjections({ ...contextFor("."), deleteState: GenerationState.delete })
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
      yield* projections.advance(generation(1))
      yield* Effect.provide(
        Effect.all([openGeneration(2, firstSpec, "replay"), promoteGeneration(2), retireGeneration(1)]),
        log
      )
      yield* projections.advance(generation(1))
      yield* projections.drop(generation(1))
      const refused = yield* Effect.flip(projections.advance(generation(1)))
      assert.include(refused.message, "g001 is retired")
      assert.deepStrictEqual(
        ["index", "state"].flatMap((folder) => readdirSync(join(directory, folder))),
        []
      )
    })
  )

  for (const folder of ["state", "index"])
    it.scoped(
      `that a crash left behind its promotion is cleared, though its ${folder} was deleted by hand`,
      () =>
        Effect.gen(function* () {
          const { contextFor, directory, log, row } = yield* makeDirectory
          yield* Effect.provide(history, log)
          const context = contextFor(".")
          yield* Effect.scoped(opened(context, row(1)))
          yield* Effect.provide(
            Effect.all([openGeneration(2, firstSpec, "replay"), promoteGeneration(2), retireGeneration(1)]),
            log
          )
          rmSync(join(directory, folder), { recursive: true })
          const projections = yield* makeProjections({ ...context, deleteState: GenerationState.delete })
          assert.strictEqual(yield* projections.clear, 1)
          const left = ["state", "index"]
            .map((one) => join(directory, one))
            .flatMap((one) => (existsSync(one) ? readdirSync(one) : []))
          assert.deepStrictEqual(left, [])
          assert.strictEqual(yield* projections.clear, 0)
        })
    )

  it.scoped(
    "is closed before its files go: what is deleted under an open handle keeps its place on the disk",
    () =>
      Effect.gen(function* () {
        const { contextFor, directory, log, row } = yield* makeDirectory
        const context = contextFor(".")
        let open = 0
        const atDrop: Array<number> = []
        const { engine } = context
        const watched = {
          ...context,
          deleteState: GenerationState.delete,
          engine: {
            ...engine,
            open: (ref: Parameters<typeof engine.open>[0]) =>
              Effect.acquireRelease(
                Effect.sync(() => void open++),
                () => Effect.sync(() => void open--)
              ).pipe(Effect.zipRight(engine.open(ref))),
            drop: (ref: Parameters<typeof engine.drop>[0]) =>
              Effect.suspend(() => {
                atDrop.push(open)
                return engine.drop(ref)
              })
          }
        }
        const files = join(directory, "index")
        yield* Effect.provide(history, log)
        yield* Effect.scoped(opened(context, row(1)))
        cpSync(files, `${files}.older`, { recursive: true })
        yield* Effect.provide(commitDocument("d.md", paragraphs("bridge"), 1), log)
        yield* Effect.scoped(opened(context, row(1)))
        rmSync(files, { recursive: true })
        renameSync(`${files}.older`, files)

        const projections = yield* makeProjections(watched)
        yield* projections.advance(generation(1))
        assert.deepStrictEqual([atDrop, open], [[0], 1], "what was restored is filled again")

        yield* Effect.provide(
          Effect.all([openGeneration(2, firstSpec, "replay"), promoteGeneration(2), retireGeneration(1)]),
          log
        )
        assert.strictEqual(yield* projections.clear, 1)
        assert.deepStrictEqual([atDrop, open], [[0, 0], 0], "what is retired is not kept open")
      })
  )

  it.scoped("is mended point by point, from the log, whatever was changed by hand", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const context = contextFor(".")
      const file = join(directory, "index", "g001-e1", "default.default.sqlite")
      const damages = [
        [
          "UPDATE points SET payload = '{}' WHERE ordinal = (SELECT min(ordinal) FROM points WHERE until_position > 1000)",
          "different"
        ],
        [
          "UPDATE points SET dense = zeroblob(length(dense)) WHERE ordinal = (SELECT min(ordinal) FROM points WHERE until_position > 1000)",
          "different"
        ],
        [
          "UPDATE points SET sparse = zeroblob(length(sparse)) WHERE ordinal = (SELECT min(ordinal) FROM points WHERE until_position > 1000)",
          "different"
        ],
        ["UPDATE points SET until_position = 5 WHERE until_position > 1000", "missing"],
        [
          "DELETE FROM points WHERE ordinal = (SELECT min(ordinal) FROM points WHERE until_position > 1000)",
          "missing"
        ]
      ] as const
      yield* Effect.scoped(opened(context, row(1)))
      for (const [sql, what] of damages) {
        const db = new Database(file)
        db.exec(sql)
        db.close()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const projection = yield* openProjection(context, row(1))
            const found = yield* verify(projection, { level: "full", repair: false })
            assert.isFalse(isClean(found), sql)
            assert.isAbove(found[what], 0, `${sql}: ${JSON.stringify(found)}`)
            const mended = yield* verify(projection, { level: "full", repair: true })
            assert.isAbove(mended.repaired, 0, sql)
            const clean = yield* verify(projection, { level: "full", repair: false })
            assert.isTrue(isClean(clean), `${sql}: ${JSON.stringify(clean)}`)
          })
        )
      }
    })
  )

  for (const isSwept of [false, true])
    it.scoped(
      `that is sound${isSwept ? ", and swept," : ""} is read back once; a change of anything sends verification to find out what`,
      () =>
        Effect.gen(function* () {
          const { contextFor, directory, log, row } = yield* makeDirectory
          yield* Effect.provide(history, log)
          const context = contextFor(".")
          const file = join(directory, "index", "g001-e1", "default.default.sqlite")
          const sound = join(directory, "sound.sqlite")
          yield* Effect.scoped(
            Effect.gen(function* () {
              const projection = yield* opened(context, row(1))
              if (!isSwept) return
              assert.isAbove((yield* sweep(row(1), projection, { graceMs: 0, dryRun: false })).points, 0)
            })
          )
          copyFileSync(file, sound)
          /** Verification of what stands there now; `scanned` where one reading was not enough. */
          const verified = Effect.scoped(
            Effect.gen(function* () {
              const projection = yield* openProjection(context, row(1))
              let scanned = false
              const { engine } = projection
              const watched = {
                ...engine,
                scan: (at: number, scope?: ProjectScope) =>
                  Stream.suspend(() => {
                    scanned = true
                    return engine.scan(at, scope)
                  })
              }
              const report = yield* verify(
                { ...projection, engine: watched },
                { level: "full", repair: false }
              )
              return { isClean: isClean(report), scanned }
            })
          )
          assert.deepStrictEqual(yield* verified, { isClean: true, scanned: false })
          const first = "WHERE ordinal = (SELECT min(ordinal) FROM points WHERE until_position > 1000)"
          // Of a word that living points have: what belongs to ended ones alone is nobody's difference.
          const most =
            "WHERE (segment, first_token) = (SELECT segment, first_token FROM postings ORDER BY length(members) DESC LIMIT 1)"
          for (const sql of [
            `UPDATE points SET payload = '{}' ${first}`,
            `UPDATE points SET document_id = id ${first}`,
            `UPDATE points SET until_position = 5000 ${first}`,
            `UPDATE points SET dense = zeroblob(length(dense)) ${first}`,
            `DELETE FROM points ${first}`,
            `UPDATE postings SET weights = zeroblob(length(weights)) ${most}`,
            `UPDATE postings SET members = CAST(substr(members, 3, 2) || substr(members, 1, 2) || substr(members, 5) AS BLOB) ${most}`,
            // The same postings in another order: a search that goes through them in theirs would refuse them.
            "UPDATE postings SET members = CAST(substr(members, 3, 2) || substr(members, 1, 2) || substr(members, 5) AS BLOB), weights = CAST(substr(weights, 5, 4) || substr(weights, 1, 4) || substr(weights, 9) AS BLOB) WHERE substr(ends, 1, 1) > x'01'",
            `UPDATE postings SET tokens = CAST(substr(tokens, 1, 1) || x'ff' || substr(tokens, 3) AS BLOB) ${most}`,
            `DELETE FROM postings ${most}`,
            `INSERT INTO postings SELECT segment, 1, x'01000000', x'01000000', x'0000', x'0000803f' FROM postings ${most}`,
            "UPDATE codes SET codes = zeroblob(length(codes))",
            "UPDATE codes SET scales = zeroblob(length(scales))",
            "UPDATE codes SET errors = zeroblob(length(errors))",
            "DELETE FROM segments"
          ]) {
            copyFileSync(sound, file)
            const db = new Database(file)
            db.exec(sql)
            db.close()
            assert.deepStrictEqual(yield* verified, { isClean: false, scanned: true }, sql)
          }
        })
    )

  it.scoped("of few chunks among many is read back once, too, in the order in which they came", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const few = { team: TeamName.make("few"), project: ProjectName.make("chunks") }
      const words = Array.from({ length: 30 }, (_, n) => `word${n}`)
      yield* Effect.provide(
        Effect.gen(function* () {
          yield* commitDocument("a.md", paragraphs("harbour", "ferry"), 1, firstSpec, few)
          yield* commitDocument("many.md", paragraphs(...words), 1)
          yield* commitDocument("b.md", paragraphs("crane"), 1, firstSpec, few)
        }),
        log
      )
      const projection = yield* opened(contextFor("."), row(1))
      const engine = { ...projection.engine, scan: () => Stream.dieMessage("One reading is enough.") }
      const report = yield* verify({ ...projection, engine }, { level: "full", repair: false })
      assert.deepStrictEqual([isClean(report), report.chunks], [true, 33])
    })
  )

  it.scoped("whose swept points have left something that searches cannot read is not sound", () =>
    Effect.gen(function* () {
      const { contextFor, directory, log, row } = yield* makeDirectory
      const context = { ...contextFor("."), limits: { points: 10_000, events: 1_000 } }
      const file = join(directory, "index", "g001-e1", "default.default.sqlite")
      const sound = join(directory, "sound.sqlite")
      // More than a block of codes, all of them in front of the one that stays.
      const many = paragraphs(...Array.from({ length: 2_100 }, (_, n) => `gone${n}`))
      yield* Effect.provide(
        Effect.zipRight(
          commitDocument("many.md", many, 1),
          commitDocument("one.md", paragraphs("harbour"), 1)
        ),
        log
      )
      yield* Effect.scoped(opened(context, row(1)))
      yield* Effect.provide(removeDocument("many.md"), log)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const projection = yield* opened(context, row(1))
          assert.isAbove((yield* sweep(row(1), projection, { graceMs: 0, dryRun: false })).points, 2_048)
        })
      )
      copyFileSync(file, sound)
      const report = Effect.scoped(
        Effect.flatMap(openProjection(context, row(1)), (projection) =>
          Effect.exit(verify(projection, { level: "full", repair: false }))
        )
      )
      const isSound = Effect.map(report, (exit) => Exit.isSuccess(exit) && isClean(exit.value))
      assert.isTrue(yield* isSound)
      const damages: Readonly<Record<string, (db: Database.Database) => Database.RunResult>> = {
        "a block of codes is gone": (db) => db.prepare("DELETE FROM codes WHERE block = 0").run(),
        "a block of codes is cut": (db) =>
          db.prepare("UPDATE codes SET scales = substr(scales, 5) WHERE block = 0").run(),
        "a first token's only member becomes the next one's": (db) => {
          const rows = db.prepare<[], { first: number; ends: Buffer; members: Buffer }>(
            "SELECT first_token AS first, ends, members FROM postings WHERE length(ends) > 8"
          )
          const found = rows
            .all()
            .find(
              ({ ends, members }) =>
                ends.readUInt32LE(0) === 1 && members.readUInt16LE(0) < members.readUInt16LE(2)
            )
          const ends = Buffer.concat([Buffer.alloc(4), found?.ends.subarray(4) ?? Buffer.alloc(0)])
          return db.prepare("UPDATE postings SET ends = ? WHERE first_token = ?").run(ends, found?.first)
        }
      }
      for (const [what, damage] of Object.entries(damages)) {
        copyFileSync(sound, file)
        const db = new Database(file)
        assert.isAbove(damage(db).changes, 0, what)
        db.close()
        assert.isFalse(yield* isSound, what)
      }
    })
  )

  it.scopedLive("is sound to a reader, also where its writer goes on meanwhile", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const context = contextFor(".")
      yield* Effect.provide(history, log)
      const projection = yield* opened(context, row(1))
      const reader = yield* openForReading(context, row(1))
      yield* Effect.provide(removeDocument("a.md"), log)
      let went = 0
      const goesOn = Effect.suspend(() => (went++ === 0 ? Effect.asVoid(catchUp(projection)) : Effect.void))
      const { readBack: _, ...engine } = reader.engine
      const beside = {
        ...reader,
        engine: {
          ...engine,
          // The ledger's rows are at hand by now.
          scan: (at: number, scope?: ProjectScope) =>
            Stream.unwrap(Effect.as(Effect.orDie(goesOn), engine.scan(at, scope)))
        }
      }
      const report = yield* verify(beside, { level: "full", repair: false })
      assert.isTrue(isClean(report), JSON.stringify(report))
      assert.isAbove(went, 0)
    })
  )

  it.scoped("is what the log folds to, also where its writer goes on meanwhile", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      const context = contextFor(".")
      yield* Effect.provide(history, log)
      const projection = yield* opened(context, row(1))
      const reader = yield* openForReading(context, row(1))
      yield* Effect.provide(removeDocument("a.md"), log)
      let asked = 0
      const recomputed = yield* recompute(
        {
          ...context,
          snapshot: {
            ...context.snapshot,
            events: (...range) => {
              // Once the checkpoint was read up to which is folded.
              if (asked++ === 0) Effect.runSync(catchUp(projection))
              return context.snapshot.events(...range)
            }
          }
        },
        reader
      )
      assert.deepStrictEqual([recomputed.equal, asked > 1], [true, true], JSON.stringify(recomputed))
      assert.strictEqual(recomputed.position, projection.state.checkpoint)
    })
  )

  it.scoped("and the log engine give the same candidates with the same scores", () =>
    Effect.gen(function* () {
      const { contextFor, log, row, snapshot } = yield* makeDirectory
      yield* Effect.provide(history, log)
      const projection = yield* opened(contextFor("."), row(1))
      const logIndex = new LogIndex(snapshot, () => testAnalyzer, { keptChunks: 100 })
      for (const words of ["harbour lighthouse", "engine valve needs", "crane", "described"]) {
        const query = {
          scope: defaultScope,
          at: projection.state.checkpoint,
          dense: testVector(firstSpec.model, words),
          sparse: documentTerms(testAnalyzer.spelt(words)).sparse,
          filter: noFilter,
          limit: 3
        }
        const chosen = (candidates: ReadonlyArray<{ chunkId: string; dense?: number; sparse?: number }>) =>
          candidates
            .map(({ chunkId, dense, sparse }) => ({ chunkId, dense, sparse }))
            .sort((one, two) => (one.chunkId < two.chunkId ? -1 : 1))
        assert.deepStrictEqual(
          chosen(yield* projection.engine.query(query)),
          chosen(logIndex.query(firstSpec, query))
        )
      }
    })
  )

  it.effect("incremental, replayed and recomputed agree for random histories", () =>
    Effect.promise(() =>
      fc.assert(
        fc.asyncProperty(
          fc.array(
            fc.record({
              name: fc.constantFrom("a.md", "b.md", "c.md"),
              words: fc.array(fc.constantFrom("harbour", "ferry", "tide", "gear"), {
                minLength: 1,
                maxLength: 4
              }),
              remove: fc.boolean(),
              apply: fc.boolean()
            }),
            { maxLength: 12 }
          ),
          (steps) => Effect.runPromise(Effect.scoped(agree(steps)))
        ),
        { numRuns: 12, seed: 7 }
      )
    )
  )
})

const agree = (
  steps: ReadonlyArray<{
    readonly name: string
    readonly words: ReadonlyArray<string>
    readonly remove: boolean
    readonly apply: boolean
  }>
) =>
  Effect.gen(function* () {
    const { contextFor, log, row } = yield* makeDirectory
    const incremental = yield* opened(contextFor("incremental"), row(1))
    const versions = new Map<string, number>()
    const live = new Set<string>()
    for (const { apply, name, remove, words } of steps) {
      if (remove && live.has(name)) {
        live.delete(name)
        yield* Effect.provide(removeDocument(name), log)
      } else {
        const version = (versions.get(name) ?? 0) + 1
        versions.set(name, version)
        live.add(name)
        yield* Effect.provide(commitDocument(name, paragraphs(...words), version), log)
      }
      if (apply) yield* catchUp(incremental)
    }
    yield* catchUp(incremental)
    const replayed = yield* opened(contextFor("replayed"), row(1))
    assert.strictEqual(incremental.state.fingerprint, replayed.state.fingerprint)
    const recomputed = yield* recompute(contextFor("incremental"), incremental)
    assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
    assert.isTrue(isClean(yield* verify(incremental, { level: "full", repair: false })))
    assert.isTrue(isClean(yield* verify(replayed, { level: "full", repair: false })))
  })
