import { rmSync } from "node:fs"
import { join } from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { GenerationState } from "../../src/index/GenerationState.ts"
import type { ProjectionContext } from "../../src/index/Projection.ts"
import { make } from "../../src/index/Projections.ts"
import { liveGeneration } from "../../src/search/LiveGeneration.ts"
import { commitDocument, firstSpec, openGeneration, promoteGeneration } from "../support/corpus.ts"
import { makeDirectory, opened, paragraphs } from "../support/projectionDirectory.ts"

/** Of the running fiber: how many fibers' values its refs remember. */
const remembered = Effect.map(Effect.getFiberRefs, ({ locals }) =>
  Math.max(...Array.from(locals.values(), ({ length }) => length))
)

/** How much fibers remember when they open an engine. */
const watched = (context: ProjectionContext) => {
  const depths: Array<number> = []
  const noted = <A, E, R>(open: Effect.Effect<A, E, R>) =>
    Effect.zipRight(
      Effect.tap(remembered, (depth) => Effect.sync(() => depths.push(depth))),
      open
    )
  const { engine } = context
  return {
    depths,
    context: {
      ...context,
      engine: {
        ...engine,
        open: (ref) => noted(engine.open(ref)),
        openReadOnly: (ref) => noted(engine.openReadOnly(ref))
      }
    } satisfies ProjectionContext
  }
}

/** As a request: by a fiber that has nothing of the former one. */
const anew = <A, E>(effect: Effect.Effect<A, E>) => Effect.promise(() => Effect.runPromise(effect))

describe("a generation that takes the place of another", () => {
  it.scoped("is opened by readers who remember nothing of those before it", () =>
    Effect.gen(function* () {
      const { contextFor, log, row } = yield* makeDirectory
      yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
      const { context, depths } = watched(contextFor("."))
      const live = yield* liveGeneration(context)
      for (let number = 1; number <= 5; number++) {
        if (number > 1)
          yield* Effect.provide(
            Effect.zipRight(openGeneration(number, firstSpec, "replay"), promoteGeneration(number)),
            log
          )
        yield* Effect.scoped(opened(contextFor("."), row(number)))
        yield* anew(Effect.scoped(live.open(row(number))))
      }
      assert.lengthOf(depths, 5)
      assert.strictEqual(new Set(depths).size, 1, depths.join(" "))
    })
  )

  it.scoped(
    "is brought into step, again and again, by fibers that remember nothing of the times before",
    () =>
      Effect.gen(function* () {
        const { contextFor, directory, log, row } = yield* makeDirectory
        yield* Effect.provide(commitDocument("a.md", paragraphs("harbour"), 1), log)
        const { context, depths } = watched(contextFor("."))
        const projections = yield* make({ ...context, deleteState: GenerationState.delete })
        const { generation } = row(1)
        yield* anew(projections.advance(generation))
        for (let times = 0; times < 4; times++) {
          rmSync(join(directory, "index"), { recursive: true })
          yield* anew(projections.advance(generation))
        }
        assert.isAbove(depths.length, 4)
        assert.strictEqual(new Set(depths).size, 1, depths.join(" "))
      })
  )
})
