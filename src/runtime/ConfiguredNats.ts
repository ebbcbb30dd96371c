/**
 * NATS as the settings say. Loaded lazily (`ConfiguredBus.ts`), so that who does not use it does not load its package.
 */
import { hostname } from "node:os"
import { Effect, Layer, Redacted } from "effect"
import type { Bus, BusUnavailable } from "../bus/Bus.ts"
import type { NatsConnection, NatsOptions } from "../bus/nats/Connection.ts"
import * as Connection from "../bus/nats/Connection.ts"
import * as ContentServer from "../bus/nats/ContentServer.ts"
import * as NatsBus from "../bus/nats/NatsBus.ts"
import * as NatsContent from "../bus/nats/NatsContent.ts"
import type { NatsUnavailable, NatsUnreachable } from "../bus/nats/NatsErrors.ts"
import { type AccountTaken, servingAlone } from "../bus/nats/SoleServer.ts"
import { type StreamConflict, type StreamOptions, usualStreamOptions } from "../bus/nats/Streams.ts"
import { takeName, WorkerName, type WorkerNameTaken } from "../bus/nats/WorkerName.ts"
import type { Content } from "../log/Content.ts"
import { ConfigInvalid } from "./ConfigInvalid.ts"
import { natsServers, type Settings } from "./Settings.ts"

export interface NatsRole {
  /** What this process is, for the server's own lists (`reprise serve`). */
  readonly role: string
  /** Whether it waits for a server that is not there yet. */
  readonly wait: boolean
}

export const natsOptions = ({ nats }: Settings, { role, wait }: NatsRole): NatsOptions => {
  const { credentials, nkeySeed, tlsCa, tlsCert, tlsKey, token, url } = nats
  const servers = natsServers(url) ?? []
  const named = servers.find(({ username }) => username !== "")
  const user = nats.user ?? (named && decodeURIComponent(named.username))
  const password = nats.password ?? (named && Redacted.make(decodeURIComponent(named.password)))
  return {
    // Without what may be a secret: the addresses stand in messages and in the log.
    servers: servers.map(({ host, protocol }) => `${protocol}//${host}`),
    name: `${role} on ${hostname()}`,
    inboxPrefix: nats.inboxPrefix,
    wait,
    ...(user !== undefined && { user }),
    ...(password !== undefined && { password }),
    ...(token !== undefined && { token }),
    ...(nkeySeed !== undefined && { nkeySeed }),
    ...(credentials !== undefined && { credentials }),
    ...(tlsCa !== undefined && { tlsCa }),
    ...(tlsCert !== undefined && { tlsCert }),
    ...(tlsKey !== undefined && { tlsKey })
  }
}

export const streamOptions = ({ nats }: Settings): StreamOptions => ({
  ...usualStreamOptions,
  replicas: nats.replicas,
  eventsMaxBytes: nats.eventsMaxMiB * 1024 ** 2,
  eventsMaxAge: nats.eventsMaxAge
})

/** The server cannot be reached or used as it is, or not with these settings. */
export type NatsNotUsable = NatsUnreachable | StreamConflict | AccountTaken | BusUnavailable | ConfigInvalid

const connection = (
  settings: Settings,
  role: NatsRole
): Layer.Layer<NatsConnection, NatsUnreachable | ConfigInvalid> =>
  Connection.layer(natsOptions(settings, role)).pipe(
    Layer.catchAll((error) =>
      Layer.fail(
        error._tag === "NatsUnreachable"
          ? error
          : new ConfigInvalid({
              problems: [
                {
                  where: "The settings",
                  key: `nats.${error.setting}`,
                  found: error.found,
                  expected: error.expected,
                  remedy: "Correct the setting or its file, or remove it."
                }
              ]
            })
      )
    )
  )

/** Whether the server is there and can be used with these settings: connects, and lets go of it again. */
export const reached = (settings: Settings, role: NatsRole) =>
  Effect.flatMap(Connection.NatsConnection, ({ state }) => state).pipe(
    Effect.provide(connection(settings, role))
  )

/** For the process that has the log: the bus, and content for workers elsewhere. The connection is there for others. */
export const serving = (
  settings: Settings,
  role: NatsRole
): Layer.Layer<Bus | NatsConnection, NatsNotUsable, Content> =>
  Layer.merge(NatsBus.layer(streamOptions(settings)), ContentServer.layer).pipe(
    Layer.provideMerge(
      Layer.scopedDiscard(servingAlone(`${role.role}, process ${process.pid} on ${hostname()}`))
    ),
    Layer.provideMerge(connection(settings, role))
  )

/** The name under which a worker holds its leases, for as long as it is there. `holder` says who it is to the next one. */
export const worker = (
  name: string,
  holder: string
): Layer.Layer<WorkerName, WorkerNameTaken | NatsUnavailable, NatsConnection> =>
  Layer.scoped(WorkerName, takeName(name, holder))

/** For a worker, which has no log: the bus, and content asked of the process that has it. */
export const working = (
  settings: Settings,
  role: NatsRole
): Layer.Layer<Bus | Content | NatsConnection, NatsNotUsable> =>
  Layer.merge(NatsBus.layer(streamOptions(settings)), NatsContent.layer).pipe(
    Layer.provideMerge(connection(settings, role))
  )
