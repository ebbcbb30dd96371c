/**
 * Answers the command lines of this machine for the writer that this process holds.
 */
import { chmodSync } from "node:fs"
import { SocketServer } from "@effect/platform"
import { NodeSocketServer } from "@effect/platform-node"
import { RpcSerialization, RpcServer } from "@effect/rpc"
import { Context, Effect, Layer, Schedule, Stream } from "effect"
import type { PromotionError, PromotionProgress } from "../../../actors/Indexer/Promotion.ts"
import { Overview } from "../Overview.ts"
import { type Replayed, Writer } from "../Reprise.ts"
import { framed } from "./Frames.ts"
import { makeOperations } from "./Operations.ts"
import {
  Control,
  type PromotionStep,
  protocolVersion,
  type ServerGone,
  type ServerHello
} from "./Protocol.ts"
import { claimSocket, SocketRefused } from "./SocketPlace.ts"

export interface ControlServerOptions {
  /** The data directory. */
  readonly directory: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly version: string
  /** Says whether a client's settings are the same. */
  readonly settings: string
}

export interface ControlServerService {
  /** The path of the socket. */
  readonly socket: string
  /** Takes no more commands, ends those that run in order, and waits for them. */
  readonly drain: Effect.Effect<void>
}

export class ControlServer extends Context.Tag("reprise/runtime/ControlServer")<
  ControlServer,
  ControlServerService
>() {}

export const layer = (
  options: ControlServerOptions
): Layer.Layer<ControlServer, SocketRefused, Writer | Overview> =>
  Layer.scoped(
    ControlServer,
    Effect.gen(function* () {
      const socket = yield* claimSocket(options.directory, options.environment)
      const operations = yield* makeOperations
      let connections = 0
      const listening = Layer.scoped(
        SocketServer.SocketServer,
        Effect.gen(function* () {
          const server = yield* NodeSocketServer.make({ path: socket })
          chmodSync(socket, 0o600)
          const counted = <A, E, R>(handled: Effect.Effect<A, E, R>) =>
            Effect.acquireUseRelease(
              Effect.sync(() => void connections++),
              () => handled,
              () => Effect.sync(() => void connections--)
            )
          return SocketServer.SocketServer.of({
            address: server.address,
            run: (handler) => server.run((one) => counted(handler(framed(one))))
          })
        })
      ).pipe(Layer.mapError((error) => new SocketRefused({ path: socket, detail: String(error.cause) })))
      const serving = RpcServer.layer(Control, { disableFatalDefects: true, disableTracing: true }).pipe(
        Layer.provide(handlers(options, operations)),
        Layer.provide(RpcServer.layerProtocolSocketServer),
        Layer.provide(listening),
        Layer.provide(RpcSerialization.layerNdjson)
      )
      yield* Layer.build(serving)
      /** A client hangs up when it has its answer; one that stays on is not waited for. */
      const hungUp = Effect.sync(() => connections > 0).pipe(
        Effect.repeat({ while: (open) => open, schedule: Schedule.spaced("20 millis") }),
        Effect.timeoutOption("2 seconds")
      )
      return ControlServer.of({ socket, drain: Effect.zipRight(operations.drain, hungUp) })
    })
  )

/** Of what promotions report, as much as a slow reader may be behind. */
const reportsKept = 16

const handlers = (
  { settings, version }: ControlServerOptions,
  operations: Effect.Effect.Success<typeof makeOperations>
) =>
  Control.toLayer(
    Effect.gen(function* () {
      const writer = yield* Writer
      const { live } = yield* Overview
      const { breakable, finishing } = operations
      const hello: typeof ServerHello.Type = {
        version,
        protocol: protocolVersion,
        pid: process.pid,
        settings
      }

      const promoting = (
        run: (
          onProgress: (progress: PromotionProgress) => Effect.Effect<void>
        ) => Effect.Effect<Replayed, PromotionError>
      ): Stream.Stream<typeof PromotionStep.Type, PromotionError | ServerGone> =>
        Stream.asyncPush<typeof PromotionStep.Type, PromotionError | ServerGone>(
          (emit) =>
            breakable(
              run((progress) => Effect.sync(() => void emit.single({ _tag: "Progress", ...progress })))
            ).pipe(
              Effect.matchCause({
                onFailure: (cause) => emit.halt(cause),
                onSuccess: (replayed) => {
                  emit.single({ _tag: "Done", replayed })
                  emit.end()
                }
              }),
              Effect.forkScoped
            ),
          { bufferSize: reportsKept, strategy: "sliding" }
        )

      return {
        Hello: () => Effect.succeed(hello),
        Add: ({ operation, paths, ...asked }) =>
          finishing(operation, (stop) => writer.add(paths, { ...asked, stop })),
        Sync: ({ operation, sources, ...asked }) =>
          finishing(operation, (stop) => writer.sync(sources, { ...asked, stop })),
        Stop: ({ operation }) => operations.stop(operation),
        Remove: ({ names, ...asked }) => finishing("remove", () => writer.remove(names, asked)),
        Replay: ({ engine }) => promoting((onProgress) => writer.replay(onProgress, engine)),
        Build: ({ excluded }) => promoting((onProgress) => writer.build({ excluded, onProgress })),
        Repair: (ask) => breakable(writer.repair(ask)),
        Collect: (options) => breakable(writer.collect(options)),
        Erase: (options) => breakable(writer.erase(options)),
        Retry: ({ job, scope }) => finishing("retry", () => writer.retry(scope, job)),
        Ended: ({ job }) => breakable(writer.ended(job)),
        Cancel: ({ job, scope }) => finishing("cancel", () => writer.cancel(scope, job)),
        Pause: ({ lane, paused }) => finishing("pause", () => writer.pause(lane, paused)),
        Settled: () => writer.settled,
        Live: () => live,
        Progress: () => writer.progress,
        Outage: () => writer.outage
      }
    })
  )
