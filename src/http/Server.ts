/**
 * The HTTP interface of a server.
 */
import { createServer, type Server } from "node:http"
import { createServer as createListener, type Socket } from "node:net"
import { HttpApiBuilder, HttpServer } from "@effect/platform"
import { NodeHttpServer } from "@effect/platform-node"
import { Context, Duration, Effect, Layer, Option, Schema } from "effect"
import { defaultScope, ProjectScope } from "../../events/Ids.ts"
import { Overview } from "../runtime/Overview.ts"
import type { Settings } from "../runtime/Settings.ts"
import { api, type GivenScope, NotReady, Refused, Unhealthy, Unreadable } from "./Api.ts"
import { guarded, namesOf } from "./Guard.ts"
import { page } from "./Metrics.ts"

/** The address cannot be listened at: the server does not start. */
export class HttpRefused extends Schema.TaggedError<HttpRefused>()("HttpRefused", {
  host: Schema.String,
  port: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return `The server cannot listen at ${this.host}:${this.port}: ${this.detail}. Set http.port (0 takes any that is free) or http.host.`
  }
}

/** Where the interface listens. */
export class HttpAddress extends Context.Tag("reprise/http/HttpAddress")<
  HttpAddress,
  { readonly url: string }
>() {}

export interface HttpOptions {
  readonly settings: Settings["http"]
  readonly version: string
  /** For one request. */
  readonly timeout?: Duration.Duration
}

/** Bodies say nothing here: no endpoint reads one. */
const maxBody = 65_536
const mostConnections = 256

const bounded = (timeout: Duration.Duration): Server => {
  const server = createServer({
    requestTimeout: Duration.toMillis(timeout),
    headersTimeout: Duration.toMillis(timeout),
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 16_384
  })
  server.maxConnections = mostConnections
  // Of a connection on which neither end says anything, not even that it reads: longer than a request may take.
  server.setTimeout(2 * Duration.toMillis(timeout))
  return server
}

/** For what is being answered when the server ends. */
const closeLimit = Duration.seconds(1)

/** The connections that are open, from before it listens. */
const connectionsOf = (server: Server): ReadonlySet<Socket> => {
  const open = new Set<Socket>()
  server.on("connection", (socket) => {
    open.add(socket)
    socket.once("close", () => open.delete(socket))
  })
  return open
}

/**
 * Ends what the server listens for, in order and within a bound. Node waits for every connection, and gives up looking at
 * those that say nothing: somebody who only holds one open would keep the process from ending.
 */
const ending = (server: Server, open: ReadonlySet<Socket>) =>
  Effect.addFinalizer(() =>
    Effect.async<void>((resume) => void server.close(() => resume(Effect.void))).pipe(
      Effect.interruptible,
      Effect.timeoutOption(closeLimit),
      Effect.zipRight(
        Effect.sync(() => {
          for (const socket of open) socket.destroy()
        })
      )
    )
  )

/**
 * Fails where the address is taken: asked before anything is opened for a server that could not be reached. One that is
 * taken only then is met when it is listened at.
 */
export const isFree = ({
  host,
  port
}: Pick<Settings["http"], "host" | "port">): Effect.Effect<void, HttpRefused> =>
  port === 0
    ? Effect.void
    : Effect.async((resume) => {
        const listener = createListener()
        listener.once("error", (cause) => resume(refusedAt(host, port, cause)))
        listener.listen({ host, port }, () => listener.close(() => resume(Effect.void)))
        return Effect.sync(() => void listener.close())
      })

const refusedAt = (host: string, port: number, cause: unknown) =>
  new HttpRefused({ host, port, detail: reasonOf(cause) })

const health = HttpApiBuilder.group(api, "health", (handlers) =>
  Effect.map(Overview, ({ live }) =>
    handlers
      .handle("healthz", () =>
        Effect.flatMap(live, ({ alive, reasons }) =>
          alive ? Effect.succeed({ healthy: true as const }) : new Unhealthy({ reasons })
        )
      )
      .handle("readyz", () =>
        Effect.flatMap(live, ({ ready, reasons }) =>
          ready ? Effect.succeed({ ready: true as const }) : new NotReady({ reasons })
        )
      )
  )
)

const operator = (version: string) =>
  HttpApiBuilder.group(api, "operator", (handlers) =>
    Effect.map(Overview, ({ info, status }) => {
      const readable = <A>(effect: Effect.Effect<A, { readonly message: string }>) =>
        Effect.mapError(effect, ({ message }) => new Unreadable({ message }))
      return handlers
        .handle("info", () => readable(info))
        .handle("status", ({ urlParams }) =>
          Effect.flatMap(narrowed(urlParams), (scope) => readable(status(scope)))
        )
        .handle("metrics", () => Effect.map(readable(status()), (found) => page(found, version)))
    })
  )

/** As the command line's options narrow it. */
const narrowed = Effect.fnUntraced(function* (
  given: GivenScope
): Effect.fn.Return<ProjectScope | undefined, Refused> {
  if (given.team === undefined && given.project === undefined) return undefined
  const scope = decodeScope({ ...defaultScope, ...given })
  if (Option.isSome(scope)) return scope.value
  const message =
    "team and project are names, given once each: up to 63 of a to z, 0 to 9, _ and -, the first a letter or a digit."
  return yield* new Refused({ code: "invalid", message })
})

const decodeScope = Schema.decodeUnknownOption(ProjectScope)

export const layer = (options: HttpOptions): Layer.Layer<HttpAddress, HttpRefused, Overview> =>
  Layer.unwrapEffect(Effect.sync(() => layerOn(bounded(options.timeout ?? usualTimeout), options)))

const usualTimeout = Duration.seconds(30)

const layerOn = (
  server: Server,
  { settings: { host, names, port }, timeout = usualTimeout, version }: HttpOptions
): Layer.Layer<HttpAddress, HttpRefused, Overview> => {
  const open = connectionsOf(server)
  const guard = guarded({ names: namesOf(host, names), timeout, maxBody })
  const listening = NodeHttpServer.layer(() => server, { host, port }).pipe(
    Layer.mapError(({ cause }) => refusedAt(host, port, cause))
  )
  // Around the routes themselves: what is given to `serve` as middleware sees responses that were sent.
  const serving = Layer.unwrapEffect(
    Effect.map(HttpApiBuilder.httpApp, (app) => HttpServer.serve(guard(app)))
  ).pipe(
    Layer.provide([HttpApiBuilder.Router.Live, HttpApiBuilder.Middleware.layer]),
    Layer.provide(HttpApiBuilder.middlewareOpenApi({ path: "/openapi.json" })),
    Layer.provide(HttpApiBuilder.api(api).pipe(Layer.provide(health), Layer.provide(operator(version))))
  )
  const address = Layer.effect(
    HttpAddress,
    Effect.map(HttpServer.HttpServer, ({ address }) => ({ url: urlOf(address) }))
  )
  // Built last, so that it ends first: while requests are still taken care of.
  return Layer.scopedDiscard(ending(server, open)).pipe(
    Layer.provideMerge(Layer.merge(serving, address)),
    Layer.provide(listening)
  )
}

/** What Node says repeats the address and what kind of thing an error is: only the rest is news. */
const reasonOf = (cause: unknown): string =>
  (cause instanceof Error ? cause.message : String(cause)).replace(/^listen /, "").replace(/ [^ ]*:\d+$/, "")

const urlOf = (address: HttpServer.Address): string => {
  if (address._tag === "UnixAddress") return `unix:${address.path}`
  const { hostname, port } = address
  return `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`
}
