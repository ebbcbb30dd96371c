/** The embedded runtime with the public messaging, and a plain NATS client beside it. */
import { join } from "node:path"
import { Effect, Layer, Schema } from "effect"
import { type ConnectionOptions, connect, type NatsConnection } from "nats"
import { layer as connectionLayer, type NatsOptions } from "../../src/bus/nats/Connection.ts"
import { Content } from "../../src/log/Content.ts"
import * as Messaging from "../../src/messaging/Messaging.ts"
import { filesIn } from "../../src/runtime/DataDirectory.ts"
import * as Embedded from "../../src/runtime/Embedded.ts"
import { Settings } from "../../src/runtime/Settings.ts"
import type { NatsServer } from "./NatsServer.ts"

export const messagingRuntime = (
  server: NatsServer,
  path: string,
  options: {
    readonly connection?: Partial<NatsOptions>
    readonly settings?: typeof Settings.Encoded
    /** Stands between the messaging and the log's content. */
    readonly content?: Layer.Layer<Content, never, Content>
  } = {}
) => {
  const settings = Schema.decodeSync(Settings)(options.settings ?? {})
  const { maxBytes } = settings.files
  return Messaging.layer({ version: "0.1.0", mode: "sparse", descriptors: true, maxBytes }).pipe(
    Layer.provide(options.content ?? Layer.effect(Content, Content)),
    Layer.provideMerge(
      Layer.merge(
        connectionLayer({
          servers: [server.url],
          name: "reprise",
          inboxPrefix: "_INBOX_reprise",
          wait: false,
          ...options.connection
        }),
        Embedded.layer({
          configuration: {
            settings,
            directory: { path, origin: "flag", files: filesIn(path, join) }
          },
          command: "test",
          threads: false
        })
      )
    )
  )
}

/** A plain client, as others write one. */
export const plainClient = (server: NatsServer, options: ConnectionOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      connect({ servers: server.url, reconnect: true, maxReconnectAttempts: -1, ...options })
    ),
    (client) => Effect.promise(() => client.close())
  )

export interface Reply {
  readonly body: Readonly<Record<string, unknown>>
  readonly error: string
}

/** Asks, and reads the answer as JSON. */
export const ask = (
  client: NatsConnection,
  subject: string,
  body: unknown,
  timeout = 10_000
): Effect.Effect<Reply> =>
  Effect.promise(async () => {
    const payload = body instanceof Uint8Array || typeof body === "string" ? body : JSON.stringify(body)
    const message = await client.request(subject, payload, { timeout })
    return {
      body: Object.fromEntries(Object.entries(message.json())),
      error: message.headers?.get("Nats-Service-Error") ?? ""
    }
  })
