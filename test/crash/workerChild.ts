/**
 * A worker that is to be killed: its settings as JSON, and failpoints to arm in the notation of `armed`. Works until its input
 * ends.
 */
import { Deferred, Effect, Layer, Logger, LogLevel, Schema } from "effect"
import { Lane } from "../../events/Job.ts"
import { armed, Failpoints } from "../../src/faults/Failpoints.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import * as Working from "../../src/runtime/Working.ts"

const [settings = "{}", failpoints = ""] = process.argv.slice(2)

const worker = Effect.gen(function* () {
  const stop = yield* Deferred.make<void>()
  process.stdin.resume().on("end", () => Deferred.unsafeDone(stop, Effect.void))
  yield* Working.untilStopped(stop)
}).pipe(
  Effect.provide(
    Layer.unwrapEffect(
      Effect.map(Schema.decode(Schema.parseJson(Settings))(settings), (decoded) =>
        Working.layer({
          settings: decoded,
          lanes: Lane.literals,
          name: "killed",
          version: "test",
          wait: true
        })
      )
    ).pipe(Layer.provide(Layer.succeed(Failpoints, armed(failpoints))))
  ),
  Effect.provide(Logger.minimumLogLevel(LogLevel.Error))
)

void Effect.runPromise(worker)
