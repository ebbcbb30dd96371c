/**
 * The public messaging: events out, commands in, requests answered. An interface like the command line: it runs beside
 * the one writer of a data directory, on a connection to NATS that is given to it.
 */
import { Effect, Layer, Option } from "effect"
import { NatsConnection } from "../bus/nats/Connection.ts"
import { declarations, ensure, remake, type StreamOptions, usualStreamOptions } from "../bus/nats/Streams.ts"
import type { SearchMode } from "../search/Search.ts"
import * as CommandIntake from "./CommandIntake.ts"
import * as EventPublisher from "./EventPublisher.ts"
import * as Requests from "./Requests.ts"

export interface MessagingOptions {
  /** Of the program, for `nats micro info`. */
  readonly version: string
  /** Of searches that do not say. */
  readonly mode: SearchMode
  /** Titles, addresses and metadata travel with the events. */
  readonly descriptors: boolean
  /** The largest text that may be submitted in pieces. */
  readonly maxBytes: number
  readonly streams?: StreamOptions
}

/**
 * Needs what the embedded runtime gives, and `NatsConnection`. Once it is built the streams are there and requests are
 * answered; it fails where a stream is in the way.
 */
export const layer = (options: MessagingOptions) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const nats = yield* NatsConnection
      const { answers, commands, events } = declarations(options.streams ?? usualStreamOptions)
      const { descriptors, maxBytes, mode, version } = options
      yield* Effect.forEach([events, answers, commands], (one) => ensure(nats, one), { discard: true })
      return Layer.mergeAll(
        EventPublisher.layer({
          ...EventPublisher.usualPublisher,
          descriptors,
          ready: remake(nats, events)
        }),
        CommandIntake.layer({
          ...CommandIntake.usualIntake,
          ready: Effect.zipRight(remake(nats, answers), remake(nats, commands))
        }),
        Requests.layer({ ...Requests.usualRequests, descriptors, maxBytes, mode, version })
      )
    })
  )

/** Beside a bus that runs over NATS, on the bus's own connection; nothing where there is none. */
export const whereConnected = (options: MessagingOptions) =>
  Layer.unwrapEffect(
    Effect.map(
      Effect.serviceOption(NatsConnection),
      Option.match({
        onNone: () => Layer.empty,
        onSome: (nats) => Layer.provide(layer(options), Layer.succeed(NatsConnection, nats))
      })
    )
  )
