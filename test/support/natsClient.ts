/** Connections of ours to a server that a test started. */
import { Context, Effect, Layer, type Scope } from "effect"
import * as Connection from "../../src/bus/nats/Connection.ts"
import { NatsConnection, type NatsOptions, type NatsService } from "../../src/bus/nats/Connection.ts"
import type { CredentialsUnusable, NatsUnreachable } from "../../src/bus/nats/NatsErrors.ts"

export const optionsFor = (url: string, more: Partial<NatsOptions> = {}): NatsOptions => ({
  servers: [url],
  name: "test",
  inboxPrefix: "_INBOX_test",
  wait: false,
  ...more
})

/** Closed with the scope. */
export const connected = (
  url: string,
  more: Partial<NatsOptions> = {}
): Effect.Effect<NatsService, NatsUnreachable | CredentialsUnusable, Scope.Scope> =>
  Effect.map(Layer.build(Connection.layer(optionsFor(url, more))), (context) =>
    Context.get(context, NatsConnection)
  )
