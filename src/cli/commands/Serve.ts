/** `serve`: the process that holds a data directory for everybody else. */
import { Effect, Layer, Logger, Schema } from "effect"
import { Lane } from "../../../events/Job.ts"
import { isAlive, socketOf } from "../../runtime/control/SocketPlace.ts"
import { nativeModule } from "../../runtime/NativeModule.ts"
import { command, flag, integerFlag, noArguments, textFlag } from "../Definition.ts"
import { UsageError } from "../Exit.ts"
import { Io } from "../Io.ts"
import { logLevelOf } from "../Logging.ts"
import { print } from "../Output.ts"
import { printable } from "../Printable.ts"
import { configuration } from "../Session.ts"
import { untilStopped } from "../UntilStopped.ts"

/** The line that says that commands and requests are taken from now on. */
const Ready = Schema.Struct({
  ready: Schema.Literal(true),
  dataDirectory: Schema.String,
  /** Address of the HTTP interface. */
  http: Schema.String,
  socket: Schema.String,
  pid: Schema.Int
})

const lanesWords = `none, or some of ${Lane.literals.join(",")}`

export const lanesOf = (text: string): ReadonlyArray<Lane> =>
  text === "none" ? [] : Lane.literals.filter((lane) => text.split(",").includes(lane))

export const areLanes = (text: string): boolean =>
  text === "none" || text.split(",").every((name) => Lane.literals.some((lane) => lane === name))

const isServed = (directory: string): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const socket = socketOf(directory)
    return socket === undefined ? Effect.succeed(false) : isAlive(socket)
  })

export const serve = command({
  name: "serve",
  summary: "Hold the data directory, sync its sources, and take commands until it is told to stop",
  details:
    "Commands that write, given on the same machine for the same data directory, go through it.\nSIGTERM ends it in order with 0, Ctrl-C with 130; what is under way is finished or rolled back.",
  flags: {
    lanes: textFlag("lanes", "<lanes>", `What it works on itself: ${lanesWords} (default: all)`, {
      words: lanesWords,
      holds: areLanes
    }),
    port: integerFlag("port", "Port of the HTTP interface, 0 for any (setting: http.port)", 0, 65_535),
    wait: flag("wait", "Wait for a NATS server that is not there yet, instead of exiting with 3")
  },
  arguments: noArguments,
  stops: true,
  run: ({ lanes, port, wait }, _, common) =>
    Effect.gen(function* () {
      const io = yield* Io
      const loaded = yield* configuration(common, { "http.port": port })
      const own = lanes === undefined ? Lane.literals : lanesOf(lanes)
      const left = Lane.literals.filter((lane) => !own.includes(lane))
      if (left.length > 0 && loaded.settings.bus === "memory")
        return yield* new UsageError({
          detail: `--lanes leaves ${left.join(" and ")} to workers, and with the setting bus=memory none can come: it would never be done. Leave --lanes out, or set bus=nats (REPRISE_BUS=nats) and start workers.`
        })
      yield* nativeModule
      const { HttpAddress, isFree, layer: http } = yield* Effect.promise(() => import("../../http/Server.ts"))
      // Where a server of this very directory listens, who has the directory is the better answer: it is opened, and says.
      if (!(yield* isServed(loaded.directory.path))) yield* isFree(loaded.settings.http)
      const Serving = yield* Effect.promise(() => import("../../runtime/Serving.ts"))
      const { ControlServer } = yield* Effect.promise(() => import("../../runtime/control/ControlServer.ts"))
      const runtime = Serving.layer({
        configuration: loaded,
        environment: io.environment,
        version: io.version,
        wait,
        lanes: own
      })
      const { bus, files, nats, search } = loaded.settings
      const messaging =
        bus === "nats"
          ? (yield* Effect.promise(() => import("../../messaging/Messaging.ts"))).whereConnected({
              version: io.version,
              mode: search.mode,
              descriptors: nats.eventDescriptors,
              maxBytes: files.maxBytes,
              streams: (yield* Effect.promise(() => import("../../runtime/ConfiguredNats.ts"))).streamOptions(
                loaded.settings
              )
            })
          : Layer.empty
      // How the outside reaches the server: each interface is a layer over the runtime.
      const interfaces = Layer.mergeAll(
        http({ settings: loaded.settings.http, version: io.version }),
        messaging
      )
      return yield* untilStopped((ready) =>
        Effect.gen(function* () {
          const { socket } = yield* ControlServer
          const { url } = yield* HttpAddress
          const line = {
            ready: true as const,
            dataDirectory: loaded.directory.path,
            http: url,
            socket,
            pid: process.pid
          }
          yield* ready
          yield* print(
            common.json,
            Ready,
            line,
            ({ style }) =>
              `Serving ${style.cyan(printable(loaded.directory.path))}, status at ${style.cyan(url)}\n`
          )
          const { storage, sync } = loaded.settings
          yield* Serving.untilStopped({ sync: sync.interval, gc: storage.gcInterval }, io.stop)
        }).pipe(
          Effect.provide(Layer.provideMerge(interfaces, runtime)),
          Logger.withMinimumLogLevel(logLevelOf(loaded.settings.log.level))
        )
      )
    })
})
