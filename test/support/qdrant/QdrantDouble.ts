/**
 * A test double of Qdrant: an independent HTTP server on 127.0.0.1 that finds by brute force, refuses what the real one
 * refuses (and more), applies every update a point at a time, and misbehaves on command. It keeps everything in memory.
 */
import { createServer } from "node:http"
import { createServer as createTlsServer } from "node:https"
import type { Socket } from "node:net"
import { Effect, type Scope } from "effect"
import { selfSigned } from "../SelfSigned.ts"
import type { StoredPoint } from "./Collection.ts"
import { type Misbehaviour, type Occasion, type Received, Server, type ServerOptions } from "./Server.ts"
import { Store, type StoreCopy } from "./Store.ts"

export type { Misbehaviour, Occasion, Received } from "./Server.ts"

export interface QdrantDoubleOptions extends ServerOptions {
  readonly tls?: boolean
  /** What it says it is: 1.13.0 to 1.18.x; fields that came later are refused. */
  readonly version?: string
  /** Milliseconds between two points of an update. At 0 other requests still come between. */
  readonly pauseMs?: number
  /** A free one, unless said. */
  readonly port?: number
}

export interface QdrantDouble {
  readonly url: string
  readonly requests: ReadonlyArray<Received>
  /** Good answers that Qdrant's description does not allow: a test may hold this empty. */
  readonly violations: ReadonlyArray<string>
  /** Connections opened so far, and those that are open now. */
  readonly connections: () => { readonly opened: number; readonly open: number }
  readonly misbehave: (misbehaviour: Misbehaviour, occasion?: Occasion) => void
  /** Forgets every misbehaviour. */
  readonly behave: () => void
  readonly pause: (ms: number) => void
  readonly reportVersion: (version: string) => void
  /** The collection is gone, its aliases too. */
  readonly lose: (collection: string) => void
  /** What a collection says of its own state. */
  readonly report: (collection: string, status: "green" | "yellow" | "grey" | "red") => void
  /** The collection is there and holds nothing. */
  readonly empty: (collection: string) => void
  readonly snapshot: () => StoreCopy
  /** Puts collections back as they were. Aliases come with them, or are lost: snapshots of a collection have none. */
  readonly restore: (snapshot: StoreCopy, aliases?: "with" | "lost") => void
  readonly collections: () => ReadonlyArray<string>
  readonly points: (collection: string) => ReadonlyArray<StoredPoint>
  /** Changes a point behind everybody's back, or removes it. */
  readonly tamper: (
    collection: string,
    id: number | string,
    change: (point: StoredPoint) => StoredPoint | undefined
  ) => void
  /** Nobody listens any more, and open connections break; `up` listens on the same port, with all data. */
  readonly down: Effect.Effect<void>
  readonly up: Effect.Effect<void>
}

export const makeQdrantDouble = (
  options: QdrantDoubleOptions = {}
): Effect.Effect<QdrantDouble, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const double = build(options)
      return Effect.as(double.up, double)
    }),
    ({ down }) => down
  )

const build = (options: QdrantDoubleOptions): QdrantDouble => {
  let pauseMs = options.pauseMs ?? 0
  const store = new Store(options.version ?? "1.18.0", () => pauseMs)
  const http = new Server(store, options)
  const sockets = new Set<Socket>()
  let opened = 0
  let port = options.port ?? 0
  const server =
    options.tls === true ? createTlsServer(selfSigned, http.listener) : createServer(http.listener)
  server.on("connection", (socket: Socket) => {
    opened++
    sockets.add(socket)
    socket.on("close", () => sockets.delete(socket))
    socket.on("error", () => {})
  })
  return {
    get url() {
      return `${options.tls === true ? "https" : "http"}://127.0.0.1:${port}`
    },
    requests: http.received,
    violations: http.violations,
    connections: () => ({ opened, open: sockets.size }),
    misbehave: (misbehaviour, occasion = {}) => http.misbehave(misbehaviour, occasion),
    behave: () => http.behave(),
    pause: (ms) => {
      pauseMs = ms
    },
    reportVersion: (version) => {
      store.version = version
    },
    lose: (collection) => {
      store.collections.delete(collection)
      store.aliases = new Map([...store.aliases].filter(([, of]) => of !== collection))
    },
    report: (collection, status) => {
      store.collection(collection).status = status
    },
    empty: (collection) => store.collection(collection).empty(),
    snapshot: () => store.copy(),
    restore: (snapshot, aliases = "with") => {
      store.collections = new Map(Array.from(snapshot.collections, ([name, one]) => [name, one.copy()]))
      store.aliases = aliases === "with" ? new Map(snapshot.aliases) : new Map()
    },
    collections: () => [...store.collections.keys()],
    points: (collection) => store.collection(collection).found(undefined),
    tamper: (name, id, change) => {
      const collection = store.collection(name)
      const point = collection.points.get(id)
      if (point === undefined) throw new Error(`${name} has no point ${id}.`)
      const changed = change(point)
      if (changed === undefined) collection.remove(id)
      else collection.put(changed)
    },
    up: Effect.async<void>((resume) => {
      server.listen(port, "127.0.0.1", () => {
        const address = server.address()
        if (typeof address === "object" && address !== null) port = address.port
        resume(Effect.void)
      })
    }),
    down: Effect.async<void>((resume) => {
      if (!server.listening) return resume(Effect.void)
      server.close(() => resume(Effect.void))
      for (const socket of sockets) socket.destroy()
    })
  }
}
