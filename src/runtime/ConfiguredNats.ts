/** The connection to NATS and its streams, as the settings say. */
import { hostname } from "node:os"
import type { NatsOptions } from "../bus/nats/Connection.ts"
import { type StreamOptions, usualStreamOptions } from "../bus/nats/Streams.ts"
import { natsServers, type Settings } from "./Settings.ts"

/** `role` is what this process is, for the server's own lists (`serve`, `worker`). */
export const natsOptions = (
  { nats }: Settings,
  { role, wait }: { readonly role: string; readonly wait: boolean }
): NatsOptions => {
  const { credentials, nkeySeed, password, tlsCa, tlsCert, tlsKey, token, url, user } = nats
  return {
    servers: natsServers(url) ?? [],
    name: `reprise-${role}@${hostname()}`,
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
