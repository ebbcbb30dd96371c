/**
 * The writer of a data directory that a server holds, as this process sees it: the same operations, carried out there.
 */
import { Socket } from "@effect/platform"
import { NodeSocket } from "@effect/platform-node"
import { RpcClient, RpcSerialization } from "@effect/rpc"
import { RpcClientError } from "@effect/rpc/RpcClientError"
import { Cause, Clock, Deferred, Effect, Layer, Option, Random, type Scope, Stream } from "effect"
import type { PromotionError, PromotionProgress } from "../../../actors/Indexer/Promotion.ts"
import type { Live } from "../Live.ts"
import type { Outage } from "../Outage.ts"
import type { RepriseWriter } from "../Reprise.ts"
import { framed } from "./Frames.ts"
import {
  Control,
  type PromotionStep,
  protocolVersion,
  ServerDiffers,
  ServerGone,
  type ServerHello
} from "./Protocol.ts"
import { isAlive, socketOf } from "./SocketPlace.ts"

export interface RemoteWriter {
  readonly writer: RepriseWriter<ServerGone>
  readonly live: Effect.Effect<Live, ServerGone>
  readonly pid: number
  /** Whether the server's settings are those that the caller has. */
  readonly sameSettings: boolean
}

const helloLimit = "5 seconds"

/** How the connection ended says nothing that whoever typed the command could use. */
const lost = () => new ServerGone({ reason: "lost", detail: "" })

/**
 * A call whose transport may fail. What a server breaks off when it ends is answered as an interruption, which here would be
 * taken for the caller's own: it would end without a word.
 */
const orLost = <A, E, R>(
  call: Effect.Effect<A, E | RpcClientError, R>
): Effect.Effect<A, E | ServerGone, R> =>
  call.pipe(
    Effect.mapError((error) => (error instanceof RpcClientError ? lost() : error)),
    Effect.catchAllCause((cause) => (Cause.isInterruptedOnly(cause) ? lost() : Effect.failCause(cause)))
  )

/**
 * The server of a data directory, for as long as the scope lives; none where nobody listens. What a dead one left behind
 * refuses connections and counts as none: the writer's lock decides then, as it always does.
 */
export const connect = (
  directory: string,
  settings: string
): Effect.Effect<Option.Option<RemoteWriter>, ServerGone | ServerDiffers, Scope.Scope> =>
  Effect.gen(function* () {
    const path = socketOf(directory)
    if (path === undefined || !(yield* isAlive(path))) return Option.none()
    const protocol = yield* Layer.build(
      RpcClient.layerProtocolSocket().pipe(
        Layer.provide(Layer.effect(Socket.Socket, Effect.map(NodeSocket.makeNet({ path }), framed))),
        Layer.provide(RpcSerialization.layerNdjson)
      )
    ).pipe(Effect.mapError(lost))
    const client = yield* RpcClient.make(Control, { disableTracing: true }).pipe(Effect.provide(protocol))
    const hello = yield* orLost<typeof ServerHello.Type, never, never>(client.Hello()).pipe(
      Effect.timeoutFail({
        duration: helloLimit,
        onTimeout: () => new ServerGone({ reason: "silent", detail: "" })
      })
    )
    if (hello.protocol !== protocolVersion) return yield* new ServerDiffers(hello)
    return Option.some({
      writer: writerOver(client),
      live: orLost<Live, never, never>(client.Live()),
      pid: hello.pid,
      sameSettings: hello.settings === settings
    })
  })

type Client = RpcClient.FromGroup<typeof Control, RpcClientError>

const writerOver = (client: Client): RepriseWriter<ServerGone> => {
  /** Runs an operation that the server ends early when `stop` is done. */
  const stoppable = <A, E>(
    stop: Deferred.Deferred<void> | undefined,
    run: (operation: string) => Effect.Effect<A, E>
  ) =>
    Effect.gen(function* () {
      const [now, random] = yield* Effect.all([Clock.currentTimeMillis, Random.nextInt])
      const operation = `${now.toString(36)}-${Math.abs(random).toString(36)}`
      if (stop !== undefined)
        yield* Deferred.await(stop).pipe(
          Effect.zipRight(Effect.ignore(client.Stop({ operation }))),
          Effect.forkScoped
        )
      return yield* run(operation)
    }).pipe(Effect.scoped)

  const promoted = <E>(
    steps: Stream.Stream<typeof PromotionStep.Type, E | RpcClientError>,
    onProgress: (progress: PromotionProgress) => Effect.Effect<void>
  ) =>
    steps.pipe(
      Stream.mapEffect((step) =>
        step._tag === "Done"
          ? Effect.succeed(Option.some(step.replayed))
          : Effect.as(onProgress(step), Option.none())
      ),
      Stream.filterMap((done) => done),
      Stream.runLast,
      Effect.flatMap(
        Option.match({
          onNone: () => new ServerGone({ reason: "lost", detail: "it gave no result" }),
          onSome: Effect.succeed
        })
      ),
      orLost
    )

  return {
    add: (paths, { stop, ...options }) =>
      stoppable(stop, (operation) => orLost(client.Add({ operation, paths, ...options }))),
    sync: (sources, { stop, ...options }) =>
      stoppable(stop, (operation) => orLost(client.Sync({ operation, sources, ...options }))),
    remove: (names, options) => orLost(client.Remove({ names, ...options })),
    replay: (onProgress, engine) =>
      promoted<PromotionError | ServerGone>(client.Replay({ engine }), onProgress),
    build: ({ excluded, onProgress }) =>
      promoted<PromotionError | ServerGone>(client.Build({ excluded }), onProgress),
    repair: (ask) => orLost(client.Repair(ask)),
    collect: (options) => orLost(client.Collect(options)),
    erase: (options) => orLost(client.Erase(options)),
    retry: (scope, job) => orLost(client.Retry({ scope, job })),
    ended: (job) => orLost(client.Ended({ job })),
    cancel: (scope, job) => orLost(client.Cancel({ scope, job })),
    pause: (lane, paused) => orLost(client.Pause({ lane, paused })),
    settled: orLost<void, never, never>(client.Settled()),
    progress: sinceNow(client.Progress().pipe(Stream.catchAllCause(() => Stream.empty))),
    // How the work ends says whoever does it.
    outage: Effect.catchAll(orLost<Outage, never, never>(client.Outage()), () => Effect.never)
  }
}

type Progress = Stream.Stream.Success<RepriseWriter["progress"]>

/** A server counts from its own start: to whoever typed a command, what came before it is not news. */
const sinceNow = (progress: RepriseWriter["progress"]): RepriseWriter["progress"] =>
  Stream.mapAccum(progress, undefined as Progress | undefined, (first, next) => {
    const from = first ?? next
    const change = {
      open: next.open,
      prepared: next.prepared - from.prepared,
      committed: next.committed - from.committed,
      parked: next.parked - from.parked,
      vectorsComputed: next.vectorsComputed - from.vectorsComputed,
      vectorsReused: next.vectorsReused - from.vectorsReused,
      outage: next.outage,
      unclaimed: next.unclaimed
    }
    return [from, change]
  })
