/**
 * The embedded runtime on an errand, in a process that is recorded: one argument, an `Errand` as JSON. Prints a line for
 * each step that was answered, then `done`. What stands on standard output was promised.
 */
import { writeSync } from "node:fs"
import { join } from "node:path"
import { Duration, Effect, Logger, LogLevel, Schema } from "effect"
import { defaultScope } from "../../events/Ids.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Push, pushedDocumentId } from "../../src/runtime/Push.ts"
import { Writer } from "../../src/runtime/Reprise.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import type { Errand, Step } from "./powercut/Errand.ts"

const errand: Errand = JSON.parse(process.argv[2] ?? "{}")
const options = { scope: defaultScope, source: "notes" } as const

const perform = (step: Step) =>
  Effect.gen(function* () {
    const writer = yield* Writer
    const { push, withdraw } = yield* Push
    switch (step.step) {
      case "push":
        return yield* push({ id: step.id, text: step.text }, options)
      case "withdraw":
        return yield* withdraw(step.id, options)
      case "settle":
        return yield* writer.settled
      case "replay":
        return yield* writer.replay(() => Effect.void)
      case "build":
        return yield* writer.build({ excluded: [], onProgress: () => Effect.void })
      case "collect":
        return yield* writer.collect({ dryRun: false })
      case "erase":
        return yield* writer.erase({
          scope: defaultScope,
          names: [pushedDocumentId(defaultScope, options.source, step.id)],
          dryRun: false
        })
      case "reopen":
        return
    }
  })

const settings = {
  ...Schema.decodeSync(Settings)(errand.settings),
  storage: { keepFor: Duration.zero, keepVersions: 0, grace: Duration.zero, gcInterval: "off" as const }
}
const embedded = Embedded.layer({
  configuration: {
    settings,
    directory: { path: errand.data, origin: "flag", files: filesIn(errand.data, join) }
  },
  command: "test"
})

/** From one opening to the next. */
const sessions = errand.steps.reduce<Array<Array<readonly [number, Step]>>>(
  (all, step, at) => {
    if (step.step === "reopen") all.push([])
    all.at(-1)?.push([at, step])
    return all
  },
  [[]]
)
const run = async (): Promise<void> => {
  for (const session of sessions) {
    await Effect.runPromise(
      Effect.forEach(
        session,
        ([answered, step]) =>
          Effect.tap(perform(step), () =>
            Effect.sync(() => writeSync(1, `${JSON.stringify({ answered })}\n`))
          ),
        { discard: true }
      ).pipe(Effect.provide(embedded), Effect.scoped, Effect.provide(Logger.minimumLogLevel(LogLevel.Error)))
    )
  }
  writeSync(1, "done\n")
}
void run()
