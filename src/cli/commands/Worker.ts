/** `worker`: a process that does the work of a server elsewhere. */
import { hostname } from "node:os"
import { Effect, Logger, Schema } from "effect"
import { Lane } from "../../../events/Job.ts"
import { command, flag, integerFlag, noArguments, textFlag } from "../Definition.ts"
import { Io } from "../Io.ts"
import { logLevelOf } from "../Logging.ts"
import { print } from "../Output.ts"
import { configuration } from "../Session.ts"
import { untilStopped } from "../UntilStopped.ts"
import { areLanes, lanesOf } from "./Serve.ts"

/** The line that says that work is taken from now on. */
const Ready = Schema.Struct({
  ready: Schema.Literal(true),
  worker: Schema.String,
  lanes: Schema.Array(Lane),
  pid: Schema.Int
})

const lanesWords = `some of ${Lane.literals.join(",")}`

export const worker = command({
  name: "worker",
  summary: "Prepare and embed for a server elsewhere, over NATS (nats.url), until it is told to stop",
  details:
    "It needs no data directory and sees no path. Its chunker and model settings must be the server's: one that\ndiffers gets no work, and reprise status says so. Told to stop, it\nfinishes what it has in hand, for 25 s at most, and gives back the rest: SIGTERM ends it with 0, Ctrl-C with 130.",
  flags: {
    lanes: textFlag("lanes", "<lanes>", `What it works on: ${lanesWords} (default: all)`, {
      words: lanesWords,
      holds: (text) => text !== "none" && areLanes(text)
    }),
    name: textFlag("name", "<name>", "Names it in jobs and status; unique (default: host and process)", {
      words: "letters, digits, ., - and _, at most 63",
      holds: (text) => /^[A-Za-z0-9._-]{1,63}$/.test(text)
    }),
    jobs: integerFlag("jobs", "Documents prepared at a time (setting: files.jobs)", 1, 64),
    wait: flag("wait", "Wait for a NATS server that is not there yet, instead of exiting with 3")
  },
  arguments: noArguments,
  stops: true,
  run: ({ jobs, lanes: named, name: given, wait }, _, common) =>
    Effect.gen(function* () {
      const io = yield* Io
      const { settings } = yield* configuration(common, { "files.jobs": jobs })
      const Working = yield* Effect.promise(() => import("../../runtime/Working.ts"))
      const name = given ?? `${hostname()}-${process.pid}`
      const lanes = named === undefined ? Lane.literals : lanesOf(named)
      return yield* untilStopped((ready) =>
        Effect.gen(function* () {
          const line = { ready: true as const, worker: name, lanes, pid: process.pid }
          yield* ready
          yield* print(common.json, Ready, line, () => `Working as ${name} on ${lanes.join(" and ")}.\n`)
          yield* Working.untilStopped(io.stop)
        }).pipe(
          Effect.provide(Working.layer({ settings, lanes, name, version: io.version, wait })),
          Logger.withMinimumLogLevel(logLevelOf(settings.log.level))
        )
      )
    })
})
