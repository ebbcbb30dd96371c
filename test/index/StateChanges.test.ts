import { cpSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import Database from "better-sqlite3"
import { Effect, Exit, identity } from "effect"
import { ProjectName, TeamName } from "../../events/Ids.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import { GenerationState } from "../../src/index/GenerationState.ts"
import { type EngineGeneration, EngineMismatch } from "../../src/index/Index.ts"
import {
  openProjection,
  openStateForReading,
  type Projection,
  type ProjectionContext,
  refOf
} from "../../src/index/Projection.ts"
import { make } from "../../src/index/Projections.ts"
import { recompute } from "../../src/index/Recompute.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import { commitDocument, firstSpec, openGeneration, removeDocument } from "../support/corpus.ts"
import { catchUp, isWhole, makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

const other = { team: TeamName.make("other"), project: ProjectName.make("crm") }

/** Words that come in one batch and are met again, or go, in another; a project that comes late. */
const history = Effect.gen(function* () {
  yield* commitDocument("a.md", paragraphs("harbour", "ferry", "tide"), 1)
  yield* commitDocument("b.md", paragraphs("engine", "gear", "ferry"), 1)
  yield* commitDocument("c.md", paragraphs("harbour", "crane"), 1)
  yield* commitDocument("a.md", paragraphs("harbour", "lighthouse", "crane"), 2)
  yield* removeDocument("b.md")
  yield* commitDocument("d.md", paragraphs("engine", "ferry"), 1, firstSpec, other)
  yield* commitDocument("b.md", paragraphs("engine", "valve", "gear"), 2)
  yield* commitDocument("e.md", paragraphs("valve", "tide"), 1, firstSpec, other)
})

/** The log of {@link history}, and a second generation that is built of it. */
const building = Effect.gen(function* () {
  const directory = yield* makeDirectory
  yield* Effect.provide(Effect.zipRight(history, openGeneration(2, firstSpec, "replay")), directory.log)
  return directory
})

/** However few events there are, they are many. */
const fromAfar = (context: ProjectionContext): ProjectionContext => ({
  ...context,
  readAhead: () =>
    Effect.succeed({
      worthFrom: 0,
      take: () => Effect.succeed(undefined),
      begin: () => Effect.void,
      release: Effect.void
    })
})

/** What it opens for writing is changed. */
const withEngine = (
  context: ProjectionContext,
  change: (engine: EngineGeneration) => EngineGeneration
): ProjectionContext => ({
  ...context,
  engine: { ...context.engine, open: (ref) => Effect.map(context.engine.open(ref), change) }
})

/** With an engine that keeps each write at once, whoever reads. */
const atOnce = (context: ProjectionContext): ProjectionContext =>
  withEngine(context, ({ unseen: _, ...engine }) => engine)
const engines = {
  "that keeps each write at once": atOnce,
  "that keeps them at a mark": identity<ProjectionContext>
}

/** Points of a directory's second generation, whatever vouches for them. */
const insertedInto = (directory: string) =>
  Effect.sync(() => {
    const folder = join(directory, "index", "g002-e1")
    let points = 0
    for (const name of readdirSync(folder)) {
      if (!/\..*\.sqlite$/.test(name)) continue
      const db = new Database(join(folder, name), { readonly: true })
      points += Number(db.prepare("SELECT count(*) FROM points").pluck().get())
      db.close()
    }
    return points
  })

/** As a fold that commits batch by batch, with all that {@link history} leaves. */
const isWholeHistory = (context: ProjectionContext, projection: Projection) =>
  Effect.zipRight(
    isWhole(context, projection),
    Effect.sync(() => assert.deepStrictEqual(projection.state.counts, { documents: 5, chunks: 12 }))
  )

describe("the state of a generation that is folded from afar", () => {
  it.scoped("is committed once for several batches while nobody is served from it, and at its end", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const projection = yield* openProjection(context, row(2))
      const seen = yield* openStateForReading(context, row(2))
      yield* projection.advance
      yield* projection.advance
      assert.isAbove(projection.state.checkpoint, 0)
      assert.strictEqual(seen.checkpoint, 0)
      // Nor is the engine's marker written, and synced, before that.
      assert.strictEqual((yield* projection.engine.marker)?.checkpoint, 0)
      yield* catchUp(projection)
      assert.strictEqual(seen.checkpoint, projection.state.checkpoint)
      assert.strictEqual((yield* projection.engine.marker)?.checkpoint, projection.state.checkpoint)
      assert.strictEqual(seen.fingerprint, projection.state.fingerprint)
      yield* isWholeHistory(context, projection)
    })
  )

  it.scoped("is unseen for the engine only while nobody is served, and no longer when it is to be read", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const plain = fromAfar(contextFor("."))
      const said: Array<boolean> = []
      const context = withEngine(plain, (engine) => ({
        ...engine,
        unseen: (isUnseen) =>
          Effect.zipRight(
            Effect.sync(() => said.push(isUnseen)),
            engine.unseen?.(isUnseen) ?? Effect.void
          )
      }))
      const live = yield* openProjection(context, row(1))
      yield* catchUp(live)
      yield* live.settle
      assert.notInclude(said, true)
      said.length = 0
      const projection = yield* openProjection(context, row(2))
      yield* projection.advance
      assert.deepStrictEqual(said, [true])
      yield* projection.settle
      assert.strictEqual(said.at(-1), false)
      yield* catchUp(projection)
      assert.strictEqual(said.at(-1), true)
      yield* projection.settle
      assert.strictEqual(said.at(-1), false)
      yield* isWholeHistory(context, projection)
    })
  )

  it.scoped("is committed batch by batch where it is served from", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const projection = yield* openProjection(context, row(1))
      const seen = yield* openStateForReading(context, row(1))
      for (const batch of [1, 2]) {
        yield* projection.advance
        assert.strictEqual(seen.checkpoint, projection.state.checkpoint, `batch ${batch}`)
      }
      yield* catchUp(projection)
      yield* isWholeHistory(context, projection)
    })
  )

  it.scoped("is compared with a fold anew as it stands, though it is not at its end", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const projection = yield* openProjection(context, row(2))
      yield* projection.advance
      yield* projection.advance
      yield* projection.settle
      const recomputed = yield* recompute(context, projection)
      assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
      yield* catchUp(projection)
      yield* isWholeHistory(context, projection)
    })
  )

  for (const [what, engine] of Object.entries(engines))
    it.scoped(`is folded again after a crash took back what was held, on an engine ${what}`, () =>
      Effect.gen(function* () {
        const { contextFor, directory, row } = yield* building
        const projection = yield* openProjection(engine(fromAfar(contextFor("crashed"))), row(2))
        yield* projection.advance
        yield* projection.advance
        const points = yield* insertedInto(join(directory, "crashed"))
        // What a crash leaves: the files as they lie on the disk, without what was to be committed.
        cpSync(join(directory, "crashed"), join(directory, "left"), { recursive: true })
        const context = engine(fromAfar(contextFor("left")))
        const again = yield* openProjection(context, row(2))
        assert.strictEqual(again.state.checkpoint, 0)
        assert.strictEqual(points > 0, engine === atOnce)
        assert.strictEqual(yield* insertedInto(join(directory, "left")), 0)
        yield* catchUp(again)
        yield* isWholeHistory(context, again)
      })
    )

  it.scoped("keeps what was applied when it is closed between two batches", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const reached = yield* Effect.scoped(
        Effect.gen(function* () {
          const projection = yield* openProjection(context, row(2))
          yield* projection.advance
          yield* projection.advance
          return projection.state.checkpoint
        })
      )
      // The engine is not behind its state, or it would be filled anew.
      const ref = refOf(row(2), context.snapshot.head())
      const left = yield* Effect.scoped(
        Effect.flatMap(context.engine.openReadOnly(ref), ({ marker }) => marker)
      )
      assert.strictEqual(left?.checkpoint, reached)
      const again = yield* openProjection(context, row(2))
      assert.strictEqual(again.state.checkpoint, reached)
      yield* catchUp(again)
      yield* isWholeHistory(context, again)
    })
  )

  it.scoped("takes back what is held when it is closed after its engine could not be asked", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const ref = refOf(row(2), context.snapshot.head())
      // It is asked once when it is opened, and once for each batch: for the third one it is away.
      let asked = 0
      const failing = withEngine(context, (engine) => ({
        ...engine,
        marker: Effect.suspend(() =>
          ++asked === 4
            ? new EngineMismatch({ engine: "embedded", reason: "absent", detail: "It is away." })
            : engine.marker
        )
      }))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const projection = yield* openProjection(failing, row(2))
          yield* projection.advance
          yield* projection.advance
          assert.isTrue(Exit.isFailure(yield* Effect.exit(projection.advance)))
        })
      )
      const left = yield* Effect.scoped(
        Effect.flatMap(context.engine.openReadOnly(ref), ({ marker }) => marker)
      )
      const again = yield* openProjection(context, row(2))
      assert.deepStrictEqual([left?.checkpoint, again.state.checkpoint], [0, 0])
      yield* catchUp(again)
      yield* isWholeHistory(context, again)
    })
  )

  it.scoped("is held also where batches leave no row, and no engine is filled anew for it", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      // Most events alone say nothing of points: that a generation was opened, that a document was submitted.
      const context: ProjectionContext = { ...fromAfar(contextFor(".")), limits: { points: 8, events: 1 } }
      const ref = refOf(row(2), context.snapshot.head())
      const marked = Effect.scoped(Effect.flatMap(context.engine.openReadOnly(ref), ({ marker }) => marker))
      yield* Effect.scoped(
        Effect.gen(function* () {
          const projection = yield* openProjection(context, row(2))
          const { checkpoint, inserted } = yield* projection.advance
          assert.deepStrictEqual([checkpoint, inserted], [1, 0])
          assert.strictEqual((yield* projection.advance).checkpoint, 2)
        })
      )
      assert.strictEqual((yield* marked)?.checkpoint, 2)
      const again = yield* openProjection(context, row(2))
      yield* again.advance
      yield* again.settle
      assert.strictEqual((yield* marked)?.checkpoint, 3)
      yield* catchUp(again)
      yield* isWholeHistory(context, again)
    })
  )

  it.scoped("is committed before it is verified or swept between two batches", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = fromAfar(contextFor("."))
      const projections = yield* make({ ...context, deleteState: GenerationState.delete })
      const { generation } = row(2)
      yield* projections.advance(generation)
      const { checkpoint } = yield* projections.advance(generation)
      const seen = yield* openStateForReading(context, row(2))
      assert.strictEqual(seen.checkpoint, 0)
      const report = yield* projections.verify(generation, { level: "full", repair: false })
      assert.isTrue(isClean(report), JSON.stringify(report))
      assert.deepStrictEqual([report.position, seen.checkpoint], [checkpoint, checkpoint])
    })
  )

  const points = {
    "index.apply.before": 3,
    "index.row": 12,
    "index.marker.after": 2,
    "state.commit.before": 3
  }
  for (const [point, times, engine] of Object.entries(points).flatMap(([point, times]) =>
    Object.values(engines).map((engine) => [point, times, engine] as const)
  ))
    it.scoped(
      `takes back what is held where a later batch comes to nothing (${point}, ${engine.name}), and folds it again`,
      () =>
        Effect.gen(function* () {
          const { contextFor, row } = yield* building
          const failpoints = armed(`${point}:${times}:throw`)
          const context = engine(fromAfar(contextFor(".", failpoints)))
          yield* Effect.gen(function* () {
            const projection = yield* openProjection(context, row(2))
            assert.isTrue(Exit.isFailure(yield* Effect.exit(catchUp(projection))))
            assert.isAbove(projection.state.checkpoint, 0)
            yield* catchUp(projection)
            yield* isWholeHistory(context, projection)
          }).pipe(Effect.provideService(Failpoints, failpoints))
        })
    )
})

describe("the words of a state", () => {
  it.scoped("are the same, whatever was remembered of them from batch to batch", () =>
    Effect.gen(function* () {
      const { contextFor, row } = yield* building
      const context = contextFor(".")
      const words = ({ state }: Projection) =>
        state.db
          .prepare<[], { scope: number; word: string }>(
            "SELECT team, project, scopes.id AS scope, word, stem, token FROM words JOIN scopes ON scopes.id = scope ORDER BY 1, 2, 4"
          )
          .all()
          .map((word) => ({ ...word, frequency: state.words(word.scope).frequency(word.word) }))
          .filter(({ frequency }) => frequency > 0)
      const remembering = yield* opened(context, row(1))
      const forgetting = yield* openProjection(contextFor("forgetting"), row(1))
      while (!(yield* forgetting.advance).atHead) forgetting.state.changes.counted.clear()
      assert.isAbove(words(remembering).length, 10)
      assert.deepStrictEqual(words(forgetting), words(remembering))
      yield* isWholeHistory(contextFor("forgetting"), forgetting)
    })
  )
})
