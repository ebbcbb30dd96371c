import { assert, describe, it } from "@effect/vitest"
import { Effect, TestClock } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import type { Projection } from "../../src/index/Projection.ts"
import { sweep } from "../../src/index/Sweep.ts"
import { commitDocument, removeDocument } from "../support/corpus.ts"
import { catchUp, isWhole, makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

/** Of the words that are looked at, those that the state knows: whether a chunk holds them. */
const known = ({ state }: Projection): Readonly<Record<string, boolean>> => {
  const scope = state.scope(defaultScope.team, defaultScope.project)
  if (scope === undefined) return {}
  const words = state.words(scope.id)
  const looked = ["crane", "ferry", "harbour", "tide"]
  const found = [...words.between(1, 20)].filter(({ word }) => looked.includes(word))
  return Object.fromEntries(found.map(({ word }) => [word, words.frequency(word) > 0]))
}

/** A projection of a log with words that live, that ended, and that did both. */
const world = Effect.gen(function* () {
  const { contextFor, log, row } = yield* makeDirectory
  const commit = (name: string, version: number, ...words: ReadonlyArray<string>) =>
    Effect.provide(commitDocument(name, paragraphs(...words), version), log)
  yield* commit("a.md", 1, "harbour", "ferry")
  yield* commit("b.md", 1, "ferry", "tide")
  const remove = (name: string) => Effect.provide(removeDocument(name), log)
  const context = contextFor(".")
  const projection = yield* opened(context, row(1))
  const before = projection.state.checkpoint
  yield* remove("a.md")
  yield* catchUp(projection)
  return { before, commit, context, projection, remove, row: row(1) }
})

describe("a sweep of a generation's state", () => {
  it.scoped(
    "forgets the words that no chunk has any more, and counts them from nothing when they come again",
    () =>
      Effect.gen(function* () {
        const { commit, context, projection } = yield* world
        assert.deepStrictEqual(known(projection), { ferry: true, harbour: false, tide: true })
        projection.state.sweep(projection.state.checkpoint)
        yield* projection.engine.sweep(projection.state.horizon)
        assert.deepStrictEqual(known(projection), { ferry: true, tide: true })
        yield* commit("c.md", 1, "crane", "harbour", "ferry")
        yield* catchUp(projection)
        assert.deepStrictEqual(known(projection), { crane: true, ferry: true, harbour: true, tide: true })
        yield* isWhole(context, projection)
      })
  )

  it.scoped("keeps the words of what ended where it may still be asked for", () =>
    Effect.gen(function* () {
      const { before, projection } = yield* world
      const { forgotten } = projection.state
      projection.state.sweep(before)
      assert.deepStrictEqual(known(projection), { ferry: true, harbour: false, tide: true })
      // Nobody who keeps words has to read them anew.
      assert.strictEqual(projection.state.forgotten, forgotten)
    })
  )

  it.scoped("lets those who keep words keep them where it forgets none", () =>
    Effect.gen(function* () {
      const { commit, projection, remove } = yield* world
      yield* commit("c.md", 1, "ferry", "tide")
      projection.state.sweep(projection.state.checkpoint)
      const { forgotten } = projection.state
      yield* catchUp(projection)
      yield* remove("b.md")
      yield* catchUp(projection)
      assert.isAbove(projection.state.endedUpTo(projection.state.checkpoint), 0)
      projection.state.sweep(projection.state.checkpoint)
      assert.strictEqual(projection.state.forgotten, forgotten)
      assert.deepStrictEqual(known(projection), { ferry: true, tide: true })
    })
  )

  it.scoped("keeps the words of what ended later than it reaches", () =>
    Effect.gen(function* () {
      const { context, projection, remove } = yield* world
      const { checkpoint } = projection.state
      yield* remove("b.md")
      yield* catchUp(projection)
      projection.state.sweep(checkpoint)
      yield* projection.engine.sweep(checkpoint)
      assert.deepStrictEqual(known(projection), { ferry: false, tide: false })
      yield* isWhole(context, projection)
    })
  )

  it.scoped("forgets all words of a project of which nothing is left", () =>
    Effect.gen(function* () {
      const { log, contextFor, row } = yield* makeDirectory
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
      const context = contextFor(".")
      const projection = yield* opened(context, row(1))
      yield* Effect.provide(removeDocument("a.md"), log)
      yield* catchUp(projection)
      projection.state.sweep(projection.state.checkpoint)
      yield* projection.engine.sweep(projection.state.horizon)
      assert.deepStrictEqual(known(projection), {})
      yield* Effect.provide(commitDocument("b.md", paragraphs("ferry", "harbour"), 1), log)
      yield* catchUp(projection)
      assert.deepStrictEqual(known(projection), { ferry: true, harbour: true })
      yield* isWhole(context, projection)
    })
  )
})

describe("a sweep that waits for no grace", () => {
  const options = { graceMs: Number.POSITIVE_INFINITY, dryRun: true }

  it.scoped("takes what had ended where the generation was verified, and nothing that ended later", () =>
    Effect.gen(function* () {
      const { before, projection, row } = yield* world
      const at = (verifiedPosition: number) => sweep({ ...row, verifiedPosition }, projection, options)
      assert.deepStrictEqual(yield* at(before), { horizon: before, points: 0 })
      const { checkpoint } = projection.state
      assert.deepStrictEqual(yield* at(checkpoint), { horizon: checkpoint, points: 2 })
    })
  )

  it.scoped("takes what has ended of a generation that is being built", () =>
    Effect.gen(function* () {
      const { projection, row } = yield* world
      const building = { ...row, state: "building", verifiedPosition: undefined } as const
      const { checkpoint } = projection.state
      assert.deepStrictEqual(yield* sweep(building, projection, options), { horizon: checkpoint, points: 2 })
    })
  )

  it.scoped("takes nothing that a write may bring back which a dead process sent over the network", () =>
    Effect.gen(function* () {
      const { projection, row } = yield* world
      const verifiedPosition = projection.state.checkpoint
      const remote = { ...row, verifiedPosition, spec: { ...row.spec, engine: "qdrant" as const } }
      assert.strictEqual((yield* sweep(remote, projection, options)).points, 0)
      yield* TestClock.adjust("11 minutes")
      assert.strictEqual((yield* sweep(remote, projection, options)).points, 2)
    })
  )

  it.scoped("asks an engine elsewhere nothing while nothing may go", () =>
    Effect.gen(function* () {
      const { projection, row } = yield* world
      const spec = { ...row.spec, engine: "qdrant" as const }
      const building = { ...row, spec, state: "building", verifiedPosition: undefined } as const
      const { engine } = projection
      let asked = 0
      const noted = <A, E, R>(ask: Effect.Effect<A, E, R>) =>
        Effect.suspend(() => {
          asked += 1
          return ask
        })
      const watched = {
        ...projection,
        engine: {
          ...engine,
          marker: noted(engine.marker),
          mark: (marker: Parameters<typeof engine.mark>[0]) => noted(engine.mark(marker)),
          sweep: (horizon: number) => noted(engine.sweep(horizon))
        }
      }
      const swept = sweep(building, watched, { ...options, dryRun: false })
      assert.deepStrictEqual([yield* swept, asked], [{ horizon: 0, points: 0 }, 0])
      yield* TestClock.adjust("11 minutes")
      assert.strictEqual((yield* swept).points, 2)
      assert.isAbove(asked, 0)
    })
  )
})
