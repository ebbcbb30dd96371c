/** The NATS bus, held to the same suite as the one in process, on a real server. */
import { Duration, Effect, Layer } from "effect"
import type { BusOptions } from "../../src/bus/Bus.ts"
import * as Connection from "../../src/bus/nats/Connection.ts"
import * as NatsBus from "../../src/bus/nats/NatsBus.ts"
import { usualStreamOptions } from "../../src/bus/nats/Streams.ts"
import { busConformance } from "../conformance/bus.ts"
import { natsServer } from "../support/NatsServer.ts"
import { optionsFor } from "../support/natsClient.ts"

/** A server of its own for each test. */
const layer = (options: BusOptions) =>
  Layer.unwrapScoped(
    Effect.map(natsServer(), ({ url }) =>
      NatsBus.layer({ ...usualStreamOptions, ...options }).pipe(
        Layer.provide(Connection.layer(optionsFor(url)))
      )
    )
  )

busConformance("nats", { layer, ackWait: Duration.millis(800) })
