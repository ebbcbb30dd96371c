/** A data directory with a log, for projections of it: documents are appended, folded, and looked for. */
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { armed } from "../../src/faults/Failpoints.ts"
import { make as makeEmbeddedIndex } from "../../src/index/EmbeddedIndex.ts"
import { openProjection, type Projection, type ProjectionContext } from "../../src/index/Projection.ts"
import { recompute } from "../../src/index/Recompute.ts"
import { verify } from "../../src/index/Verify.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import * as SqliteLog from "../../src/log/SqliteLog.ts"
import { openSnapshot } from "../../src/log/SqliteSnapshot.ts"
import { firstSpec, generation, openGeneration, promoteGeneration, testAnalyzer } from "./corpus.ts"
import { temporaryDirectory } from "./temporaryDirectory.ts"

export const paragraphs = (...words: ReadonlyArray<string>) =>
  words.map((word) => `# ${word}\n\nThe ${word} is described here, and what a ${word} needs.\n`).join("\n")

/** A data directory with its log and an initial generation. `engineFolder` lets one log have several indexes. */
export const makeDirectory = Effect.gen(function* () {
  const directory = yield* temporaryDirectory
  const log = yield* Layer.build(SqliteLog.layerInThread({ directory }))
  yield* Effect.provide(Effect.zipRight(openGeneration(1, firstSpec, "initial"), promoteGeneration(1)), log)
  const snapshot = yield* Effect.acquireRelease(
    Effect.sync(() => openSnapshot(directory)),
    (one) => Effect.sync(() => one.close())
  )
  const contextFor = (folder: string, failpoints = armed("")): ProjectionContext => ({
    engine: makeEmbeddedIndex({ directory: join(directory, folder, "index") }, failpoints),
    snapshot,
    analyzerOf: () => testAnalyzer,
    statePath: ({ generation, epoch }) => join(directory, folder, "state", `${generation}-e${epoch}.sqlite`),
    limits: { points: 8, events: 6 }
  })
  const row = (number: number) => {
    const found = snapshot.generations().find((one) => one.generation === generation(number))
    if (found === undefined) throw new Error(`No generation ${number}.`)
    return found
  }
  return { directory, log, snapshot, contextFor, row }
})

export const catchUp = (projection: Projection) =>
  Effect.repeat(projection.advance, { until: (applied) => applied.atHead && applied.events === 0 })

export const opened = (context: ProjectionContext, row: Parameters<typeof openProjection>[1]) =>
  Effect.tap(openProjection(context, row), catchUp)

/** Documents, frequencies and words are those of a fold from the beginning, and the engine has what they say. */
export const isWhole = (context: ProjectionContext, projection: Projection) =>
  Effect.gen(function* () {
    const recomputed = yield* recompute(context, projection)
    assert.isTrue(recomputed.equal, JSON.stringify(recomputed))
    assert.isTrue(isClean(yield* verify(projection, { level: "full", repair: false })))
  })
