/** An erasure beside a generation that is being built: the build goes on meanwhile, and keeps nothing of what was erased. */
import { readdirSync, readFileSync, statSync } from "node:fs"
import { join } from "node:path"
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer, Schema } from "effect"
import { Coordinator } from "../../actors/Coordinator.ts"
import { Indexer } from "../../actors/Indexer.ts"
import { defaultScope } from "../../events/Ids.ts"
import { GenerationState } from "../../src/index/GenerationState.ts"
import { make, Projections } from "../../src/index/Projections.ts"
import { isClean } from "../../src/index/VerifyReport.ts"
import { Content } from "../../src/log/Content.ts"
import { Log } from "../../src/log/Log.ts"
import * as ReadConnections from "../../src/log/ReadConnections.ts"
import * as SqliteReadModels from "../../src/log/SqliteReadModels.ts"
import { erasing } from "../../src/runtime/Erasing.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import {
  commitDocument,
  firstSpec,
  generation,
  named,
  openGeneration,
  removeDocument
} from "../support/corpus.ts"
import { makeDirectory, paragraphs } from "../support/projectionDirectory.ts"

it.scopedLive("what is built while something is erased holds nothing of it", () =>
  Effect.gen(function* () {
    const { contextFor, directory, log } = yield* makeDirectory
    const projections = yield* make({ ...contextFor("."), deleteState: GenerationState.delete })
    const applied = (number: number) =>
      Effect.repeat(projections.advance(generation(number)), {
        until: ({ atHead, events }) => atHead && events === 0
      }).pipe(Effect.orDie)
    const holding = (needle: string) =>
      ["index", "state"]
        .flatMap((folder) =>
          readdirSync(join(directory, folder), { recursive: true, encoding: "utf8" }).map((name) =>
            join(folder, name)
          )
        )
        .filter((name) => statSync(join(directory, name)).isFile())
        .filter((name) => readFileSync(join(directory, name)).includes(needle))

    yield* Effect.provide(
      Effect.gen(function* () {
        yield* commitDocument("a.md", paragraphs("harbour"), 1)
        // More than a batch has, so that what comes and goes leaves something.
        for (let n = 0; n < 6; n++) yield* commitDocument(`b${n}.md`, paragraphs("ferry"), 1)
        yield* openGeneration(2, firstSpec, "replay")
      }),
      log
    )
    yield* applied(1)
    yield* applied(2)
    assert.isTrue(["g001", "g002"].every((name) => holding("harbour").join(" ").includes(name)))

    const { collect, ...others } = Context.get(log, Log)
    const services = yield* Layer.build(
      Layer.mergeAll(
        Layer.mock(Coordinator, {
          ask: () =>
            Effect.as(Effect.provide(removeDocument("a.md"), log), {
              outcome: "removed" as const,
              position: 0,
              sequence: 0
            }).pipe(Effect.orDie)
        }),
        Layer.mock(Indexer, { untilVisible: () => Effect.asVoid(applied(1)) }),
        Layer.mock(Content, {}),
        Layer.succeed(Projections, projections),
        // Whoever builds goes on meanwhile.
        Layer.succeed(Log, { ...others, collect: (rules) => Effect.zipRight(applied(2), collect(rules)) }),
        Layer.provide(SqliteReadModels.layer, ReadConnections.layer(directory))
      )
    )
    const erase = yield* Effect.provide(erasing(Schema.decodeSync(Settings)({})), services)
    const { documents } = yield* erase({ scope: defaultScope, names: [named("a.md")], dryRun: false })
    assert.deepStrictEqual(documents, [named("a.md")])
    yield* applied(2)
    assert.deepStrictEqual(holding("harbour"), [])
    for (const number of [1, 2]) {
      const report = yield* projections.verify(generation(number), { level: "full", repair: false })
      assert.deepStrictEqual([isClean(report), report.chunks], [true, 6], `generation ${number}`)
    }
  })
)
