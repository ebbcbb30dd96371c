/**
 * The embedded runtime in a process of its own, to be killed: one argument, a `ChildTask` as JSON. Prints a line of JSON
 * for each act that was done, then `done`. What stands on standard output was promised.
 */
import { readdirSync, writeSync } from "node:fs"
import { join } from "node:path"
import Sqlite from "better-sqlite3"
import { Duration, Effect, Layer, Logger, LogLevel, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { armed, Failpoints, failpointNames } from "../../src/faults/Failpoints.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Writer } from "../../src/runtime/Reprise.ts"
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

const perform = Effect.gen(function* () {
  const writer = yield* Writer
  yield* say({ act: "open" })
  for (const act of task.acts) {
    switch (act.act) {
      case "add":
        yield* say({
          act: "add",
          receipt: yield* writer.add([act.root], {
            scope: defaultScope,
            include: [],
            exclude: [],
            full: false,
            stop: undefined
          })
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
  acceptRollback: task.acceptRollback ?? false,
  failpoints
}).pipe(Layer.provideMerge(Layer.succeed(Failpoints, armed(failpoints))))

await Effect.runPromise(
  perform.pipe(
    Effect.provide(embedded),
    Effect.scoped,
    Effect.provide(Logger.minimumLogLevel(LogLevel.Error))
  )
)
writeSync(1, "done\n")
