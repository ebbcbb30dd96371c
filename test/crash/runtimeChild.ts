/**
 * The process that has the log, to be killed: one argument, a `ChildTask` as JSON. Prints a line of JSON
 * for each act that was done, then `done`. What stands on standard output was promised.
 */
import { readdirSync, writeSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { Duration, Effect, Layer, Logger, LogLevel, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import type { EmbeddingInput, EmbeddingModelService } from "../../src/embedding/EmbeddingModel.ts"
import { InputRefused } from "../../src/embedding/EmbeddingModel.ts"
import * as HashingModel from "../../src/embedding/HashingModel.ts"
import { armed, Failpoints, failpointNames } from "../../src/faults/Failpoints.ts"
import { analyzerFor } from "../../src/runtime/Analyzers.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Reader, Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import type { ChildTask } from "../support/runtimeTask.ts"

const task: ChildTask = JSON.parse(process.argv[2] ?? "{}")
const decoded = Schema.decodeSync(Settings)(task.settings)
const keepsNothing = {
  keepFor: Duration.zero,
  keepVersions: 0,
  grace: Duration.zero,
  gcInterval: "off" as const
}
const settings = task.acts.some(({ act }) => act === "collect")
  ? { ...decoded, storage: keepsNothing }
  : decoded
const failpoints = [
  task.failpoints,
  ...(task.note ? failpointNames.map((name) => `${name}:*:note`) : [])
].join(",")

const say = (line: unknown) => Effect.sync(() => writeSync(1, `${JSON.stringify(line)}\n`))

/** So many small segments side by side are merged once there is time for it. */
const crowded = 8

/** Of the one project, in whatever generation there is. */
const segmentsIn = (data: string): number => {
  const index = join(data, "index")
  const file = new Sqlite(join(index, readdirSync(index)[0] ?? "", "default.default.sqlite"), {
    readonly: true
  })
  try {
    return file.prepare<[], number>("SELECT count(*) FROM segments").pluck().get() ?? 0
  } finally {
    file.close()
  }
}

const whole = { scope: defaultScope, include: [], exclude: [], full: false, stop: undefined }

/** The configured model, from a provider that takes no poison. */
const refusing = (): EmbeddingModelService => {
  const model = HashingModel.make({
    analyzer: analyzerFor("english"),
    dimensions: settings.embedding.dimensions ?? 64
  })
  return {
    ...model,
    embed: (inputs) =>
      Effect.map(model.embed(inputs), (embedded) => {
        const isPoison = ({ text }: EmbeddingInput) => text.includes("poison")
        return {
          ...embedded,
          vectors: embedded.vectors.map((vector, at) =>
            inputs.slice(at, at + 1).some(isPoison) ? undefined : vector
          ),
          refused: inputs
            .filter(isPoison)
            .map(({ id }) => new InputRefused({ provider: "test", inputs: [id], detail: "It is poison." }))
        }
      })
  }
}

const perform = Effect.gen(function* () {
  const writer = yield* Writer
  yield* say({ act: "open" })
  for (const act of task.acts) {
    switch (act.act) {
      case "add":
        yield* say({
          act: "add",
          receipt: yield* writer.add([act.root], whole)
        })
        break
      case "sync":
        yield* say({
          act: "sync",
          receipt: yield* writer.sync([], {
            scope: defaultScope,
            full: false,
            stop: undefined,
            approveRemovals: act.approveRemovals
          })
        })
        break
      case "replay":
        yield* say({ act: "replay", replayed: yield* writer.replay(() => Effect.void) })
        break
      case "build":
        yield* say({
          act: "build",
          replayed: yield* writer.build({ excluded: [], onProgress: () => Effect.void })
        })
        break
      case "collect":
        yield* say({ act: "collect", collected: yield* writer.collect({ dryRun: false }) })
        break
      case "erase":
        yield* say({
          act: "erase",
          certificate: yield* writer.erase({ scope: defaultScope, names: act.names, dryRun: false })
        })
        break
      case "park": {
        const { jobs } = yield* Reader
        const parked = Effect.map(jobs({ state: "parked", limit: 100 }), ({ rows }) => rows)
        yield* writer.add([act.root], whole)
        const found = yield* parked
        for (const { jobId, scope } of found) yield* writer.cancel(scope, jobId)
        yield* writer.settled
        yield* say({ act: "park", cancelled: found.length, parked: (yield* parked).length })
        break
      }
      case "rest":
        yield* Effect.sleep("50 millis").pipe(
          Effect.repeat({ until: () => segmentsIn(task.data) < crowded }),
          Effect.timeout("30 seconds")
        )
        yield* say({ act: "rest" })
        break
      case "repair": {
        const { clean, report } = yield* writer.repair({ level: "full", recompute: true })
        yield* say({ act: "repair", clean, report })
        break
      }
    }
  }
})

const embedded = Embedded.layer({
  configuration: {
    settings,
    directory: { path: task.data, origin: "flag", files: filesIn(task.data, join) }
  },
  command: "test",
  ...(task.acts.some(({ act }) => act === "park") ? { model: refusing() } : {}),
  acceptRollback: task.acceptRollback ?? false,
  ...(task.lanes && { lanes: task.lanes }),
  failpoints
}).pipe(Layer.provideMerge(Layer.succeed(Failpoints, armed(failpoints))))

void Effect.runPromise(
  perform.pipe(
    Effect.provide(embedded),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error)),
    Effect.zipRight(Effect.sync(() => writeSync(1, "done\n")))
  )
)
